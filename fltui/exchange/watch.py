"""To wait: a watchdog observer that says where something may have arrived, and a back-off for looking oneself.

The observer calls back from a thread, for the console and commands. Server and sites wait by `fltui.exchange.hints`.

Events are a hint. They are lost when a queue overflows and never come for changes made remotely, so whoever awaits
something looks for it again and again with a `Backoff`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fltui.exchange.mount import mount_of

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

FIRST_LOOK = 0.01
"""Seconds until the first look where nothing tells of what arrives."""

FIRST_DOUBT = 0.25
"""Seconds until the first look where an event should tell."""

LONGEST_WAIT = 2.0

_REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "fuse",
    "9p",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "virtiofs",
    "vboxsf",
    "gpfs",
    "beegfs",
    "ocfs2",
    "gfs2",
    "pvfs2",
    "wekafs",
)


class WatchMode(StrEnum):
    """``auto`` takes events, and polls on file systems that do not report remote changes."""

    AUTO = "auto"
    EVENTS = "events"
    POLL = "poll"


class Backoff:
    """Seconds until the next look: `first`, doubling, 2 s at most."""

    def __init__(self, first: float = FIRST_LOOK) -> None:
        self._first = self._next = first

    def next(self) -> float:
        """How long to wait now; the wait after that is twice as long."""
        wait = self._next
        self._next = min(wait * 2, LONGEST_WAIT)
        return wait

    def reset(self) -> None:
        """Something moved: look again soon."""
        self._next = self._first


class Watcher:
    """The observer of this process.

    Args:
        arrived: called with a path from the observer's thread; must only pass it on.
        root: the exchange folder, whose file system decides in mode ``auto``.
        mode: see `WatchMode`.
        writes: report every writing into a file too, as for following a log.
    """

    def __init__(
        self,
        arrived: Callable[[str], None],
        root: Path,
        mode: WatchMode = WatchMode.AUTO,
        *,
        writes: bool = False,
    ) -> None:
        self._arrived = arrived
        self._writes = writes
        self._watches: dict[Path, Any] = {}
        self._observer: BaseObserver | None = None
        if mode is WatchMode.EVENTS or (mode is WatchMode.AUTO and not is_remote(root)):
            from watchdog.observers import Observer

            # It warns of events that come while it stops; what is a hint may be lost.
            logging.getLogger("watchdog").addHandler(logging.NullHandler())
            with contextlib.suppress(OSError):  # this user may have no more watches: whoever waits looks for itself
                observer = Observer()
                observer.daemon = True
                observer.start()
                self._observer = observer

    def add(self, folder: Path) -> None:
        """Report what is created in, moved into or closed after writing in `folder` itself.

        A folder that cannot be watched, or one too many for this user, gives no events; those are a hint.
        """
        if self._observer is None or folder in self._watches:
            return
        from watchdog import events

        class Handler(events.FileSystemEventHandler):
            def __init__(self, arrived: Callable[[str], None]) -> None:
                self._arrived = arrived

            def dispatch(self, event: events.FileSystemEvent) -> None:
                self._arrived(os.fsdecode(event.dest_path or event.src_path))

        kinds: list[type[events.FileSystemEvent]] = [
            events.FileCreatedEvent,
            events.FileMovedEvent,
            events.FileClosedEvent,
        ]
        if self._writes:
            kinds.append(events.FileModifiedEvent)
        with contextlib.suppress(OSError):
            self._watches[folder] = self._observer.schedule(Handler(self._arrived), str(folder), event_filter=kinds)

    def close(self) -> None:
        """Stop the observer's threads and wait for them."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None


def is_remote(path: Path) -> bool:
    """Whether the file system of `path` is known not to report changes that others make (Linux; elsewhere False)."""
    return mount_of(path).kind.startswith(_REMOTE)
