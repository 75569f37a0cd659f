"""Hints that something has arrived, for one who waits for it in a thread of its own, without another thread between.

`fltui.exchange.watch.Watcher` calls back from a thread of watchdog's, and each event goes through two more on its way.
Where the system has inotify, watchdog's binding of it is read here by the very thread that waits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fltui.exchange.watch import FIRST_DOUBT, LONGEST_WAIT, Backoff, Watcher, WatchMode, is_remote

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

RELAY = "FLTUI_HINTS"
"""The variable that names the descriptor of a relay to the process of a site."""

_EVENT = struct.Struct("iIII")
"""``struct inotify_event`` but for the name that follows: watch, mask, cookie, length of the name."""

_ENOUGH = 1 << 16
"""Bytes of events read at once."""


class Hints:
    """Where something may have arrived; used in one thread.

    Args:
        root: the exchange folder, whose file system decides in mode ``auto``.
        mode: see `WatchMode`.
        relay: a descriptor that gives a byte when something has arrived, instead of a watch of one's own.
    """

    def __init__(self, root: Path, mode: WatchMode = WatchMode.AUTO, relay: int | None = None) -> None:
        self._root = root
        self._mode = mode
        self._folders: dict[Path, None] = {}
        self._source: _Inotify | _Relay | _Observed | None = None
        self._ready: select.poll | None = None
        self._loop: AbstractEventLoop | None = None
        self._take_from(self._own() if relay is None else _Relay(relay))

    def _own(self) -> _Inotify | _Observed | None:
        if self._mode is WatchMode.POLL or (self._mode is WatchMode.AUTO and is_remote(self._root)):
            return None
        if sys.platform != "linux":
            return _Observed(self._root)
        try:
            return _Inotify()
        except OSError:  # this user may have no more watches: whoever waits looks for itself
            return None
        except (ImportError, AttributeError):  # a watchdog of another make
            return _Observed(self._root)

    def _take_from(self, source: _Inotify | _Relay | _Observed | None) -> None:
        self._source = source
        if source is not None and sys.platform != "win32":
            self._ready = select.poll()
            self._ready.register(source.fd, select.POLLIN)

    def add(self, folder: Path) -> bool:
        """Give hints of what is moved into `folder` itself, or closed there after writing.

        Returns:
            Whether that can be, as far as it is known: a folder that is not there, or one too many for this user, gives
            none.
        """
        self._folders[folder] = None
        if self._source is None:
            return False
        try:
            self._source.add(folder)
        except OSError:
            return False
        return True

    @property
    def are_sure(self) -> bool:
        """Whether each folder is known to give hints; no more once one was removed or whoever told is gone."""
        source = self._source
        return isinstance(source, _Relay) or (isinstance(source, _Inotify) and source.watches == len(self._folders))

    def backoff(self, *, trusted: bool) -> Backoff:
        """When to look though there is no hint: seldom where each folder is known to give hints, and most seldom where
        these are `trusted`: they have told of all that was awaited lately."""
        return Backoff(LONGEST_WAIT if trusted else FIRST_DOUBT) if self.are_sure else Backoff()

    def renew(self) -> None:
        """Watch the same paths anew: what was mounted again is another folder than the one that was watched."""
        if isinstance(self._source, _Relay):
            return
        self.close()
        self._take_from(self._own())
        for folder in self._folders:
            self.add(folder)

    def fileno(self) -> int | None:
        """What is readable when there are hints; None if there will be none."""
        return None if self._source is None else self._source.fd

    def take(self) -> set[Path]:
        """The folders where something has arrived since the last look; does not wait."""
        if self._source is None:
            return set()
        found = self._source.take()
        if self._source.fd < 0:  # whoever gave the hints is gone
            self._source = self._ready = None
        return found

    def wait(self, seconds: float) -> set[Path]:
        """The folders where something has arrived; none when that many seconds are over."""
        if self._ready is not None:
            self._ready.poll(max(seconds, 0) * 1e3)
        elif self._source is not None:
            select.select([self._source.fd], [], [], max(seconds, 0))
        else:
            time.sleep(max(seconds, 0))  # there will be no hint, and whoever waits looks again by a back-off
        return self.take()

    def follow(self, loop: AbstractEventLoop, arrived: Callable[[set[Path]], None]) -> None:
        """Let an event loop, in its thread, call `arrived` with the folders where something has arrived, until `close`.

        Where the loop can wait for sockets and pipes only in ways of its own, as on Windows, it is never called.
        """
        if self._source is not None:
            with contextlib.suppress(NotImplementedError):
                loop.add_reader(self._source.fd, lambda: arrived(self.take()))
                self._loop = loop

    def close(self) -> None:
        """Give no more hints."""
        source, loop = self._source, self._loop
        self._source = self._ready = self._loop = None  # first: whoever is stopped in here closes once more
        if source is not None:
            if loop is not None and not loop.is_closed():
                loop.remove_reader(source.fd)
            source.close()


class _Inotify:
    """Watchdog's binding of inotify, without its threads."""

    def __init__(self) -> None:
        from watchdog.observers import inotify_c

        self._c = inotify_c
        only = inotify_c.InotifyConstants
        # No creations: a file that is there is not whole yet, and a new folder of arrays comes before its manifest.
        self._mask = only.IN_MOVED_TO | only.IN_CLOSE_WRITE | only.IN_ONLYDIR
        self._folders: dict[int, Path] = {}
        self.fd = inotify_c.inotify_init()
        if self.fd < 0:
            raise OSError(errno.EMFILE, "this user has no more inotify instances")
        os.set_blocking(self.fd, False)
        os.set_inheritable(self.fd, False)

    def add(self, folder: Path) -> None:
        watch = self._c.inotify_add_watch(self.fd, os.fsencode(folder), self._mask)
        if watch < 0:
            raise OSError(errno.ENOSPC, "it cannot be watched", str(folder))
        self._folders[watch] = folder

    @property
    def watches(self) -> int:
        """Folders that are watched, and were not removed since."""
        return len(self._folders)

    def take(self) -> set[Path]:
        only, found = self._c.InotifyConstants, set[Path]()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, _ENOUGH):
                at = 0
                while at < len(data):
                    watch, mask, _, length = _EVENT.unpack_from(data, at)
                    at += _EVENT.size + length
                    if mask & only.IN_Q_OVERFLOW:
                        found.update(self._folders.values())
                    elif mask & only.IN_IGNORED:
                        self._folders.pop(watch, None)
                    elif not mask & only.IN_ISDIR and watch in self._folders:
                        found.add(self._folders[watch])
                if len(data) < _ENOUGH // 2:
                    break
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a script has closed all descriptors that it does not know
            os.close(self.fd)


