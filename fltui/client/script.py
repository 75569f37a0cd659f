"""Running a Python file as ``__main__``, as ``python FILE ARGS`` does, without a trace of who started it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def run_as_main(path: Path, arguments: Sequence[str]) -> None:
    """Execute a script in a fresh ``__main__`` with its own ``sys.argv`` and ``sys.path[0]``.

    Raises:
        Whatever the script raises.
    """
    source = path.read_bytes()
    main = ModuleType("__main__")
    main.__file__ = str(path)
    main.__builtins__ = __builtins__  # type: ignore[attr-defined]  # every module has it, typeshed does not say so
    sys.modules["__main__"] = main
    sys.argv = [str(path), *arguments]
    # With -P, which keeps the current folder out, the first place is not that of a script.
    sys.path[0 : 0 if sys.flags.safe_path else 1] = [str(path.resolve().parent)]
    exec(compile(source, str(path), "exec", dont_inherit=True), main.__dict__)


def own_frames(error: BaseException) -> BaseException:
    """The exception without the frames of this file and of those who called it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != __file__:
        trace = trace.tb_next
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return error.with_traceback(trace)


def reason(error: BaseException) -> str:
    """What went wrong and where, on one line."""
    what = " ".join("".join(traceback.format_exception_only(error)).split())
    places = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not places:
        return what[:500]
    package = Path(__file__).resolve().parent.parent
    outside = [place for place in places if package not in Path(place.filename).parents] or places
    return f"{what[:500]} ({Path(outside[-1].filename).name}, line {outside[-1].lineno})"
