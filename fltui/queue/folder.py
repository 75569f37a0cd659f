"""Where things lie in a queue.

DIR/groups.json               groups of sites, written by people
DIR/incoming/                 job folders that people copy there
DIR/<entry-id>/entry.json     what was submitted; the entry exists when its folder does
DIR/<entry-id>/job/           the job
DIR/<entry-id>/claim.json     the run that the server chose for it, before it started anything
DIR/<entry-id>/abort.json     a person wants it to end
DIR/<entry-id>/end.json       it is over
DIR/<entry-id>/stderr.log     what the process of its run said
DIR/<entry-id>/lock           held by the server that runs it, and by whoever changes it

Several people write in it, and the server. So of what lies there no link is followed, and nothing is waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.durable import make_folder, naming, sync_folder
from fltui.exchange.lock import hold, is_held
from fltui.exchange.outage import AWAY, DISK_FULL
from fltui.exchange.plain import open_to_append
from fltui.exchange.publish import put_document
from fltui.queue.documents import check_document

INCOMING = "incoming"

_OWN = {INCOMING, "groups.json", "lock", "bell", "README", "README.md", "README.txt"}
"""Names in a queue that are no entries."""

_DELETED = ".deleted-"

_TROUBLE = DISK_FULL | AWAY | {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}


def is_trouble(error: OSError) -> bool:
    """Whether what failed for one entry is trouble for all of the queue, which passes: a full disk, a share that is
    away, a system that has no room for one more process. What else there is, a file that is somebody else's or a folder
    where a file should be, is that entry's own."""
    return error.errno in _TROUBLE


class EntryBusyError(BadInputError):
    """Another process holds the entry: it runs, or is being changed."""


@dataclass(frozen=True)
class EntryFolder:
    """Paths of one entry."""

    root: Path

    @property
    def id(self) -> str:
        """The entry's id, which is the folder's name."""
        return self.root.name

    @property
    def about(self) -> Path:
        """See `EntryAbout`."""
        return self.root / "entry.json"

    @property
    def job(self) -> Path:
        """The job folder."""
        return self.root / "job"

    @property
    def claim(self) -> Path:
        """See `Claim`."""
        return self.root / "claim.json"

    @property
    def abort(self) -> Path:
        """See `AbortRequest`."""
        return self.root / "abort.json"

    @property
    def end(self) -> Path:
        """See `EntryEnd`."""
        return self.root / "end.json"

    @property
    def lock(self) -> Path:
        """Held by whoever runs or changes the entry; the run's own process holds it, too, as long as it lives."""
        return self.root / "lock"

    @property
    def said(self) -> Path:
        """The standard error of the run's own process."""
        return self.root / "stderr.log"

    def put(self, document: msgspec.Struct, path: Path) -> None:
        """Write one of its documents, so that it survives a power cut and can be read by whoever shares the entry.

        Raises:
            BadInputError: it could not be read again.
            OSError: it cannot be written.
        """
        check_document(document)
        with naming(path):
            put_document(document, path, self.root, durable=True)
            if self.root.stat().st_mode & stat.S_IWGRP:
                let_group(path)

    def hold(self) -> int | None:
        """Hold the entry for this process.

        Returns:
            A descriptor; the entry is held as long as it, or what a child process was given of it, is open. None where
            the file system has no locks.

        Raises:
            EntryBusyError: another process holds it.
            OSError: it is gone, or its folder cannot be written.
        """
        try:
            return hold(self.lock)
        except BlockingIOError as error:
            raise EntryBusyError(f"entry {self.id} is being run, or changed, by another process") from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """`hold` it for a while."""
        fd = self.hold()
        try:
            yield
        finally:
            if fd is not None:
                os.close(fd)

    def is_alive(self) -> bool:
        """Whether a process of this machine holds it; False where the file system has no locks."""
        return is_held(self.lock)

    def remove(self) -> None:
        """Remove it at once, then what was in it.

        Raises:
            OSError: it cannot be renamed, or not all of it be removed.
        """
        aside = self.root.with_name(f"{_DELETED}{self.id}-{secrets.token_hex(4)}")
        self.root.rename(aside)
        sync_folder(aside.parent)
        _remove_tree(aside)


