"""The process of one run. It dies with the one that has started it, as if it had been killed, and holds its entry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass

from fltui.exchange.plain import open_plain, open_to_append
from fltui.exchange.said import last_sentence, tail
from fltui.job.handover import LIFELINE
from fltui.queue.documents import Claim
from fltui.queue.entries import Entry
from fltui.run.folder import RunFolder
from fltui.run.state import RunState
from fltui.server.dispatch.settings import Settings
from fltui.tracking.environment import VARIABLE


class Lifeline:
    """A pipe that nobody writes into: its end of file tells the processes that their parent is gone.

    Attributes:
        fd: the end for them.
    """

    def __init__(self) -> None:
        self.fd, self._held = os.pipe()

    def close(self) -> None:
        """Tell them."""
        os.close(self._held)
        os.close(self.fd)


def progress_of(state: RunState | None) -> tuple[int, int]:
    """Grows as a run goes on: the rounds that are finished, and the results that counted."""
    return (state.rounds_done, sum(site.results for site in state.sites.values())) if state else (0, 0)


@dataclass
class Child:
    """A process that runs an entry.

    Attributes:
        entry: what it runs.
        claim: how.
        held: descriptor that holds the entry; None where the file system has no locks.
        ended: gives the exit code; below zero the signal that killed it.
        pid: process id, and that of its group.
        said_from: where in ``stderr.log`` begins what it said.
        before: `progress_of` the run when it started.
        asked: it was asked to abort its run.
    """

    entry: Entry
    claim: Claim
    held: int | None
    ended: asyncio.Task[int]
    pid: int
    said_from: int
    before: tuple[int, int]
    asked: bool = False

    @property
    def run(self) -> RunFolder:
        """Its run."""
        return RunFolder(self.claim.root)

    def kill(self) -> None:
        """Kill it, with all of its group."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the entry."""
        if self.held is not None:
            held, self.held = self.held, None
            os.close(held)

    def sentence(self, code: int) -> str:
        """Why it ended, from what it said."""
        if code < 0:
            return f"its server was killed by {signal.Signals(-code).name}"
        said = ""
        with contextlib.suppress(OSError):
            fd = open_plain(self.entry.folder.said)
            try:
                said = tail(fd, since=self.said_from)
            finally:
                os.close(fd)
        return last_sentence(said, f"its server ended with exit code {code}")


async def start(
    entry: Entry, claim: Claim, state: RunState | None, held: int | None, lifeline: Lifeline, settings: Settings
) -> Child:
    """Start what runs an entry, or goes on with its run.

    Args:
        entry: the entry, which this process holds.
        claim: its run.
        state: of the run, where it has begun.
        held: see `EntryFolder.hold`.
        lifeline: see the class.
        settings: see `Settings`.

    Raises:
        OSError: the system has no room for one more process, or what it says cannot be written.
    """
    held_by_child = () if held is None else (held,)
    words = _resume(claim, settings) if state else _serve(entry, claim, settings)
    said = open_to_append(entry.folder.said)
    try:
        said_from = os.fstat(said).st_size
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "fltui.cli.queue_child",
            *map(str, (lifeline.fd, *held_by_child)),
            "--",
            *words,
            env=_environment(settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            pass_fds=(lifeline.fd, *held_by_child),
        )
    finally:
        os.close(said)
    ended = asyncio.create_task(process.wait())
    return Child(entry, claim, held, ended, process.pid, said_from, progress_of(state))


def _environment(settings: Settings) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name not in (LIFELINE, VARIABLE)}
    return {**found, VARIABLE: settings.track} if settings.track else found


def _resume(claim: Claim, settings: Settings) -> list[str]:
    words = ["resume", str(settings.runs / claim.run), "--queued", claim.run]
    return [*words, "--job-code"] if settings.job_code else words


def _serve(entry: Entry, claim: Claim, settings: Settings) -> list[str]:
    wishes = entry.about.wishes
    words = ["server", str(entry.folder.job), "--queued", claim.run, "--runs", str(settings.runs)]
    words += ["--exchange", str(settings.exchange), "--durability", settings.durability, "--watch", settings.watch]
    words += ["--wait", str(settings.wait if wishes.wait is None else wishes.wait), "--seed", str(wishes.seed)]
    if wishes.count is not None:
        words += ["--sites", str(wishes.count)]
    elif (wishes.sites or wishes.groups) and claim.sites:
        words += ["--sites", ",".join(claim.sites)]
    if wishes.rounds is not None:
        words += ["--rounds", str(wishes.rounds)]
    keep_models = wishes.keep_models or settings.keep_models
    if keep_models is not None:
        words += ["--keep-models", str(keep_models)]
    if settings.nudge:
        words += ["--nudge", settings.nudge]
    flags = {
        "--keep-results": wishes.keep_results or settings.keep_results,
        "--job-code": settings.job_code,
        "--require-signatures": settings.require_signatures,
    }
    return [*words, *(flag for flag, given in flags.items() if given)]
