"""What makes names and content survive a power cut: a file is synced before its rename, its folder after it.

A disk may write what is not synced in any order, or never. So whatever is told to somebody, by a manifest or by an
event of the journal, is synced first, the content before the name.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import TracebackType

_NO_SYNC = {errno.EINVAL, errno.EBADF}
"""What file systems answer that have no way to sync a folder."""


class naming:  # noqa: N801 - used as `contextlib.suppress` is
    """Let errors say the whole path: calls in an open folder know the last part only, those of a descriptor nothing.

    Args:
        path: the file, or the folder that it is in.
        name: of the file in that folder.
    """

    __slots__ = ("_name", "_path")

    def __init__(self, path: str | Path, name: str = "") -> None:
        self._path = path
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            if error.filename2 is not None:
                del error.filename2
            error.filename = os.path.join(self._path, self._name) if self._name else str(self._path)  # noqa: PTH118


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, as far as the file system can."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_open(fd, folder)
    finally:
        os.close(fd)


def sync_open(fd: int, folder: Path) -> None:
    """`sync_folder` for a folder that is open; `folder` is its path, for the error."""
    try:
        with naming(folder):
            os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_file(path: Path) -> None:
    """Make the content of a file that was written by other means survive a power cut."""
    fd = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(root: Path) -> None:
    """Make all files and names below a new folder survive a power cut, before it gets its final name."""
    for folder, _, files in os.walk(root):
        for name in files:
            sync_file(Path(folder) / name)
        sync_folder(Path(folder))


def make_folder(folder: Path, *, durable: bool = False) -> None:
    """Make a folder and those above it that are missing."""
    missing, above = [], folder
    while not above.is_dir():
        missing.append(above)
        above = above.parent
    folder.mkdir(parents=True, exist_ok=True)
    if durable:
        for made in missing:
            sync_folder(made.parent)