@dataclass(frozen=True)
class QueueFolder:
    """Paths of a queue."""

    root: Path

    @property
    def incoming(self) -> Path:
        """Job folders that people copy there, for the server to take in."""
        return self.root / INCOMING

    @property
    def groups(self) -> Path:
        """Groups of sites by name."""
        return self.root / "groups.json"

    @property
    def lock(self) -> Path:
        """Held by the server."""
        return self.root / "lock"

    @property
    def bell(self) -> Path:
        """Written whenever something was put there or asked for: the server watches the folder for files."""
        return self.root / "bell"

    def entry(self, name: str) -> EntryFolder:
        """The entry of that id."""
        return EntryFolder(self.root / name)

    def named(self, name: str) -> EntryFolder:
        """`entry`, for a name that somebody gave.

        Raises:
            BadInputError: no entry of the queue can have it.
        """
        if not name or name in _OWN or name.startswith(".") or Path(name).name != name or "\0" in name:
            raise BadInputError(f"{name[:120]!r} is no entry of queue {self.root}")
        return self.entry(name)

    def entries(self) -> list[EntryFolder]:
        """All entries, by id, and whatever else lies there and should not: who reads it will say so.

        Raises:
            BadInputError: there is no queue.
        """
        try:
            names = sorted(os.listdir(self.root))  # noqa: PTH208 - names
        except OSError as error:
            raise BadInputError(
                f"queue {self.root} cannot be read: {error.strerror}; 'fltui queue submit JOB --queue DIR' makes one"
            ) from error
        return [self.entry(name) for name in names if name not in _OWN and not name.startswith(".")]

    def is_served(self) -> bool:
        """Whether a server of this machine runs the queue; False where the file system has no locks."""
        return is_held(self.lock)

    def ring(self) -> None:
        """Tell the server that there is something to look at. It is a hint: the server looks by itself, too."""
        with contextlib.suppress(OSError):
            os.close(open_to_append(self.bell))
            self.share(self.bell)

    def share(self, path: Path) -> None:
        """Let the group write what was made here, where it may write in the queue: whoever submits, and the server.

        Raises:
            OSError: it is not there.
        """
        if self._is_shared:
            let_group(path, write=True)

    def share_entry(self, folder: EntryFolder) -> None:
        """`share` a new entry with its lock, which each of them has to open; the server has to read all of it.

        Raises:
            OSError: it cannot be made.
        """
        os.close(open_to_append(folder.lock))
        if self._is_shared:
            for place, _, files in os.walk(folder.root):
                for path in (Path(place), *(Path(place) / name for name in files)):
                    let_group(path, write=path in (folder.root, folder.lock))

    @property
    def _is_shared(self) -> bool:
        return bool(self.root.stat().st_mode & stat.S_IWGRP)

    def make(self) -> None:
        """Make what is missing of it.

        Raises:
            BadInputError: it cannot be made, or is not a folder that this user can write in.
        """
        try:
            make_folder(self.root, durable=True)
            if not self.incoming.is_symlink():  # of which the server says that it takes nothing in from there
                self.incoming.mkdir(exist_ok=True)
                self.share(self.incoming)
        except OSError as error:
            raise BadInputError(f"queue {self.root} cannot be used: {error.strerror} ({error.filename})") from error
        if not os.access(self.root, os.W_OK):
            raise BadInputError(f"queue {self.root} is read-only for this user")

    def tidy(self) -> None:
        """Remove what processes that were killed left of entries that were being made or deleted."""
        for aside in self.root.glob(f"{_DELETED}*"):
            with contextlib.suppress(OSError):  # somebody may be at it
                _remove_tree(aside)
        for lock in self.root.glob(".new-*.lock"):
            if not is_held(lock):
                with contextlib.suppress(OSError):  # it is somebody else's
                    _remove_tree(lock.with_suffix(""))
                with contextlib.suppress(OSError):
                    lock.unlink()


def let_group(path: Path, *, write: bool = False) -> None:
    """Let the group read a file or folder of this user, or write it, too. What is somebody else's stays as it is.

    Raises:
        OSError: it is not there.
    """
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    with contextlib.suppress(PermissionError):
        fd = os.open(path, flags)
        try:
            found = os.fstat(fd)
            is_folder = stat.S_ISDIR(found.st_mode)
            more = stat.S_IRGRP | (stat.S_IWGRP if write else 0) | (stat.S_IXGRP if is_folder else 0)
            if (is_folder or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)) and found.st_mode & more != more:
                os.chmod(fd, stat.S_IMODE(found.st_mode) | more)  # noqa: PTH101 - what is open, whatever its name is
        finally:
            os.close(fd)


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except RecursionError as error:
        raise OSError(errno.ELOOP, "it is nested too deep to be removed here", str(folder)) from error
