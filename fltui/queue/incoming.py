"""Job folders that people copy into ``incoming/``: taken in once nothing of them changes any more.

Nobody says when a copy is complete. So a folder is looked at until it has looked the same for a while, by the clock of
whoever looks. It becomes an entry by renames alone: a server that is killed meanwhile neither loses nor doubles it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.durable import sync_folder, sync_tree
from fltui.exchange.layout import check_name, job_of, new_run_id
from fltui.job.folder import load_job
from fltui.queue.copying import check_plain
from fltui.queue.documents import EntryAbout, Wishes, read_document
from fltui.queue.folder import INCOMING, QueueFolder, is_trouble
from fltui.queue.submitting import check_wishes, next_order, utc_now

SETTLED = 2.0
"""Seconds for which a folder has looked the same when it is taken in."""

_TAKEN = ".taken-"


@dataclass
class _Seen:
    """What a folder looked like, since when, and whether it was found wanting."""

    looks: object
    since: float
    refused: bool = False


class _Meta(msgspec.Struct):
    name: str


class Incoming:
    """Takes in what is put there; used by the one server of the queue.

    Args:
        queue: the queue.
        job_code: jobs may have code of their own.
        now: a monotonic clock.
    """

    def __init__(
        self, queue: QueueFolder, *, job_code: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._queue = queue
        self._job_code = job_code
        self._now = now
        self._seen: dict[str, _Seen] = {}
        self._faults: dict[str, str] = {}
        self._stuck: dict[str, str] = {}

    @property
    def faults(self) -> dict[str, str]:
        """Name to one sentence about what is there and is no job, or cannot be taken in."""
        return {**self._faults, **self._stuck}

    def look(self) -> tuple[list[str], float | None]:
        """Look at what is there.

        Returns:
            Ids of the entries that were made, and seconds until what is still being copied may be taken in; None where
            there is nothing of the kind.

        Raises:
            OSError: it cannot be read, or an entry not be made: the disk is full.
        """
        made, left = self._finish_taken(), None
        names = self._names()
        for gone in self._seen.keys() - set(names):
            del self._seen[gone]
            self._faults.pop(gone, None)
        for name in names:
            seen = self._look_at(name)
            if seen.refused:
                continue
            rest = seen.since + SETTLED - self._now()
            if rest > 0:
                left = rest if left is None else min(left, rest)
            elif taken := self._take(name, seen):
                made.append(taken)
        return made, left

    def _names(self) -> list[str]:
        """What people have put there."""
        if self._queue.incoming.is_symlink():
            self._stuck[INCOMING] = f"{self._queue.incoming} is a link; nothing is taken in from elsewhere"
            return []
        try:
            return sorted(name for name in os.listdir(self._queue.incoming) if not name.startswith("."))  # noqa: PTH208 - names
        except FileNotFoundError:
            self._queue.incoming.mkdir(exist_ok=True)
        except (NotADirectoryError, PermissionError) as error:
            self._stuck[INCOMING] = f"{self._queue.incoming} cannot be read: {error.strerror}"
        return []

    def _finish_taken(self) -> list[str]:
        """Go on with what was just being taken in when a disk was full, or another server was killed.

        Returns:
            The ids of the entries.

        Raises:
            OSError: as that of `look`.
        """
        self._stuck.clear()
        return [entry for folder in sorted(self._queue.root.glob(f"{_TAKEN}*")) if (entry := self._finish(folder))]

    def _finish(self, folder: Path) -> str | None:
        """The id of the entry that was made of a folder; None where none can be."""
        try:
            if job_of(folder.name.removeprefix(_TAKEN)) is None or folder.is_symlink() or not folder.is_dir():
                raise BadInputError(f"{folder} is nothing that a server has begun to take in")
            if (folder / "job").is_dir():
                return self._become_entry(folder)
            folder.rmdir()
        except BadInputError as error:
            self._stuck[folder.name] = str(error)
        except OSError as error:
            if is_trouble(error):
                raise
            self._stuck[folder.name] = f"{folder} cannot be taken in: {error.strerror} ({error.filename})"
        return None

    def _look_at(self, name: str) -> _Seen:
        path, looks = self._queue.incoming / name, object()
        fault = ""
        try:
            looks = check_plain(path) if path.is_dir() and not path.is_symlink() else path.lstat().st_mtime_ns
        except BadInputError as error:
            looks = fault = str(error)
        except OSError:  # renamed while it was looked at
            pass
        seen = self._seen.get(name)
        if seen is None or seen.looks != looks:
            seen = self._seen[name] = _Seen(looks, self._now())
            self._faults.pop(name, None)
        if fault and not seen.refused:
            self._refuse(name, seen, fault)
        return seen

    def _take(self, name: str, seen: _Seen) -> str | None:
        """Make an entry of a folder that has settled; None for what is no job."""
        path = self._queue.incoming / name
        try:
            if not (path / "meta.json").is_file():
                raise BadInputError(f"{path} is not a job folder: it has no meta.json")
            name_of_job = self._checked(path)
        except BadInputError as error:
            self._refuse(name, seen, str(error))
            return None
        folder = self._queue.root / f"{_TAKEN}{new_run_id(name_of_job)}"
        folder.mkdir()
        try:
            path.rename(folder / "job")
        except OSError as error:
            folder.rmdir()
            if isinstance(error, FileNotFoundError):
                return None  # its owner took it away
            if is_trouble(error):
                raise
            why = "it belongs to somebody else" if isinstance(error, PermissionError) else error.strerror
            self._refuse(name, seen, f"{path} cannot be taken: {why}; use 'fltui queue submit'")
            return None
        del self._seen[name]
        return self._finish(folder)

    def _checked(self, path: Path) -> str:
        """The name of a job that can be loaded. One with code of its own is loaded by the process that runs it alone,
        which says what is wrong with it: here it would run among all others.

        Raises:
            BadInputError: it cannot be.
        """
        try:
            job = load_job(path)
            job.check_scripts()
            check_wishes(job, Wishes(), {})
        except BadInputError:
            if not self._job_code:
                raise
            return check_name(read_document(path / "meta.json", _Meta).name, "job")
        return job.name

    def _become_entry(self, folder: Path) -> str:
        """Make an entry of what lies in a folder for it already.

        Raises:
            BadInputError, OSError: it cannot be.
        """
        entry = self._queue.entry(folder.name.removeprefix(_TAKEN))
        job = job_of(entry.id) or "job"
        check_plain(folder / "job")
        about = EntryAbout(order=next_order(self._queue), job=job, submitted=utc_now(), by="incoming/")
        sync_tree(folder / "job")
        taken = self._queue.entry(folder.name)
        taken.put(about, taken.about)
        self._queue.share_entry(taken)
        folder.rename(entry.root)
        sync_folder(self._queue.root)
        sync_folder(self._queue.incoming)
        return entry.id

    def _refuse(self, name: str, seen: _Seen, fault: str) -> None:
        seen.refused = True
        self._faults[name] = fault
