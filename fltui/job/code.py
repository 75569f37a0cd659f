"""A job's own code at the server: components that its author wrote, in the ``custom`` folder beside the configuration.

It runs with the rights of whoever loads the job, so it is loaded only where that person has
agreed to run it.
"""

from __future__ import annotations

import filecmp
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from fltui.errors import BadInputError
from fltui.job.bundle import folder_files, with_imports


@dataclass(frozen=True)
class Code:
    """A job's own code.

    Attributes:
        folder: where it is; None where the job has none.
        may_run: somebody has agreed that it runs.
    """

    folder: Path | None = None
    may_run: bool = False


NO_CODE = Code()


def class_files(kind: type[Any]) -> dict[str, Path]:
    """The files that a class needs to be loaded elsewhere, by their place below ``custom/``.

    Raises:
        BadInputError: it is in no file that can go along.
    """
    name, file = kind.__module__, getattr(sys.modules.get(kind.__module__), "__file__", None)
    if name == "__main__" or "<locals>" in kind.__qualname__:
        raise BadInputError(
            f"{kind.__qualname__} is defined in the job script itself; put it into a module beside the script, such as "
            "my_parts.py, and import it from there, so that the server can do the same"
        )
    if file is None:
        raise BadInputError(f"{name}.{kind.__qualname__} comes from no file, so it cannot go along with the job")
    package = name.partition(".")[0]
    if package != name:
        return folder_files(Path(file).parents[name.count(".") - 1], package)
    return with_imports(Path(file), PurePosixPath(f"{name}.py"))


def has_module(custom: Path, path: str) -> bool:
    """Whether a job's own code has the module of a class, by the path of the class."""
    return _module_file(custom, path).is_file()


def _module_file(custom: Path, path: str) -> Path:
    module = path.rpartition(".")[0]
    parts = module.split(".") if module else []
    if not parts or not all(part.isidentifier() for part in parts):
        return custom / "no module"
    return custom.joinpath(*parts[:-1], f"{parts[-1]}.py")


def load_class(custom: Path, path: str) -> type[Any] | None:
    """A class of a job's own code; None if the code has no such module.

    Args:
        custom: the folder of the code.
        path: module and class, with dots.

    Raises:
        BadInputError: the module cannot be loaded, or has no such class.
    """
    module, _, name = path.rpartition(".")
    file = _module_file(custom, path)
    if not file.is_file():
        return None
    if str(custom) not in sys.path:
        sys.path.insert(0, str(custom))
    try:
        found = import_module(module)
    except Exception as error:
        raise BadInputError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    there = Path(found.__file__ or "")
    if not there.is_file() or not filecmp.cmp(there, file, shallow=False):  # a copy of the job has the same
        raise BadInputError(f"{file} has the name of a module that is loaded already, {there}; rename it")
    kind = getattr(found, name, None)
    if not isinstance(kind, type):
        raise BadInputError(f"{file} has no class {name!r}")
    return kind
