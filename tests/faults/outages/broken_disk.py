"""A disk that breaks and is mended: the functions of `os` that touch files fail below some folders for a while.

Files opened the usual way fail, too: Python's own ``io`` is put in the place of the one in C, so that everything passes
through `os`.
"""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WRITES = (
    "open",
    "write",
    "fsync",
    "replace",
    "rename",
    "link",
    "symlink",
    "mkdir",
    "copy_file_range",
    "posix_fallocate",
)
"""What a full disk refuses; a file is opened for writing."""

CHANGES = (*WRITES, "ftruncate", "unlink", "rmdir")
"""What a disk refuses that was mounted again read-only."""

READS = ("stat", "lstat", "listdir", "scandir", "read", "readv", "pread")
"""What a share refuses, beside `CHANGES`, whose server does not answer."""

_TWO_PATHS = ("replace", "rename", "link", "symlink")
_NEEDS_NO_ROOM = {"fsync", "ftruncate", "unlink", "rmdir"}


class BrokenDisk:
    """Breaks at a call, or when it is told to, and stays so until it is mended.

    Args:
        folders: below these.
        error: number of the error.
        calls: the functions that fail.
        at: breaks at the call of this number, counted from 1; 0 for never by itself.
        counts: whether a call counts, and fails.
        breaks: called when it breaks.
        once: only one call fails.

    Attributes:
        count: of the calls so far.
        broken_by: the call it broke at.
    """

    def __init__(
        self,
        folders: tuple[Path, ...],
        error: int,
        calls: tuple[str, ...] = WRITES,
        *,
        at: int = 0,
        counts: Callable[[], bool] = lambda: True,
        breaks: Callable[[], object] = lambda: None,
        once: bool = False,
    ) -> None:
        self.count = 0
        self.broken_by = ""
        self.is_broken = False
        self._folders = tuple(map(str, folders))
        self._error = error
        self._calls = calls
        self._at = at
        self._counts = counts
        self._breaks = breaks
        self._once = once
        self._names: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"broken at call {self._at}: {self.broken_by}"

    @contextmanager
    def installed(self) -> Iterator[None]:
        """It lies below this process while the context lasts."""
        with pytest.MonkeyPatch.context() as patch:
            for name in {*CHANGES, *READS}:
                patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
            patch.setattr(os, "close", self._closing(os.close))
            python_open = importlib.import_module("_pyio").open
            patch.setattr("io.open", python_open)
            patch.setattr("builtins.open", python_open)
            yield

    def mend(self) -> None:
        """It works again."""
        self.is_broken = False

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            path = self._path(name, args, more)
            if path and name in self._calls and self._counts() and not (name == "open" and self._only_reads(args)):
                self.count += 1
                first = self.count == self._at
                if first:
                    self.is_broken, self.broken_by = not self._once, f"{name} {path}"
                    self._breaks()
                if (first or self.is_broken) and not (self._is_full and name in _NEEDS_NO_ROOM and not first):
                    if first and self._is_full and name == "write" and len(args[1]) > 1:
                        return real(args[0], bytes(args[1])[: len(args[1]) // 2])  # what still fits
                    raise OSError(self._error, os.strerror(self._error), *self._named(name, args))
            if name == "fsync":
                return None  # nobody cuts the power here
            done = real(*args, **more)
            if name == "open":
                self._names.pop(done, None)
                if path:
                    self._names[done] = path
            return done

        return wrapped

    def _closing(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def close(fd: int) -> None:
            self._names.pop(fd, None)
            real(fd)

        return close

    @property
    def _is_full(self) -> bool:
        return self._error in (errno.ENOSPC, errno.EDQUOT)

    def _only_reads(self, args: tuple[Any, ...]) -> bool:
        return not args[1] & (os.O_WRONLY | os.O_RDWR) and "stat" not in self._calls

    def _named(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The paths in the error, as the system gives them: calls that are given a descriptor name none."""
        if isinstance(args[0], int):
            return ()
        return (os.fspath(args[0]), None, os.fspath(args[1])) if name in _TWO_PATHS else (os.fspath(args[0]),)

    def _path(self, name: str, args: tuple[Any, ...], more: dict[str, Any]) -> str:
        """The path that a call is about, below the folders; empty elsewhere."""
        if not args:
            return ""
        what = args[1] if name in (*_TWO_PATHS, "copy_file_range") else args[0]
        if isinstance(what, int):
            return self._names.get(what, "")
        text = os.fspath(what)
        if isinstance(text, bytes):
            return ""
        above = more.get("dst_dir_fd" if name in _TWO_PATHS else "dir_fd")
        if above is not None:
            return f"{self._names[above]}/{text}" if above in self._names else ""
        return text if any(text == folder or text.startswith(f"{folder}/") for folder in self._folders) else ""
