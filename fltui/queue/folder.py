"""Where things lie in a queue.

DIR/groups.json               groups of sites, written by people
DIR/incoming/                 job folders that people copy there
DIR/<entry-id>/entry.json     what was submitted; the entry exists when its folder does
DIR/<entry-id>/job/           the job
DIR/<entry-id>/claim.json     the run that the server chose for it, before it started anything
DIR/<entry-id>/abort.json     a person wants it to end
DIR/<entry-id>/end.json       it is over
DIR/<entry-id>/lock           held by the server that runs it, and by whoever changes it
"""

from __future__ import annotations

import contextlib
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
from fltui.exchange.durable import make_folder, sync_folder
from fltui.exchange.lock import hold, is_held
from fltui.exchange.publish import put_document

INCOMING = "incoming"

_OWN = {INCOMING, "groups.json", "lock", "bell", "README", "README.md", "README.txt"}
"""Names in a queue that are no entries."""

_DELETED = ".deleted-"


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
        """Write one of its documents, so that it survives a power cut.

        Raises:
            OSError: it cannot be written.
        """
        put_document(document, path, self.root, durable=True)

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
        shutil.rmtree(aside)


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
            self.bell.write_bytes(b"")
            self.share(self.bell)

    def share(self, path: Path) -> None:
        """Let the group write what was made here, where it may write in the queue: whoever submits, and the server.

        Raises:
            OSError: it is not there.
        """
        if self.root.stat().st_mode & stat.S_IWGRP:
            with contextlib.suppress(PermissionError):  # somebody else made it
                path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWGRP)

    def share_entry(self, folder: EntryFolder) -> None:
        """`share` a new entry with its lock, which each of them has to open.

        Raises:
            OSError: it cannot be made.
        """
        folder.lock.touch()
        for path in (folder.root, folder.lock):
            self.share(path)

    def make(self) -> None:
        """Make what is missing of it.

        Raises:
            BadInputError: it cannot be made, or is not a folder that this user can write in.
        """
        try:
            make_folder(self.root, durable=True)
            self.incoming.mkdir(exist_ok=True)
            self.share(self.incoming)
        except OSError as error:
            raise BadInputError(f"queue {self.root} cannot be used: {error.strerror} ({error.filename})") from error
        if not os.access(self.root, os.W_OK):
            raise BadInputError(f"queue {self.root} is read-only for this user")

    def tidy(self) -> None:
        """Remove what processes that were killed left of entries that were being made or deleted.

        Raises:
            OSError: it cannot be removed.
        """
        for aside in self.root.glob(f"{_DELETED}*"):
            shutil.rmtree(aside, ignore_errors=True)  # somebody may be at it
        for lock in self.root.glob(".new-*.lock"):
            if not is_held(lock):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
