"""A file that is written by appending and may be written again: what stands in it already stays."""

from __future__ import annotations

import os
from pathlib import Path


class ContinuedFile:
    """Takes the bytes that a file has to have, front to back, and writes what it lacks.

    The same bytes come whenever the file is written again, by another process too. So what a killed one wrote is
    compared and kept, half a record is completed, and what is different, as with other options, is replaced.

    Args:
        path: the file; it is made with its folders when the first bytes come.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = bytearray()
        self._at = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes; `flush` writes them."""
        self._pending += data

    def flush(self) -> None:
        """Let the file have all bytes so far.

        Raises:
            OSError: it cannot be written.
        """
        if not self._pending:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b", buffering=0) as file:
            there = os.pread(file.fileno(), len(self._pending), self._at)
            same = _same(there, self._pending)
            if same < len(there):
                file.truncate(self._at + same)
            _write(file.fileno(), self._pending[same:], self._at + same)
        self._at += len(self._pending)
        self._pending.clear()

    def peek(self, size: int, ahead: int = 0) -> bytes:
        """What stands in the file `ahead` bytes beyond those that have come, at most `size` bytes of it.

        Raises:
            OSError: it cannot be read.
        """
        self.flush()
        try:
            with self._path.open("rb") as file:
                return os.pread(file.fileno(), size, self._at + ahead)
        except FileNotFoundError:
            return b""

    def keep(self, size: int) -> None:
        """Take the next `size` bytes of the file itself for bytes that have come."""
        self.flush()
        self._at += size

    def finish(self) -> None:
        """Nothing more comes: cut off what stands beyond.

        Raises:
            OSError: it cannot be written.
        """
        self.flush()
        if self._at and self._path.stat().st_size > self._at:
            os.truncate(self._path, self._at)


def _same(there: bytes, wanted: bytearray) -> int:
    """With how many bytes of it `there` begins as wanted."""
    if wanted.startswith(there):
        return len(there)
    return next(at for at, byte in enumerate(there) if byte != wanted[at])


def _write(fd: int, data: bytearray, at: int) -> None:
    left = memoryview(data)
    while left:
        done = os.pwrite(fd, left, at)
        left, at = left[done:], at + done
