"""Trouble with a folder that passes by itself: a disk that is full for a while, a share that is away."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from functools import lru_cache
from pathlib import Path

from fltui.errors import ExchangeError
from fltui.exchange.about import read_about
from fltui.exchange.layout import ABOUT, HIDDEN, ExchangeFolder
from fltui.exchange.mount import mount_of
from fltui.exchange.watch import is_remote

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}

AWAY = {
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ENODEV,
    errno.ENXIO,
    errno.EIO,
    errno.EROFS,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}
"""What is said of a share that was unmounted, has lost its server, or was mounted read-only after an error."""

_RESERVING = {"ext4", "xfs", "btrfs", "tmpfs", "f2fs", "bcachefs", "ocfs2", "overlay"}
"""File systems that reserve blocks at a word. On others the C library writes every one of them, over a network, too."""


def exchange_id(exchange: Path) -> str | None:
    """The id of the exchange in a folder; None where there is none, or none that can be read.

    Raises:
        OSError: this process may open no more files.
    """
    try:
        found = os.lstat(os.path.join(exchange, ABOUT))  # noqa: PTH118 - asked for at every look
        if _is_remote(exchange, found.st_dev):  # whose cache may tell of a file that is away
            return read_about(ExchangeFolder(exchange)).exchange_id
        return _id_of(exchange, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    except ExchangeError:
        return None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return None


@lru_cache(64)
def _is_remote(exchange: Path, device: int) -> bool:  # noqa: ARG001 - of another device it is asked again
    return is_remote(exchange)


@lru_cache(64)
def _id_of(exchange: Path, looks: tuple[int, ...]) -> str:  # noqa: ARG001 - what looks the same is not read again
    return read_about(ExchangeFolder(exchange)).exchange_id


def is_away(exchange: Path) -> bool:
    """Whether the exchange folder is not where it was: every exchange that is there has its ``exchange.json``."""
    try:
        (exchange / "exchange.json").stat()
    except OSError:
        return True
    return False


def passes(error: OSError, exchange: Path) -> bool:
    """Whether what failed in an exchange may succeed later without anybody mending it there."""
    return error.errno in DISK_FULL | AWAY or (error.errno == errno.ENOENT and is_away(exchange))


def has_room(folder: Path, size: int) -> bool:
    """Whether `size` more bytes fit into `folder` for this user, as far as its disk tells; False where it is away."""
    try:
        check_room(folder, size)
    except OSError:
        return False
    return True


def check_room(folder: Path, size: int) -> None:
    """Make sure that `size` more bytes fit into `folder` for this user, as far as its disk tells.

    Quotas are seen where the file system can reserve blocks without writing them.

    Raises:
        OSError: they do not, or nothing can be written there.
    """
    name = folder / f"{HIDDEN}room.{secrets.token_hex(4)}"
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    try:
        with contextlib.suppress(OSError):  # at once: a process that is killed leaves nothing
            name.unlink()
        disk = os.statvfs(fd)
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < size:  # some programs in user space tell nothing
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        if hasattr(os, "posix_fallocate") and mount_of(folder).kind in _RESERVING:
            os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno in DISK_FULL | AWAY:  # else it cannot be known: only writing will tell
            raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)
