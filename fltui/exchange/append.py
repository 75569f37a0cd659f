"""Appending to files that others read line by line while they grow."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from fltui.exchange.npy import write_all


def append_line(fd: int, line: bytes, *, durable: bool = False) -> None:
    """Append a line to a file with one writer, whole or not at all.

    Args:
        fd: opened for appending.
        line: with its line feed.
        durable: fsync.

    Raises:
        OSError: it cannot be written, or not whole; the file is as it was before.
    """
    before = os.fstat(fd).st_size
    try:
        write_all(fd, line)
        if durable:
            os.fsync(fd)
    except OSError:
        # Half a line in the midst of a file would spoil the next one once there is room again.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, before)
        raise


def end_last_line(path: Path) -> None:
    """End the line that a writer left half written when it was killed: it would spoil the next one.

    Raises:
        OSError: it cannot be written.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            write_all(fd, b"\n")
    finally:
        os.close(fd)
