"""The queue as the home screen lists it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fltui.console.safe import safe
from fltui.errors import BadInputError
from fltui.queue.folder import EntryFolder, QueueFolder
from fltui.queue.standing import Entry, Standing, read_entry
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


class QueueList:
    """Reads a queue again and again; what is over is read once.

    Args:
        folder: of the queue, which need not be there.
    """

    def __init__(self, folder: Path | None) -> None:
        self.queue = QueueFolder(folder) if folder is not None else None
        self._over: dict[str, tuple[tuple[int, str], QueueLine]] = {}

    def read(self) -> list[QueueLine] | None:
        """What runs and waits, in order, then what is over, the last first; None where there is no queue."""
        if self.queue is None or not self.queue.root.is_dir():
            return None
        try:
            folders = self.queue.entries()
        except BadInputError as error:
            return [QueueLine(EntryFolder(self.queue.root), reason=safe(str(error)))]
        self._over = {folder.id: self._over[folder.id] for folder in folders if folder.id in self._over}
        live: list[tuple[bool, tuple[int, str], QueueLine]] = []
        broken: list[QueueLine] = []
        for folder in folders:
            if folder.id in self._over:
                continue
            try:
                entry = read_entry(folder)
            except BadInputError as error:
                broken.append(QueueLine(folder, reason=safe(str(error))))
                continue
            line = _line(entry)
            if entry.end is not None:
                self._over[folder.id] = entry.turn, line
            else:
                live.append((entry.standing is Standing.WAITING, entry.turn, line))
        live.sort(key=lambda one: one[:2])
        over = sorted(self._over.values(), key=lambda one: one[0], reverse=True)[:MOST_OVER]
        return [*(line for *_, line in live), *broken, *(line for _, line in over)]


def _line(entry: Entry) -> QueueLine:
    return QueueLine(
        entry.folder,
        safe(entry.about.job),
        safe(entry.about.wishes.sites_text),
        entry.standing,
        entry.status,
        safe(entry.reason),
        entry.run,
    )
