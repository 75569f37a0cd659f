"""Opening and reading a file where others may have put something else, to hold a reader up or lead him elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = os.O_RDONLY | _NO_FOLLOW
for _flag in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _flag, 0)

_OTHER_THINGS = (errno.ELOOP, errno.EMLINK, errno.ENXIO)
"""What systems answer for a symbolic link and for a socket."""


class NotPlainError(OSError):
    """It is a link, a folder, a FIFO, a socket or a device."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is not a plain file", str(path))


class TooLargeError(OSError):
    """It has more bytes than it may have."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(errno.EFBIG, f"it has more than {limit} bytes, the most it may have", str(path))


def open_plain(path: Path, *, follow: bool = False) -> int:
    """A descriptor to read a file with; what is none holds nobody up. A hard link is a file like any other.

    Args:
        path: the file.
        follow: a symbolic link may lead to it, in a folder that only this user writes in.

    Raises:
        NotPlainError: it is no plain file.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, _FLAGS & ~_NO_FOLLOW if follow else _FLAGS)
    except OSError as error:
        if error.errno in _OTHER_THINGS:
            raise NotPlainError(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotPlainError(path)
    return fd


def read_plain(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """The whole of a small file.

    Args:
        path: the file.
        limit: the most bytes that it may have; of a larger one no more is read.
        follow: see `open_plain`.

    Raises:
        NotPlainError: it is no plain file.
        TooLargeError: it has more than `limit` bytes.
        OSError: it cannot be read.
    """
    with open(open_plain(path, follow=follow), "rb") as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise TooLargeError(path, limit)
    return found


def open_to_append(path: Path) -> int:
    """A descriptor to append to a file with, which is made where it is missing; what is none leads nobody elsewhere.

    Raises:
        NotPlainError: it is no plain file, or has a second name.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, _FLAGS | os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        if error.errno in _OTHER_THINGS:
            raise NotPlainError(path) from error
        raise
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(fd)
        raise NotPlainError(path)
    return fd
