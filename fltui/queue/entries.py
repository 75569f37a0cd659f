"""Entries, and how they stand: derived from their documents and the journals of their runs, never stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec

from fltui.errors import BadInputError
from fltui.queue.documents import AbortRequest, Claim, EntryAbout, EntryEnd, read_document
from fltui.queue.folder import EntryFolder, QueueFolder
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder
from fltui.run.state import RunState

_T = TypeVar("_T", bound=msgspec.Struct)


class Standing(StrEnum):
    """Where an entry stands."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


@dataclass(frozen=True)
class Entry:
    """An entry as it was read.

    Attributes:
        folder: where it lies.
        about: what was submitted.
        claim: the run that was chosen for it; None before it had its turn.
        abort: what a person asked for.
        end: how it ended, where the server has seen it.
        run_state: of its run, where that has begun and the entry has no `end`.
    """

    folder: EntryFolder
    about: EntryAbout
    claim: Claim | None = None
    abort: AbortRequest | None = None
    end: EntryEnd | None = None
    run_state: RunState | None = None

    @property
    def id(self) -> str:
        """The entry's id."""
        return self.folder.id

    @property
    def run(self) -> RunFolder | None:
        """The folder of its run; it need not be there yet, or any more."""
        return RunFolder(self.claim.root) if self.claim else None

    @property
    def status(self) -> RunStatus:
        """That of its run; `SUBMITTED` as long as that has not begun."""
        if self.end is not None:
            return RunStatus(self.end.state)
        return self.run_state.status if self.run_state else RunStatus.SUBMITTED

    @property
    def reason(self) -> str:
        """Why it ended, or is paused, where there is something to say."""
        if self.end is not None:
            return self.end.reason
        return self.run_state.reason if self.run_state else ""

    @property
    def standing(self) -> Standing:
        """See the class."""
        return self.standing_with(self.status)

    def standing_with(self, status: RunStatus) -> Standing:
        """`standing`, where the status of its run is known from elsewhere."""
        if self.end is not None or status.is_finished:
            return Standing.OVER
        return Standing.RUNNING if self.claim else Standing.WAITING

    @property
    def turn(self) -> tuple[int, str]:
        """What comes first has the lesser one."""
        return self.about.order, self.id


def read_entry(folder: EntryFolder, *, with_run: bool = True) -> Entry:
    """Read an entry.

    Args:
        folder: where it lies.
        with_run: read the journal of its run, too, where that tells how it stands.

    Raises:
        BadInputError: it is none, or a document of it is malformed; the sentence says which.
    """
    try:
        entry = _read(folder)
    except OSError as error:
        raise BadInputError(f"{error.filename or folder.root} cannot be read: {error.strerror}") from error
    if not with_run or entry.run is None or entry.end is not None:
        return entry
    return replace(entry, run_state=state_of(entry.run))


def _read(folder: EntryFolder) -> Entry:
    if folder.root.is_symlink() or not folder.root.is_dir():
        raise BadInputError(f"{folder.root} is not an entry of the queue: entries are folders")
    try:
        about = read_document(folder.about, EntryAbout)
    except FileNotFoundError as error:
        hint = "; a job folder belongs into incoming/" if (folder.root / "meta.json").is_file() else ""
        raise BadInputError(f"{folder.root} is not an entry of the queue: it has no entry.json{hint}") from error
    claim, abort, end = (
        _if_there(folder.claim, Claim),
        _if_there(folder.abort, AbortRequest),
        _if_there(folder.end, EntryEnd),
    )
    return Entry(folder, about, claim, abort, end)


def _if_there(path: Path, kind: type[_T]) -> _T | None:
    try:
        return read_document(path, kind)
    except FileNotFoundError:
        return None


def state_of(run: RunFolder) -> RunState | None:
    """The state of a run; None where it has not begun.

    Raises:
        BadInputError: its journal cannot be read.
    """
    if not run.journal.is_file():
        return None
    state = run.state()
    return state if state.run else None


@dataclass(frozen=True)
class Listing:
    """What lies in a queue.

    Attributes:
        entries: in the order of their turns.
        faults: name to one sentence about what is no entry, or none that can be read.
    """

    entries: list[Entry]
    faults: dict[str, str]


def read_queue(queue: QueueFolder, *, with_runs: bool = True) -> Listing:
    """Read all entries. What cannot be read does not hide the others.

    Args:
        queue: the queue.
        with_runs: see `read_entry`.

    Raises:
        BadInputError: there is no queue.
    """
    entries, faults = [], {}
    for folder in queue.entries():
        try:
            entries.append(read_entry(folder, with_run=with_runs))
        except BadInputError as error:
            if folder.root.exists():  # else it was deleted meanwhile
                faults[folder.id] = str(error)
    return Listing(sorted(entries, key=lambda entry: entry.turn), faults)


def find_entry(name: str, queue: QueueFolder) -> Entry:
    """The entry that a person means: an id, its beginning or end, or ``last``.

    Raises:
        BadInputError: there is none, more than one, or it cannot be read.
    """
    if not name.strip():
        raise BadInputError("no entry is named: give an entry's id, its beginning or end, or 'last'")
    listing = read_queue(queue)
    if name in listing.faults:
        raise BadInputError(listing.faults[name])
    known = listing.entries
    found = known[-1:] if name == "last" else [entry for entry in known if entry.id == name]
    found = found or [entry for entry in known if entry.id.endswith(name) or entry.id.startswith(name)]
    if len(found) != 1:
        what = "no entry" if not found else f"{len(found)} entries"
        raise BadInputError(f"{name!r} names {what} of queue {queue.root}; 'fltui queue list' lists them")
    return found[0]
