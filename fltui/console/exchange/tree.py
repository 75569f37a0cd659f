"""The exchange folder as a tree: what lies in the folders that a person opened, without ever following a link."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from fltui.console.natural import natural
from fltui.console.safe import safe
from fltui.exchange.layout import ABOUT
from fltui.exchange.watch import Watcher

MOST = 500
"""Entries of one folder that are listed; a line says how many there are besides."""

LOOKED_AT = 20_000
"""Names of one folder that are read at most, so that a folder full of junk costs no more than that."""

DEEPEST = 12
_COUNTED = 1000
"""Names of one folder that are put into natural order at most: sorting more would hold up the app's thread."""

_WATCHED = 24
_SITE_PARTS = ("tasks", "results", "logs", "status.json")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)


class Kind(StrEnum):
    """What an entry is; the words are for people."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "symbolic link"
    FIFO = "FIFO"
    SOCKET = "socket"
    DEVICE = "device"
    MORE = "more"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Node:
    """A line of the tree.

    Attributes:
        parts: real names from the exchange folder down; never shown as they are.
        name: harmless text.
        kind: what it is; `Kind.MORE` and `Kind.UNREADABLE` are remarks on the folder above.
        size: bytes of a file.
        stamp: changes whenever the file does.
        own: whether it is of the run that is shown.
        opened: whether the entries of this folder follow.
        hidden: entries that are not of this run and do not follow; staging folders are not counted.
    """

    parts: tuple[str, ...]
    name: str
    kind: Kind
    size: int = 0
    stamp: tuple[int, int, int] = (0, 0, 0)
    own: bool = True
    opened: bool = False
    hidden: int = 0

    @property
    def key(self) -> str:
        """Names it among all others."""
        return "/".join(self.parts) if self.kind is not Kind.MORE else "/".join((*self.parts, "", ""))

    @property
    def depth(self) -> int:
        """How many folders it is in."""
        return len(self.parts) - (self.kind is not Kind.MORE)


@dataclass(frozen=True)
class Wanted:
    """What of an exchange folder is to be shown.

    Attributes:
        root: the exchange folder.
        run: the run whose files are shown.
        sites: its sites.
        others: whether everything else is shown too.
        opened: keys of folders that a person opened.
        closed: keys of folders that a person closed.
    """

    root: Path
    run: str
    sites: frozenset[str] = frozenset()
    others: bool = False
    opened: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()

    def is_open(self, parts: tuple[str, ...], *, own: bool) -> bool:
        """Whether a folder is open: as a person left it; else a site's folder, and of few sites what is in it."""
        key = "/".join(parts)
        if key in self.opened or key in self.closed or len(parts) > DEEPEST:
            return key in self.opened and len(parts) <= DEEPEST
        return own and len(parts) <= (2 if len(self.sites) <= 4 else 1 if len(self.sites) <= 20 else 0)

    def is_own(self, above: tuple[str, ...], name: str) -> bool:
        """Whether an entry of a folder of the run is of the run, too."""
        match len(above):
            case 0:
                return name in self.sites or name == ABOUT
            case 1:
                return name in _SITE_PARTS
            case 2:
                return name.startswith(f"{self.run}.")
        return True

    def shown_name(self, name: str) -> str:
        """The harmless name of an entry; the run's id is cut to its end, which tells runs apart."""
        if name.startswith(f"{self.run}."):
            name = f"…{self.run.rpartition('-')[2]}{name[len(self.run) :]}"
        return safe(name, 200)


@dataclass
class Tree:
    """What was found.

    Attributes:
        wanted: what was looked for.
        nodes: the lines, from the top.
        folders: real names of every open folder.
        problem: a harmless sentence if there is nothing to show.
    """

    wanted: Wanted
    nodes: list[Node] = field(default_factory=list)
    folders: list[tuple[str, ...]] = field(default_factory=list)
    problem: str = ""


def scan(wanted: Wanted, is_cancelled: Callable[[], bool] = lambda: False) -> Tree:
    """Look at every open folder once. Not for the app's thread: a share may be slow, a folder large."""
    tree = Tree(wanted)
    try:
        fd = os.open(wanted.root, os.O_RDONLY | _DIRECTORY | _CLOSE_ON_EXEC)
    except FileNotFoundError:
        tree.problem = f"the exchange folder {safe(str(wanted.root))} is not here"
        return tree
    except OSError as error:
        tree.problem = f"the exchange folder {safe(str(wanted.root))} cannot be read: {safe(error.strerror or '')}"
        return tree
    try:
        _Scan(tree, is_cancelled).folder(fd, (), own=True)
    except OSError as error:
        tree.problem = f"the exchange folder {safe(str(wanted.root))} cannot be read: {safe(error.strerror or '')}"
    finally:
        os.close(fd)
    if not tree.nodes and not tree.problem:
        tree.problem = f"nothing of this run is in the exchange folder {safe(str(wanted.root))}"
    return tree


