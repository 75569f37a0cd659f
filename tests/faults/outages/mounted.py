"""File systems that a test mounts; where this user may not, the test is skipped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def mount(*arguments: str | Path) -> None:
    """``mount ARGUMENTS``; skips the test where that is not allowed."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error.strerror}")
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Take a file system away from under those who use it; their open files stay open."""
    subprocess.run(["umount", "-l", folder], check=True, capture_output=True)


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[None]:
    """A disk of a size such as ``2m`` in a folder that is made."""
    folder.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder)
    try:
        yield
    finally:
        unmount(folder)


@contextmanager
def bound(source: Path, folder: Path) -> Iterator[None]:
    """A folder that is mounted under another name; a test may unmount it and mount it again."""
    source.mkdir(parents=True)
    folder.mkdir(parents=True)
    mount("--bind", source, folder)
    try:
        yield
    finally:
        while subprocess.run(["umount", "-l", folder], capture_output=True, check=False).returncode == 0:
            continue  # a test has mounted it again


class Ballast:
    """What fills a disk to its last byte.

    Args:
        folder: on that disk.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._path.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def clear(self) -> None:
        """Make room."""
        self._path.unlink()
