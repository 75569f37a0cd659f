"""The run folder: where everything about one run lies, readable with ``ls``, ``cat`` and ``numpy.load``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fltui.errors import BadInputError
from fltui.exchange.durable import make_folder, sync_folder
from fltui.exchange.layout import check_run_id, new_run_id, run_stamp
from fltui.exchange.lock import hold, is_held
from fltui.run.events import AnyEvent
from fltui.run.journal import read_events, read_journal
from fltui.run.state import RunState, fold


def empty_folder(path: Path) -> Path:
    """Make a folder, or empty the one that is there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    root: Path

    @property
    def run(self) -> str:
        """The run's id, which is the folder's name."""
        return self.root.name

    @property
    def job(self) -> Path:
        """The exported job as it was run."""
        return self.root / "job"

    @property
    def journal(self) -> Path:
        """Every event, see `events`."""
        return self.root / "journal.jsonl"

    @property
    def models(self) -> Path:
        """A folder a round, and the pointer ``final``."""
        return self.root / "models"

    @property
    def store(self) -> Path:
        """Accepted arrays by digest, until their round is over; for good if the run keeps them."""
        return self.root / "store"

    @property
    def scratch(self) -> Path:
        """Arrays of the round that runs, as filters have made them."""
        return self.root / "scratch"

    @property
    def logs(self) -> Path:
        """``server.log`` and a log per site."""
        return self.root / "logs"

    @property
    def control(self) -> Path:
        """Requests of people to the engine."""
        return self.root / "control"

    @property
    def lock(self) -> Path:
        """Held locked by the engine as long as it lives."""
        return self.root / "lock"

    @property
    def summary(self) -> Path:
        """The outcome, for programs."""
        return self.root / "summary.json"

    @property
    def seal(self) -> Path:
        """Digests of all files when the run ended, see `fltui.run.seal`."""
        return self.root / "seal.b3"

    @property
    def metrics(self) -> Path:
        """Metrics by round and site, as CSV."""
        return self.root / "metrics.csv"

    def state(self) -> RunState:
        """The state folded from the journal.

        Raises:
            BadInputError: the journal is missing or broken.
        """
        return fold(read_journal(self.journal))

    def events(self) -> Iterator[Iterator[AnyEvent]]:
        """The events that are new, look after look without an end; the first look is at all there are.

        What a look gives has to be taken before the next one.

        Raises:
            BadInputError: the journal is missing or broken.
        """
        with self._readable(), self.journal.open("rb") as file:
            while True:
                yield self._new_events(file)

    def _new_events(self, file: BinaryIO) -> Iterator[AnyEvent]:
        with self._readable():
            yield from read_events(file, str(self.journal))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadInputError(f"journal {self.journal} cannot be read: {error.strerror}") from error

    def states(self) -> Iterator[RunState]:
        """The state as it is now, again and again for who waits for a change: every look reads only what is new.

        It is one object that changes.

        Raises:
            BadInputError: the journal is missing or broken.
        """
        state = RunState()
        for events in self.events():
            yield fold(events, state)

    def is_alive(self) -> bool:
        """Whether an engine on this machine holds the run; False where the file system has no locks."""
        return is_held(self.lock)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process, as far as the file system has locks.

        Raises:
            BadInputError: another engine holds it.
        """
        try:
            fd = hold(self.lock)
        except BlockingIOError as error:
            raise BadInputError(f"run {self.run} is being run by another process") from error
        try:
            yield
        finally:
            if fd is not None:
                os.close(fd)


def create_run(runs: Path, job_name: str, *, durable: bool = False) -> RunFolder:
    """A new run folder with a new id.

    Args:
        runs: the folder of run folders.
        job_name: the first part of the id.
        durable: let it survive a power cut; what is in it is for those who write it.

    Raises:
        BadInputError: it cannot be made.
    """
    while True:
        folder = RunFolder(runs / new_run_id(job_name))
        try:
            _make(folder, durable=durable)
        except FileExistsError:
            if not runs.is_dir():
                raise BadInputError(f"runs folder {runs} is not a folder") from None
            continue
        except OSError as error:
            raise _unusable(runs, error) from error
        return folder


def create_chosen_run(runs: Path, run: str, *, durable: bool = False) -> RunFolder:
    """The folder of a run whose id was chosen before. What a server left there that died before it began is removed.

    Args:
        runs: the folder of run folders.
        run: the id.
        durable: see `create_run`.

    Raises:
        BadInputError: it is no id of a run, the run has begun already, something else lies there, or it cannot be made.
    """
    folder = RunFolder(runs / check_run_id(run))
    try:
        if folder.root.is_symlink() or folder.root.exists():
            _check_not_begun(folder)
            shutil.rmtree(folder.root)
        _make(folder, durable=durable)
    except OSError as error:
        raise _unusable(runs, error) from error
    return folder


def _make(folder: RunFolder, *, durable: bool) -> None:
    runs = folder.root.parent
    make_folder(runs, durable=durable)
    folder.root.mkdir()
    for part in (folder.models, folder.store, folder.logs, folder.control):
        part.mkdir()
    if durable:
        sync_folder(folder.root)
        sync_folder(runs)


def _unusable(runs: Path, error: OSError) -> BadInputError:
    return BadInputError(f"runs folder {runs} cannot be used: {error.strerror} ({error.filename})")


def _check_not_begun(folder: RunFolder) -> None:
    """Make sure that nothing is lost with a folder: it holds what there is before the first event, and nothing else."""
    if folder.root.is_symlink() or not folder.root.is_dir():
        raise BadInputError(f"run {folder.run} cannot begin: {folder.root} is there already, and is not a folder")
    if folder.is_alive() or (folder.journal.is_file() and folder.state().run):
        raise BadInputError(f"run {folder.run} has begun already; 'fltui resume {folder.run}' goes on with it")
    parts = (folder.job, folder.journal, folder.models, folder.store, folder.scratch, folder.logs, folder.control)
    known = {part.name for part in (*parts, folder.lock, folder.metrics)}
    for path in sorted(folder.root.iterdir()):
        if path.name not in known and not path.name.startswith("."):
            raise BadInputError(
                f"run {folder.run} cannot begin: its folder holds {path.name}, which no server has left there; "
                f"move {folder.root} away"
            )


def list_runs(runs: Path, *, broken: bool = False) -> Iterator[RunFolder]:
    """The runs in a folder, newest first; with `broken` also those without a journal that can be read."""
    if runs.is_dir():
        found = [entry for entry in runs.iterdir() if _is_run(entry, broken=broken)]
        yield from sorted(map(RunFolder, found), key=_begun, reverse=True)


def _is_run(folder: Path, *, broken: bool) -> bool:
    found = RunFolder(folder)
    return found.journal.is_file() or (broken and (found.seal.is_file() or (found.job / "meta.json").is_file()))


def _begun(folder: RunFolder) -> tuple[str, int]:
    """The time in the id, then that of the lock file, which is written once."""
    try:
        return run_stamp(folder.run), folder.lock.stat().st_mtime_ns
    except OSError:
        return run_stamp(folder.run), 0


def check_run_name(name: str) -> None:
    """Make sure that a person has named a run at all: an empty name is the beginning of every id.

    Raises:
        BadInputError: `name` is empty.
    """
    if not name.strip():
        raise BadInputError("no run is named, the name is empty: give a run's id, its beginning or end, or 'last'")


def find_run(name: str, runs: Path, *, broken: bool = False) -> RunFolder:
    """The run that a person means: a folder, an id, the end of an id, or ``last``.

    Args:
        name: what the person said.
        runs: folder of run folders.
        broken: it may be one without a journal that can be read.

    Raises:
        BadInputError: there is none, or more than one.
    """
    check_run_name(name)
    if _is_run(Path(name), broken=broken):
        return RunFolder(Path(name).resolve())
    known = list(list_runs(runs, broken=broken))
    found = known[:1] if name == "last" else [run for run in known if run.run == name]
    found = found or [run for run in known if run.run.endswith(name) or run.run.startswith(name)]
    if len(found) != 1:
        what = "no run" if not found else f"{len(found)} runs"
        raise BadInputError(f"{name!r} names {what} in {runs}; 'fltui runs' lists them")
    return found[0]
