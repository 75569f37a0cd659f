"""Trouble with a folder that passes by itself: a disk that is full for a while, a share that is away."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from fltui.errors import ExchangeError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import ExchangeAbout, decode

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


def exchange_id(exchange: Path) -> str | None:
    """The id of the exchange in a folder; None where there is none, or none that can be read.

    Raises:
        OSError: this process may open no more files.
    """
    about = ExchangeFolder(exchange).about
    try:
        return decode(about.read_bytes(), ExchangeAbout, str(about)).exchange_id
    except ExchangeError:
        return None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return None


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
    """Whether `size` more bytes fit into `folder` for this user, quotas included; False where it is away."""
    probe = folder / f".syncthing.fltui.room.{secrets.token_hex(4)}"
    try:
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return False
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
            return True
        return os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize >= size
    except OSError as error:
        return error.errno not in DISK_FULL | AWAY  # a file system that cannot reserve: only writing will tell
    finally:
        os.close(fd)
        probe.unlink(missing_ok=True)
