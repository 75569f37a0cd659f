"""Locks that end with the process that holds them, on files that nobody else opens."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_FLAGS = os.O_RDWR
for _flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
    _FLAGS |= getattr(os, _flag, 0)

_TRIES = 20
_PAUSE = 0.005


def hold(path: Path) -> int | None:
    """Lock `path` for this process, making it if need be; a symbolic link there leads nobody elsewhere.

    Returns:
        A descriptor that must stay open; None where the file system has no locks.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be opened.
    """
    if sys.platform == "win32":
        return None
    while True:
        fd = os.open(path, _FLAGS | os.O_CREAT, 0o644)
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not left:
                    os.close(fd)
                    raise
                time.sleep(_PAUSE)  # `is_held` of another process holds it for a moment, and does not tell when it ends
            except OSError:
                os.close(fd)
                return None
            else:
                break
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), path.lstat()):
                return fd
        os.close(fd)  # it was let go and removed meanwhile


def let_go(path: Path, fd: int) -> None:
    """Let go of what `hold` gave, and leave no file behind."""
    with contextlib.suppress(OSError):
        path.unlink()
    with contextlib.suppress(OSError):  # a script has closed all descriptors that it does not know
        os.close(fd)


def is_held(path: Path) -> bool:
    """Whether a process of this machine holds `path`; False where nothing can be told."""
    if sys.platform == "win32":
        return False
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who look do not see each other
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
