"""``fltui doctor``: whether an exchange folder is safe to use, and what to do if not."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fltui.cli.options import DEFAULT_RUNS, Json, Runs, say, say_json
from fltui.errors import BadInputError
from fltui.exchange.visible import visible

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_NAME_WIDTH = 16
_WIDEST = 120


def _folder(text: str | Path) -> Path:
    """The folder that a person names; `Path` would take no name for the current one.

    Raises:
        BadInputError: it has no name.
    """
    if not str(text).strip():
        raise BadInputError("no exchange folder is named, the name is empty; '.' is the current folder")
    return Path(text)


def doctor(
    exchange: Annotated[
        Path, typer.Argument(metavar="EXCHANGE", help="The exchange folder; it need not exist yet.", parser=_folder)
    ],
    side: Annotated[
        str, typer.Option("--as", metavar="SIDE", help="Who asks: 'server' or a site's name; found out by default.")
    ] = "",
    model_size: Annotated[str, typer.Option(help="Size of the model, to compare with the room: 500MB, 4GB.")] = "",
    runs: Runs = DEFAULT_RUNS,
    json: Json = False,
) -> None:
    """Examine an exchange folder: permissions, file system, renames, events, room, leftovers, signs of life.

    Says in plain words what is unsafe and how to mend it. Exits with 0 if nothing is unsafe, 1 if something is, 2 for
    bad input. What it makes while trying is in a folder of its own that goes away again; a run that is on is not
    disturbed.

    Example: fltui doctor /mnt/shared/exchange

    Example: sudo -u fl-site-1 fltui doctor /srv/fl/exchange --as site-1 --model-size 4GB
    """
    from fltui.exchange.doctor.examine import Examination
    from fltui.exchange.doctor.finding import Level

    size = _size(model_size)
    progress = _Progress(shown=not json and sys.stderr.isatty())
    examination = Examination(
        exchange.absolute(), side=side, model_size=size, runs=runs.absolute(), begun=progress.begun
    )
    counts = dict.fromkeys(Level, 0)
    with contextlib.closing(examination.findings()) as findings:
        for found in findings:
            progress.clear()
            counts[found.level] += 1
            if json:
                say_json(msgspec.structs.asdict(found))
            else:
                _say(found.level, found.name, found.seen, found.fix)
            sys.stdout.flush()
    unsafe = counts[Level.UNSAFE]
    if json:
        totals = {level.value: count for level, count in counts.items()}
        say_json({"exchange": str(exchange.absolute()), "as": examination.side, "safe": not unsafe, **totals})
    else:
        verdict = f"unsafe: {unsafe}" if unsafe else "nothing unsafe"
        who = f"; asked as {examination.side}" if examination.side else ""
        say(f"{verdict}, warnings: {counts[Level.WARNING]}, notes: {counts[Level.NOTE]}{who}")
    if unsafe:
        from fltui import cli

        raise typer.Exit(cli.FAILED)


def _size(text: str) -> int:
    """Bytes of ``4GB``, ``500 MB`` or ``1000``; 0 for an empty text.

    Raises:
        BadInputError: it is no size.
    """
    if not text:
        return 0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower(), re.ASCII)
    if not found or (found[3] and not found[2]):
        raise BadInputError(f"--model-size is {text!r}, expected a number with a unit, as in 500MB or 4GiB")
    unit = 1024 ** "kmgt".index(found[2]) * 1024 if found[3] else _UNITS[found[2]]
    return int(float(found[1]) * unit)


def _say(level: str, name: str, seen: str, fix: str) -> None:
    """One finding as lines: what was seen, and under it what to do."""
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    head = f"{level:8}{name:{_NAME_WIDTH}} "
    indent = " " * len(f"{'':8}{'':{_NAME_WIDTH}} ")
    room = max(width - len(indent), 40)
    lines = textwrap.wrap(visible(seen), room, break_on_hyphens=False)
    if fix:
        lines += textwrap.wrap(f"fix: {visible(fix)}", room, subsequent_indent="     ", break_on_hyphens=False)
    say(head + lines[0])
    for line in lines[1:]:
        say(indent + line)


class _Progress:
    """Says on a terminal what is being tried, until there is a finding."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown

    def begun(self, name: str) -> None:
        """A check begins."""
        if self._shown:
            print(f"\r\x1b[Ktrying: {name}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