class _Scan:
    """Fills a tree, folder by folder."""

    def __init__(self, tree: Tree, is_cancelled: Callable[[], bool]) -> None:
        self._tree = tree
        self._wanted = tree.wanted
        self._is_cancelled = is_cancelled

    def folder(self, fd: int, parts: tuple[str, ...], *, own: bool) -> int:
        """Append the entries of an open folder, and theirs; how many were hidden."""
        self._tree.folders.append(parts)
        with os.scandir(fd) as found:
            names = [entry.name for entry in islice(found, LOOKED_AT + 1)]
        more_than = len(names) > LOOKED_AT
        names = names[:LOOKED_AT]
        mine = [name for name in names if own and self._wanted.is_own(parts, name)]
        mine.sort(key=self._order(parts) if len(mine) <= _COUNTED else None)
        known = set(mine)
        rest = sorted(name for name in names if name not in known) if self._wanted.others else []
        for place, name in enumerate([*mine, *rest][:MOST]):
            if self._is_cancelled():
                return 0
            self._entry(fd, (*parts, name), own=place < len(mine))
        left = len(mine) + len(rest) - MOST
        if more_than or left > 0:
            text = f"… and {left:,} more" if not more_than else f"… and more: only {LOOKED_AT:,} names were read"
            self._tree.nodes.append(Node(parts, text, Kind.MORE, own=False))
        if self._wanted.others:
            return 0
        return sum(name not in known and not name.startswith(".") for name in names)

    def _order(self, parts: tuple[str, ...]) -> Callable[[str], Any]:
        """Sites in natural order before what describes the exchange; a site's parts as the protocol lists them."""
        if len(parts) == 1:
            return _SITE_PARTS.index
        return lambda name: (name == ABOUT and not parts, natural(name))

    def _entry(self, fd: int, parts: tuple[str, ...], *, own: bool) -> None:
        name = self._wanted.shown_name(parts[-1]) if own else safe(parts[-1], 200)
        try:
            about = os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
            kind = _kind(about.st_mode)
            if kind is Kind.LINK:
                name = f"{name} → {safe(os.readlink(parts[-1], dir_fd=fd), 200)}"
        except OSError:
            return  # gone since the folder was read
        stamp = (about.st_ino, about.st_size, about.st_mtime_ns)
        node = Node(parts, name, kind, about.st_size if kind is Kind.FILE else 0, stamp, own)
        if kind is not Kind.FOLDER or not self._wanted.is_open(parts, own=own):
            self._tree.nodes.append(node)
            return
        place = len(self._tree.nodes)
        self._tree.nodes.append(node)
        hidden, kind = 0, node.kind
        try:
            with _folder_below(fd, parts[-1]) as below:
                hidden = self.folder(below, parts, own=own)
        except OSError:
            kind = Kind.UNREADABLE
        self._tree.nodes[place] = Node(parts, name, kind, 0, stamp, own, kind is Kind.FOLDER, hidden)


@contextmanager
def _folder_below(fd: int, name: str) -> Iterator[int]:
    """A folder in another, opened; a link that took its place since is not followed."""
    below = os.open(name, os.O_RDONLY | _DIRECTORY | _NO_FOLLOW | _CLOSE_ON_EXEC, dir_fd=fd)
    try:
        yield below
    finally:
        os.close(below)


def _kind(mode: int) -> Kind:
    kinds = {
        stat.S_IFDIR: Kind.FOLDER,
        stat.S_IFREG: Kind.FILE,
        stat.S_IFLNK: Kind.LINK,
        stat.S_IFIFO: Kind.FIFO,
        stat.S_IFSOCK: Kind.SOCKET,
    }
    return kinds.get(stat.S_IFMT(mode), Kind.DEVICE)


class Hints:
    """Says when to look again, from the file system's own events; where there are none, it stays silent.

    Args:
        stirred: called from another thread whenever something may have changed; must only pass that on.
    """

    def __init__(self, stirred: Callable[[], None]) -> None:
        self._stirred = stirred
        self._lock = threading.Lock()
        self._watcher: Watcher | None = None
        self._root: Path | None = None
        self._watched: set[tuple[str, ...]] = set()
        self._closed = False

    def watch(self, tree: Tree) -> None:
        """Watch the open folders, those at the top first; the looking from time to time is for the rest."""
        with self._lock:
            if self._closed or tree.problem:
                return
            if self._watcher is None or self._root != tree.wanted.root:
                self._close()
                self._root, self._watched = tree.wanted.root, set()
                self._watcher = Watcher(lambda _: self._stirred(), tree.wanted.root)
            new = [parts for parts in sorted(tree.folders, key=len) if parts not in self._watched]
            for parts in new[: _WATCHED - len(self._watched)]:
                self._watched.add(parts)
                # It may have gone meanwhile, and systems allow only so many.
                with suppress(OSError):
                    self._watcher.add(tree.wanted.root.joinpath(*parts))

    def close(self) -> None:
        """Stop watching; takes as long as the observer's threads need to end."""
        with self._lock:
            self._closed = True
            self._close()

    def _close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
