"""What a system is asked to do, and how: the one thing that the rest of this benchmark knows of fltui and the peers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SITES = 2

HELLO_ROUNDS = 3
"""Rounds of the tutorial."""

SCRIPTS = Path(__file__).resolve().parent / "scripts"


@dataclass(frozen=True)
class Job:
    """One job, ready to be run.

    Attributes:
        command: what runs it, from its start to its end.
        final: where the final array is then: a pattern below the job's folder, with exactly one match.
        notes: the file in which the sites note when each round reached them; `None` if they note nothing.
    """

    command: list[str]
    final: str
    notes: Path | None = None


class System(Protocol):
    """A system that runs the job.

    Attributes:
        name: what people call it.
        version: of the installed package.
    """

    name: str
    version: str

    def hello(self, folder: Path, start: Path) -> Job:
        """The tutorial's job, prepared in the empty `folder`: `SITES` sites, `HELLO_ROUNDS` rounds from the array in
        the file `start`."""

    def sized(self, folder: Path, start: Path, rounds: int) -> Job:
        """The same with so many rounds and with notes; the array may be large."""

    def is_server(self, command_line: str) -> bool:
        """Whether a process of the job with this command line may be the server's; the largest of these is taken."""
