"""A folder to work in that stays the same one, whatever its name leads to meanwhile.

A site may rename what lies in its folder and put a link there at any moment, also between a look and a writing. So what
the server changes there is named by the open folder and a plain name in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from fltui.exchange.durable import naming, sync_folder, sync_open

_PLAIN = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_OVER = os.O_WRONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def is_own(fd: int) -> bool:
    """Whether a file that is open is a plain one of this very user, who alone has a name for it."""
    found = os.fstat(fd)
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == getattr(os, "geteuid", lambda: 0)()


def leads_to(path: str | Path, fd: int) -> bool:
    """Whether a name still leads to the file that is open."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except OSError:
        return False


def is_there(path: str) -> bool:
    """Whether there is something at `path`; as text, for what is asked all the time: pathlib takes as long as the call.

    Raises:
        OSError: its disk does not tell.
    """
    try:
        os.stat(path)  # noqa: PTH116 - as above
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


class Folder:
    """A folder. Errors of its methods name the whole path.

    Args:
        path: where it was found.
        fd: it, held open; None to take the path each time, for folders that nobody else can change.
    """

    __slots__ = ("fd", "path")

    def __init__(self, path: str | Path, fd: int | None = None) -> None:
        self.path = str(path)
        self.fd = fd

    def open(self, name: str) -> Self:
        """Hold a folder in this one open, in a ``with`` statement.

        Raises:
            OSError: it is not there, or a symbolic link.
        """
        return self._open(name, _PLAIN | _NO_FOLLOW)

    def open_made(self, name: str) -> Self:
        """`open`, made if it is not there."""
        try:
            return self.open(name)
        except FileNotFoundError:
            self.make(name)
            return self.open(name)

    def open_linked(self, name: str) -> Self:
        """Hold a folder in this one open, or that to which a symbolic link of this name leads."""
        return self._open(name, _PLAIN)

    def _open(self, name: str, flags: int) -> Self:
        path = f"{self.path}/{name}"
        with naming(path):
            try:
                fd = os.open(self._at(name), flags, dir_fd=self.fd)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR) and flags & _NO_FOLLOW and Path(path).is_symlink():
                    raise OSError(errno.ENOTDIR, "it is a symbolic link, expected a plain folder") from error
                raise
        return type(self)(path, fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fd is not None:
            os.close(self.fd)

    def names(self) -> list[str]:
        """What is in it.

        Raises:
            OSError: it cannot be listed.
        """
        with naming(self.path):
            return os.listdir(self.path if self.fd is None else self.fd)  # noqa: PTH208 - a folder that is open

    def has(self, name: str) -> bool:
        """Whether there is something of that name in it."""
        try:
            os.stat(self._at(name), dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return True

    def make(self, name: str) -> None:
        """Make a folder in it, if there is none."""
        with naming(self.path, name), contextlib.suppress(FileExistsError):
            os.mkdir(self._at(name), dir_fd=self.fd)

    def create(self, name: str, mode: int = 0o644) -> int:
        """Make a file that is not there and open it for writing.

        Raises:
            OSError: it cannot be made, or there is one.
        """
        with naming(self.path, name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
            return os.open(self._at(name), flags, mode, dir_fd=self.fd)

    def rewrite(self, name: str) -> int | None:
        """Open a file that is there for writing over it; None where it is not this user's, or has a second name."""
        try:
            fd = os.open(self._at(name), _OVER, dir_fd=self.fd)
        except OSError:
            return None
        if is_own(fd):
            return fd
        os.close(fd)
        return None

    def set_aside(self, name: str, aside: Folder, spare: str) -> None:
        """Remove a file, if it is there; it stays as `spare` in another folder, if there is none yet and a disk can.

        It is not moved there: watchdog holds all later events back for half a second after a file has left a folder.
        """
        aside.link_from(self, name, spare)
        self.remove(name)

    def link_from(self, source: Folder, name: str, second: str) -> None:
        """Give a file of another folder a second name here, if it is there, the name is free and the disk can."""
        with contextlib.suppress(OSError):
            os.link(source._at(name), self._at(second), src_dir_fd=source.fd, dst_dir_fd=self.fd, follow_symlinks=False)

    def take(self, name: str, source: Folder, old: str) -> None:
        """Give what is `old` in `source` a new place here, in place of what is there."""
        with naming(self.path, name):
            os.replace(source._at(old), self._at(name), src_dir_fd=source.fd, dst_dir_fd=self.fd)

    def link(self, name: str, source: Path) -> None:
        """Give a file a second name here."""
        with naming(self.path, name):
            os.link(source, self._at(name), dst_dir_fd=self.fd, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with naming(self.path, name), contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self.fd)

    def reuse(self, old: str, name: str) -> bool:
        """Give the folder `old` in it the name `name`, in place of an empty folder; False where that cannot be.

        On some disks a new folder takes longer than everything else that publishing an array takes.
        """
        try:
            os.rename(self._at(old), self._at(name), src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError:
            return False
        return True

    def empty(self, name: str) -> bool:
        """Remove the files of a folder in it. False where it is not there, or holds more than files and is removed."""
        try:
            with self.open(name) as found:
                for one in found.names():
                    found.remove(one)
        except OSError:
            self.remove_tree(name)
            return False
        return True

    def remove_tree(self, name: str) -> None:
        """Remove a folder and what is in it, if it is there."""
        with naming(self.path, name), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._at(name), dir_fd=self.fd)

    def sync(self) -> None:
        """Make the names in it survive a power cut, as far as the file system can."""
        if self.fd is None:
            sync_folder(Path(self.path))
        else:
            sync_open(self.fd, Path(self.path))

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}" if self.fd is None else name