class _Relay:
    """A pipe into which another process writes a byte for what it sees."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._folders: set[Path] = set()

    def add(self, folder: Path) -> None:
        self._folders.add(folder)

    def take(self) -> set[Path]:
        try:
            if os.read(self.fd, _ENOUGH):
                return set(self._folders)
        except BlockingIOError:
            return set()
        self.close()
        return set()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # as that of `_Inotify`
            os.close(self.fd)
        self.fd = -1


class _Observed:
    """Watchdog's observer, whose threads write into a socket."""

    def __init__(self, root: Path) -> None:
        self._mine, self._theirs = socket.socketpair()
        self._mine.setblocking(False)
        self._theirs.setblocking(False)
        self.fd = self._mine.fileno()
        self._arrived: deque[str] = deque()
        self._watcher = Watcher(self._tell, root, WatchMode.EVENTS)

    def add(self, folder: Path) -> None:
        self._watcher.add(folder)

    def _tell(self, path: str) -> None:
        self._arrived.append(path)
        with contextlib.suppress(OSError):  # full: it is told already; closed: nobody waits any more
            self._theirs.send(b"!")

    def take(self) -> set[Path]:
        with contextlib.suppress(BlockingIOError):
            self._mine.recv(_ENOUGH)
        found = set[Path]()
        while self._arrived:
            found.add(Path(self._arrived.popleft()).parent)
        return found

    def close(self) -> None:
        self._watcher.close()
        self._mine.close()
        self._theirs.close()
