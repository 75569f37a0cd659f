"""What the commands of all benchmarks share: their options, the heading of a report, an end in good order."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import msgspec

from benchmarks.peers.machine import Machine, this_machine
from benchmarks.peers.processes import adopt_orphans


class Heading(msgspec.Struct, frozen=True):
    """When, where and of what the figures are."""

    date: str
    machine: Machine
    version: str

    def line(self) -> str:
        """The same for people."""
        at = self.machine
        return (
            f"fltui {self.version}, {self.date}, {at.cores} cores ({at.processor}), {at.memory_gb:.1f} GB, "
            f"{at.kernel}, {at.file_system}, Python {at.python}"
        )


def this_heading() -> Heading:
    """The heading of what is measured now, in the folder for temporary files."""
    return Heading(datetime.now(UTC).date().isoformat(), this_machine(Path(tempfile.gettempdir())), version("fltui"))


def parser_of(name: str, description: str, repeats: int) -> argparse.ArgumentParser:
    """A parser with the options that all have; `repeats` is how often by default."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--repeats", type=count, default=repeats, metavar="N", help=f"runs of each measurement ({repeats})"
    )
    return parser


def count(text: str) -> int:
    """A number of at least 1, from an option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def counts(text: str) -> list[int]:
    """Numbers of at least 1, separated by commas, from an option."""
    return [count(part) for part in text.split(",")]


def end_in_order() -> None:
    """After Ctrl-C or SIGTERM, end without a traceback, and with the processes and the files of the job at hand.

    Raises:
        SystemExit: the system is not Linux.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    adopt_orphans()


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def say(what: str) -> None:
    """Tell the person who waits what is measured now."""
    print(what, file=sys.stderr, flush=True)


def lines_of_problems(problems: dict[str, str]) -> list[str]:
    """What went wrong, one line each with where; nothing if nothing did."""
    found = [f"{where}: {problem}" for where, problem in problems.items() if problem]
    return ["", "what went wrong", *found] if found else []
