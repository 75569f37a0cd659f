"""The queue as the home screen lists it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fltui.console.runs.listing import RunEntry, RunReader
from fltui.console.safe import safe
from fltui.errors import BadInputError
from fltui.queue.entries import Entry, Standing, read_entry
from fltui.queue.folder import EntryFolder, QueueFolder
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder

MOST_OVER = 200
"""Entries that are over and listed, the newest; a queue may have seen thousands."""


@dataclass(frozen=True)
class QueueLine:
    """One entry, in harmless text.

    Attributes:
        folder: the entry's.
        job: name of its job.
        sites: for whom it is; empty where the job says it.
        standing: None for what is no entry, or cannot be read.
        status: of its run.
        reason: why it ended, or cannot be read.
        run: the folder of its run, where that was chosen.
    """

    folder: EntryFolder
    job: str = ""
    sites: str = ""
    standing: Standing | None = None
    status: RunStatus = RunStatus.SUBMITTED
    reason: str = ""
    run: RunFolder | None = None


@dataclass(frozen=True)
class QueueView:
    """A queue as it is now.

    Attributes:
        lines: what runs and waits, in order, then what is over, the last first.
        fault: why the queue cannot be read, in harmless text; then there are no lines.
    """

    lines: list[QueueLine]
    fault: str = ""


class QueueList:
    """Reads a queue again and again; what is over is read once, and of the journals of runs only what is new.

    Args:
        folder: of the queue, which need not be there.
        runs: the folder of run folders that is listed beside it, whose runs are not read once more.
    """

    def __init__(self, folder: Path | None, runs: Path) -> None:
        self.queue = QueueFolder(folder) if folder is not None else None
        self._runs = runs
        self._reader = RunReader()
        self._over: dict[str, tuple[tuple[int, str], QueueLine]] = {}

    def read(self, runs: Mapping[Path, RunEntry]) -> QueueView | None:
        """What there is; None where there is no queue.

        Args:
            runs: folder to run, as they are listed beside the queue.
        """
        if self.queue is None:
            return None
        try:
            if not self.queue.root.is_dir():
                return None
            folders = self.queue.entries()
        except (BadInputError, OSError) as error:
            return QueueView([], safe(str(error)))
        self._over = {folder.id: self._over[folder.id] for folder in folders if folder.id in self._over}
        live: list[tuple[bool, tuple[int, str], QueueLine]] = []
        broken: list[QueueLine] = []
        read: set[Path] = set()
        for folder in folders:
            if folder.id in self._over:
                continue
            try:
                entry = read_entry(folder, with_run=False)
                line = self._line(entry, runs, read)
            except BadInputError as error:
                broken.append(QueueLine(folder, reason=safe(str(error))))
                continue
            if entry.end is not None:
                self._over[folder.id] = entry.turn, line
            else:
                live.append((line.standing is Standing.WAITING, entry.turn, line))
        self._reader.keep(read)
        live.sort(key=lambda one: one[:2])
        over = sorted(self._over.values(), key=lambda one: one[0], reverse=True)[:MOST_OVER]
        return QueueView([*(line for *_, line in live), *broken, *(line for _, line in over)])

    def _line(self, entry: Entry, runs: Mapping[Path, RunEntry], read: set[Path]) -> QueueLine:
        """An entry with what is known of its run.

        Raises:
            BadInputError: the journal of its run cannot be read.
        """
        status, reason = entry.status, entry.reason
        run = self._run_of(entry, runs, read)
        if run is not None:
            if run.status is None:
                raise BadInputError(run.reason)
            status, reason = run.status, run.reason
        return QueueLine(
            entry.folder,
            safe(entry.about.job),
            safe(entry.about.wishes.sites_text),
            entry.standing_with(status),
            status,
            safe(reason),
            entry.run,
        )

    def _run_of(self, entry: Entry, runs: Mapping[Path, RunEntry], read: set[Path]) -> RunEntry | None:
        """The run of an entry that is not over; None where it has not begun, or the list of runs has not met it yet."""
        folder = entry.run
        if folder is None or entry.end is not None:
            return None
        if folder.root.parent == self._runs:
            return runs.get(folder.root)
        if not os.path.isfile(folder.journal):  # noqa: PTH113 - which tells of no error
            return None
        read.add(folder.root)
        return self._reader.read(folder)
