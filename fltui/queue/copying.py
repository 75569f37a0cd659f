"""Copying job folders that others may write in: plain files and folders are copied, whatever else there is is refused.

Who may write there may put a link in the place of a file or folder at any moment, so what was looked at by its name may
be another thing when it is opened by its name. Here each folder is opened in the one above it, and each file in its
folder.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fltui.errors import BadInputError

MOST_FILES = 100_000
"""Files and folders of a job folder."""

DEEPEST = 64
"""Folders within each other."""

_READ = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
    _READ |= getattr(os, _flag, 0)

_AT_ONCE = 1 << 20


def check_plain(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Make sure that a folder holds plain files and folders only: what else there is could hold up who reads it.

    Returns:
        What it looks like: place, size, inode and time of every file. It changes while somebody still copies.

    Raises:
        BadInputError: it holds something else, what cannot be read, or too much.
    """
    looks = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        _check_depth(place, folder)
        for name in (*folders, *files):
            path = Path(place) / name
            found = path.lstat()
            _check_kind(path, found)
            if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
                raise BadInputError(f"{path} cannot be read by this user")
            looks.append((str(path), found.st_size, found.st_ino, found.st_mtime_ns))
        _check_count(len(looks), folder)
    return tuple(sorted(looks))


def copy_plain(source: Path, target: Path) -> None:
    """Copy a folder of plain files and folders.

    Args:
        source: the folder, which others may write in.
        target: where; it is not there yet, and nobody else writes in the folder above.

    Raises:
        BadInputError: `source` is no folder, or holds something else, what cannot be read, or too much.
        OSError: `target` cannot be written.
    """
    count, whole = 0, False
    for place, folders, files, fd in os.fwalk(source, onerror=_refuse):
        _check_depth(place, source)
        count += len(folders) + len(files)
        _check_count(count, source)
        for name in folders:
            _check_kind(Path(place) / name, os.stat(name, dir_fd=fd, follow_symlinks=False))
        below = target / Path(place).relative_to(source)
        below.mkdir()
        whole = True
        for name in files:
            _copy(Path(place) / name, fd, below / name)
    if not whole:
        raise BadInputError(f"{source} is not a folder")


def _copy(path: Path, folder: int, target: Path) -> None:
    try:
        _check_kind(path, os.stat(path.name, dir_fd=folder, follow_symlinks=False))  # for the sentence
        fd = os.open(path.name, _READ, dir_fd=folder)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error
    with open(fd, "rb") as read:
        _check_kind(path, os.fstat(fd))
        with target.open("xb") as write:
            shutil.copyfileobj(read, write, _AT_ONCE)


@contextmanager
def own_copy(job: Path, runs: Path, run: str) -> Iterator[Path]:
    """A copy of an entry's job folder that nobody else can change, as long as the context lasts.

    Args:
        job: the job folder.
        runs: the folder of run folders, where only the server writes.
        run: the id of the run that it is for.

    Raises:
        BadInputError: it cannot be copied; or whatever is said of the copy, as if it were said of the job folder.
    """
    copy = runs / f".job-{run}"
    shutil.rmtree(copy, ignore_errors=True)  # of a process that was killed
    try:
        try:
            copy_plain(job, copy)
        except OSError as error:
            raise BadInputError(f"job {job} cannot be copied: {error.strerror} ({error.filename})") from error
        yield copy
    except BadInputError as error:
        raise BadInputError(str(error).replace(str(copy), str(job))) from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _check_kind(path: Path, found: os.stat_result) -> None:
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise BadInputError(f"{path} is neither a plain file nor a folder; a job holds nothing else")


def _check_depth(place: str | bytes, folder: Path) -> None:
    if len(Path(os.fsdecode(place)).relative_to(folder).parts) > DEEPEST:
        raise BadInputError(f"{folder} holds more than {DEEPEST} folders within each other")


def _check_count(count: int, folder: Path) -> None:
    if count > MOST_FILES:
        raise BadInputError(f"{folder} holds more than {MOST_FILES} files")


def _refuse(error: OSError) -> None:
    raise BadInputError(f"{error.filename} cannot be read: {error.strerror}") from error
