"""The lists of the home screen: the jobs in some folders, the runs in another."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fltui.console.safe import safe, safe_struct
from fltui.errors import BadInputError
from fltui.exchange.manifest import MALFORMED
from fltui.job.find import find_job
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder, list_runs
from fltui.run.journal import read_events
from fltui.run.state import RunState, apply

_MOST_TEXT = 1 << 20
"""Bytes of a Python file that are looked through for a job."""

_Stamp = tuple[int, ...]
"""What differs when a file or folder has changed."""


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class JobEntry:
    """A job that can be run.

    Attributes:
        name: harmless text.
        path: the job script or job folder.
        kind: ``script`` or ``folder``.
    """

    name: str
    path: Path
    kind: str


class JobList:
    """Looks for jobs again and again; what did not change is read once.

    Args:
        folders: each is a job itself or holds jobs.
    """

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._known: dict[Path, tuple[_Stamp, JobEntry | None]] = {}

    def read(self) -> list[JobEntry]:
        """The jobs, by name; one that is found twice stands there once."""
        found: dict[Path, JobEntry] = {}
        seen: dict[Path, tuple[_Stamp, JobEntry | None]] = {}
        for folder in self._folders:
            for place in [folder, *_entries(folder)]:
                seen[place] = known = self._look(place)
                if known[1] is not None:
                    found.setdefault(known[1].path.resolve(), known[1])
        self._known = seen
        return sorted(found.values(), key=lambda entry: (entry.name, str(entry.path)))

    def _look(self, place: Path) -> tuple[_Stamp, JobEntry | None]:
        stamp = _stamp(place)
        known = self._known.get(place)
        return known if known is not None and known[0] == stamp else (stamp, _job(place))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def _job(place: Path) -> JobEntry | None:
    try:
        if place.is_file() and not (place.suffix == ".py" and _mentions_job(place)):
            return None
        path = find_job(place)
    except (BadInputError, OSError):
        return None
    name = path.name if path.is_dir() else place.resolve().stem
    return JobEntry(safe(name, 64), path, "folder" if path.is_dir() else "script")


def _mentions_job(script: Path) -> bool:
    with script.open("rb") as file:
        return b"FedJob" in file.read(_MOST_TEXT)


@dataclass(frozen=True)
class RunEntry:
    """A run in the list; every text is harmless.

    Attributes:
        folder: where it lies.
        job: its name.
        status: what the journal says.
        alive: whether an engine of this machine holds it.
        reason: why it failed, or why it cannot be read.
        rounds: how many are finished.
        total: how many there are to be.
        started: seconds since the epoch.
        seconds: how long it took.
        metrics: of the last finished round.
    """

    folder: RunFolder
    job: str = ""
    status: RunStatus | None = None
    alive: bool = False
    reason: str = ""
    rounds: int = 0
    total: int = 0
    started: float = 0.0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return not self.alive and (self.status is None or self.status.is_finished)


class _Summary(msgspec.Struct):
    """The parts of ``summary.json`` that the list shows."""

    job: str
    state: RunStatus
    reason: str
    rounds: int
    total_rounds: int
    started: float
    seconds: float
    metrics: dict[str, float]


class RunReader:
    """Reads runs again and again; of what grows only what is new is read."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[_Stamp, RunEntry]] = {}
        self._folds: dict[Path, _Fold] = {}

    def read(self, folder: RunFolder) -> RunEntry:
        """A run as it is now. Takes long the first time; not for the app's thread."""
        alive = folder.is_alive()
        stamp = (*_stamp(folder.journal), alive)
        known = self._known.get(folder.root)
        if known is not None and known[0] == stamp:
            return known[1]
        entry = self._read(folder, alive=alive)
        self._known[folder.root] = (stamp, entry)
        return entry

    def keep(self, roots: Collection[Path]) -> None:
        """Forget all runs but these."""
        self._known = {root: known for root, known in self._known.items() if root in roots}
        self._folds = {root: fold for root, fold in self._folds.items() if root in roots}

    def _read(self, folder: RunFolder, *, alive: bool) -> RunEntry:
        summary = None if alive else _summary(folder)
        if summary is not None:
            return summary
        fold = self._folds.setdefault(folder.root, _Fold(folder))
        try:
            state = fold.go_on()
        except (BadInputError, KeyError, OSError) as error:
            del self._folds[folder.root]
            return RunEntry(folder, reason=safe(f"run {folder.run} cannot be read: {error}"))
        if state.status.is_finished:
            del self._folds[folder.root]
        return RunEntry(
            folder,
            state.job,
            state.status,
            alive,
            state.reason,
            state.rounds_done,
            state.total_rounds,
            state.started,
            state.seconds,
            dict(state.metrics),
        )


class RunList:
    """Reads the runs of a folder again and again.

    Args:
        runs: folder of run folders.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._reader = RunReader()

    def read(self) -> list[RunEntry]:
        """The runs, newest first. Takes long the first time; not for the app's thread."""
        found = [self._reader.read(folder) for folder in list_runs(self._runs)]
        self._reader.keep({entry.folder.root for entry in found})
        return found


class _Fold:
    """The state of a run whose journal grows."""

    def __init__(self, folder: RunFolder) -> None:
        self._journal = folder.journal
        self._place = (0, 0)
        self._state = RunState()

    def go_on(self) -> RunState:
        """The state after what is new."""
        with self._journal.open("rb") as journal:
            file, at = os.fstat(journal.fileno()), self._place[1]
            if file.st_ino != self._place[0] or file.st_size < at:
                self._state, at = RunState(), 0
            journal.seek(at)
            for event in read_events(journal, str(self._journal)):
                self._state = apply(self._state, safe_struct(event))
            self._place = (file.st_ino, journal.tell())
        return self._state


def _summary(folder: RunFolder) -> RunEntry | None:
    """The outcome that the engine wrote at the end; None if the run has not ended, or was resumed after an end."""
    try:
        if not has_ended(folder.journal):
            return None
        found = safe_struct(msgspec.json.decode(folder.summary.read_bytes(), type=_Summary))
    except (OSError, *MALFORMED):
        return None
    return RunEntry(
        folder,
        found.job,
        found.state,
        False,
        found.reason,
        found.rounds,
        found.total_rounds,
        found.started,
        found.seconds,
        found.metrics,
    )


def has_ended(journal: Path) -> bool:
    """Whether the journal's last line is the end of a run.

    Raises:
        OSError: it cannot be read.
    """
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - (64 << 10)))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    return b'"event":"run_finished"' in last
