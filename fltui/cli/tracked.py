"""``--track``: a run that is being told to trackers, by a process beside it that can neither hold nor harm it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Annotated

import typer

from fltui.exchange.visible import visible
from fltui.job.handover import LIFELINE
from fltui.run.events import AnyEvent
from fltui.run.folder import RunFolder

_VARIABLE = "FLTUI_TRACK"

_PATIENCE = 60.0
"""Seconds that a tracker may take to be told of the last of it when the run is over."""

_NICENESS = 10
_TAIL = 4096


def _checked(targets: list[str] | None) -> list[str] | None:
    """The targets, once it is sure that they are some: before there is a run. Runs that a queue begins get them, too.

    Raises:
        BadInputError: one is none.
    """
    if targets:
        from fltui.tracking.targets import parse_target

        for target in targets:
            parse_target(target, "--track")
        os.environ[_VARIABLE] = " ".join(targets)
    return targets


Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        envvar=_VARIABLE,
        metavar="TARGET",
        callback=_checked,
        help="Tell an experiment tracker as the run goes on, see 'fltui track --help'; may be given again.",
    ),
]


@contextmanager
def tracked(folder: RunFolder, targets: Sequence[str] | None) -> Iterator[Callable[[AnyEvent], None]]:
    """What a run's events are to be given to: with the first one, ``fltui track`` begins. What goes wrong is a line."""
    if not targets:
        yield lambda _: None
        return
    with tempfile.TemporaryFile() as said:
        beside: list[subprocess.Popen[bytes]] = []
        tried = False

        def begin(_: AnyEvent) -> None:
            nonlocal tried
            if not tried:
                tried = True
                try:
                    beside.append(_start(folder, targets, said))
                except OSError as error:
                    _warn(folder, targets, f"it cannot be started: {error.strerror}")

        try:
            yield begin
        finally:
            for process in beside:
                _wait(process, folder, targets, said)


def _start(folder: RunFolder, targets: Sequence[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
    to = [argument for target in targets for argument in ("--to", target)]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fltui", "track", str(folder.root), *to],
        env={name: value for name, value in os.environ.items() if name not in (LIFELINE, _VARIABLE)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        start_new_session=True,  # Ctrl-C is for the run; it ends with that
    )
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    return process


def _wait(process: subprocess.Popen[bytes], folder: RunFolder, targets: Sequence[str], said: IO[bytes]) -> None:
    try:
        code = process.wait(_PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
        _warn(folder, targets, "it was not done when the run was")
        return
    if code:
        size = said.seek(0, os.SEEK_END)
        said.seek(max(0, size - _TAIL))
        lines = said.read().decode(errors="replace").strip().splitlines() or [f"it ended with exit code {code}"]
        _warn(folder, targets, lines[-1].removeprefix("error: "))


def _warn(folder: RunFolder, targets: Sequence[str], why: str) -> None:
    to = " ".join(f"--to {target}" for target in targets)
    again = f"'fltui track {folder.run} {to}' adds what is lacking"
    typer.echo(f"warning: tracking: {visible(why)}; {visible(again)}", err=True)
