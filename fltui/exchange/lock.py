"""Locks that end with the process that holds them, on files that nobody else opens."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


def hold(path: Path) -> int | None:
    """Lock `path` for this process, making it if need be.

    Returns:
        A descriptor that must stay open; None where the file system has no locks.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be opened.
    """
    if sys.platform == "win32":
        return None
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    except OSError:
        os.close(fd)
        return None
    return fd


def is_held(path: Path) -> bool:
    """Whether a process of this machine holds `path`; False where nothing can be told."""
    if sys.platform == "win32":
        return False
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
