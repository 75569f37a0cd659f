"""``--track``: a run that is being told to trackers, by a process beside it whose troubles are a line and no more.

At the end, when the outcome is printed, the process of the run waits for it, a minute at most; Ctrl-C leaves it. In a
queue nobody waits: it goes on by itself, so that the next job can begin.

If it fails before the run ends, ``logs/server.log`` has the line, too. Afterwards that is sealed with the run.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Annotated

import typer

from fltui.exchange.said import TAIL, last_sentence, tail
from fltui.exchange.visible import visible
from fltui.signals import StoppedError
from fltui.tracking.environment import VARIABLE, join_targets, split_targets

if TYPE_CHECKING:
    from fltui.run.events import AnyEvent
    from fltui.run.folder import RunFolder
    from fltui.tracking.targets import Target

_PATIENCE = 60.0
"""Seconds that a tracker may take to be told of the last of it when the run is over."""

_EVERY = 2.0
"""Seconds between two looks at whether it has failed."""

_UNSAID = 1.0
"""Seconds of waiting for it of which nothing is said."""

_NICENESS = 10

Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TARGET",
        help=(
            "Tell an experiment tracker as the run goes on, see 'fltui track --help'; may be given again. "
            f"Or {VARIABLE}, one a line."
        ),
    ),
]


def targets_of(given: Sequence[str] | None, option: str = "--track") -> list[Target]:
    """The targets that were given, else those in the environment, from which they are taken: they may have passwords
    in them, and no script needs them.

    Args:
        given: on the command line.
        option: there.

    Raises:
        BadInputError: one is none.
    """
    in_environment = os.environ.pop(VARIABLE, "")
    named = given or split_targets(in_environment)
    if not named:
        return []
    from fltui.tracking.targets import parse_target

    where = option if given else VARIABLE
    return list(dict.fromkeys(parse_target(one, where) for one in named))


@contextmanager
def tracked(
    folder: RunFolder, targets: Sequence[Target], *, alone: bool = False
) -> Iterator[Callable[[AnyEvent], None]]:
    """What a run's events are to be given to: with the first one, ``fltui track`` begins. What goes wrong is a line.

    Args:
        folder: the run.
        targets: where it is tracked.
        alone: leave it alone at the end, and let it say itself what goes wrong.
    """
    if not targets:
        yield lambda _: None
        return
    from fltui.run.events import RunFinished

    with ExitStack() as opened:
        said = opened.enter_context(tempfile.TemporaryFile())
        beside: list[subprocess.Popen[bytes]] = []
        tried = over = False
        seen = 0

        def tell(event: AnyEvent) -> None:
            nonlocal tried, over
            over = over or isinstance(event, RunFinished)
            if tried:
                look()
                return
            tried = True
            try:
                beside.append(_start(folder, targets, said, alone=alone))
            except OSError as error:
                why = f"it cannot be started: {error.strerror}"
                say_trouble(folder, targets, why)
                if not over:
                    _log_trouble(folder, targets, why)
                over = True
            look_again()

        def look_again() -> None:
            """Also while the run waits for sites, and has no events."""
            look()
            if not over:
                with suppress(RuntimeError):  # there is no loop
                    asyncio.get_running_loop().call_later(_EVERY, look_again)

        def look() -> None:
            nonlocal over, seen
            if over:
                return
            code = beside[0].poll()  # before what it said is read
            over = code is not None
            if alone:
                lines = os.pread(said.fileno(), TAIL, seen).rpartition(b"\n")[0]
                for line in lines.splitlines():
                    _log_trouble(folder, targets, line.decode(errors="replace"))
                seen += len(lines) + bool(lines)
            if code and not seen:
                _log_trouble(folder, targets, _why(said, code))

        try:
            yield tell
        finally:
            for process in beside:
                if not alone:
                    _wait(process, folder, targets, said)
                elif process.returncode is None:
                    process.returncode = 0  # it is another's child soon, so nobody here is to ask for its end


def _start(folder: RunFolder, targets: Sequence[Target], said: IO[bytes], *, alone: bool) -> subprocess.Popen[bytes]:
    from fltui.job.handover import LIFELINE

    beside = ["--beside"] if alone else []
    environment = {name: value for name, value in os.environ.items() if name != LIFELINE}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fltui", "track", str(folder.root), *beside],
        env={**environment, VARIABLE: join_targets(target.whole for target in targets)},
        stdin=subprocess.DEVNULL,
        stdout=said if alone else subprocess.DEVNULL,
        stderr=None if alone else said,
        start_new_session=True,  # Ctrl-C is for the run; it ends with that
    )
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    return process


def _wait(process: subprocess.Popen[bytes], folder: RunFolder, targets: Sequence[Target], said: IO[bytes]) -> None:
    try:
        code = _ended(process)
    except (subprocess.TimeoutExpired, KeyboardInterrupt, StoppedError):
        process.kill()
        process.wait()
        say_trouble(folder, targets, "it was not done when the run was")
        return
    if code:
        say_trouble(folder, targets, _why(said, code))


def _why(said: IO[bytes], code: int) -> str:
    return last_sentence(tail(said.fileno()), f"it ended with exit code {code}")


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process; a person who looks on is told that it is awaited.

    Raises:
        subprocess.TimeoutExpired: it does not end.
    """
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_UNSAID)
    if sys.stderr.isatty():
        typer.echo("telling trackers the rest; Ctrl-C leaves that", err=True)
    return process.wait(_PATIENCE)


def say_trouble(folder: RunFolder, targets: Sequence[Target], why: str) -> None:
    """Print the line."""
    typer.echo(f"warning: {_trouble(folder, targets, why)}", err=True)


def _log_trouble(folder: RunFolder, targets: Sequence[Target], why: str) -> None:
    """Put the line into the log of a run that is not over; a disk that is full costs the line."""
    from fltui.run.logs import ServerLog

    with suppress(OSError), closing(ServerLog(folder.logs / "server.log")) as log:
        log.warn(_trouble(folder, targets, why))


def _trouble(folder: RunFolder, targets: Sequence[Target], why: str) -> str:
    to = [argument for target in targets for argument in ("--to", target.text)]
    again = shlex.join(["fltui", "track", str(folder.root), *to])
    return f"tracking: {visible(why)}; for what is lacking type: {visible(again)}"
