"""The lists of the home screen: the jobs in some folders, the runs in another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fltui.console.safe import safe
from fltui.errors import BadInputError
from fltui.job.find import find_job
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder, list_runs
from fltui.run.state import RunState


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


def list_jobs(folders: list[Path]) -> list[JobEntry]:
    """The jobs in `folders`, each of which is a job itself or holds jobs, by name."""
    found: dict[Path, JobEntry] = {}
    for folder in folders:
        for place in [folder, *_entries(folder)]:
            entry = _job(place)
            if entry is not None:
                found.setdefault(entry.path.resolve(), entry)
                if place is folder:
                    break
    return sorted(found.values(), key=lambda entry: (entry.name, str(entry.path)))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def _job(place: Path) -> JobEntry | None:
    try:
        if place.is_file() and not (place.suffix == ".py" and "FedJob" in place.read_text(errors="replace")):
            return None
        path = find_job(place)
    except (BadInputError, OSError):
        return None
    name = path.name if path.is_dir() else place.resolve().stem
    return JobEntry(safe(name, 64), path, "folder" if path.is_dir() else "script")


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


_Stamp = tuple[int, int, int]


class RunList:
    """Reads the runs of a folder again and again; what did not change is read once."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known: dict[Path, tuple[_Stamp, RunEntry]] = {}

    def read(self) -> list[RunEntry]:
        """The runs, newest first. Takes long the first time; not for the app's thread."""
        found = [self._entry(folder) for folder in list_runs(self._runs)]
        roots = {entry.folder.root for entry in found}
        self._known = {root: known for root, known in self._known.items() if root in roots}
        return found

    def _entry(self, folder: RunFolder) -> RunEntry:
        try:
            about = folder.journal.stat()
        except OSError as error:
            return RunEntry(folder, reason=safe(f"the journal cannot be read: {error.strerror}"))
        alive = folder.is_alive()
        stamp = (about.st_ino, about.st_size, alive)
        known = self._known.get(folder.root)
        if known is not None and known[0] == stamp:
            return known[1]
        entry = _read_entry(folder, alive=alive)
        self._known[folder.root] = (stamp, entry)
        return entry


def _read_entry(folder: RunFolder, *, alive: bool) -> RunEntry:
    summary = None if alive else _summary(folder)
    if summary is not None:
        return RunEntry(
            folder,
            safe(summary.job, 64),
            summary.state,
            alive,
            safe(summary.reason),
            summary.rounds,
            summary.total_rounds,
            summary.started,
            summary.seconds,
            _metrics(summary.metrics),
        )
    try:
        return _folded(folder, folder.state(), alive=alive)
    except BadInputError as error:
        return RunEntry(folder, reason=safe(str(error)))


def _folded(folder: RunFolder, state: RunState, *, alive: bool) -> RunEntry:
    return RunEntry(
        folder,
        safe(state.job, 64),
        state.status,
        alive,
        safe(state.reason),
        state.rounds_done,
        state.total_rounds,
        state.started,
        state.seconds,
        _metrics(state.metrics),
    )


def _metrics(found: dict[str, float]) -> dict[str, float]:
    return {safe(name, 40): value for name, value in found.items()}


def _summary(folder: RunFolder) -> _Summary | None:
    """The outcome that the engine wrote at the end; None if the run has not ended, or was resumed after an end."""
    try:
        if not _ends(folder.journal):
            return None
        return msgspec.json.decode(folder.summary.read_bytes(), type=_Summary)
    except (OSError, msgspec.DecodeError):
        return None


def _ends(journal: Path) -> bool:
    """Whether the journal's last line is the end of a run."""
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - (64 << 10)))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    return b'"event":"run_finished"' in last
