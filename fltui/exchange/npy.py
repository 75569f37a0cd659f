"""Reading and writing ``.npy`` files: exact headers, digests, bounded memory.

``np.load`` is not for files of others: it reads a header of any length, opens a zip that calls itself ``.npy`` and
accepts trailing bytes. Here the one header that may stand in a file is known before the file is opened, and compared.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import blake3
import numpy as np
from numpy.typing import NDArray

from fltui.errors import NotYetError, RefusedError
from fltui.exchange.held import Folder
from fltui.exchange.manifest import ArrayEntry

CHUNK = 1 << 20
"""Bytes of an array that are in memory at a time."""

DTYPES = frozenset({"|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"})
"""The dtypes that travel: little-endian, no objects, no text."""

MAX_RANK = 32

LARGEST_ARRAY = 1 << 38
"""Bytes of the elements of the largest array that travels."""

_LONGEST_AXIS = 1 << 48
_ALIGN = 64
_GROWTH = 21  # NumPy leaves room to rewrite the length of the first axis in place

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_BLOCK = getattr(os, "O_NONBLOCK", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)


_LONGEST_HEADER = 1 << 16

_AT_ONCE = 1 << 23
"""Bytes of a mapped array that are in memory at a time."""


def header(dtype: str, shape: Sequence[int]) -> bytes:
    """The header that `numpy.save` writes for a C-ordered array, format version 1.0.

    Raises:
        RefusedError: the dtype does not travel or the shape has too many axes.
    """
    return _header(dtype, tuple(shape))


@lru_cache(1024)
def _header(dtype: str, shape: tuple[int, ...]) -> bytes:
    if dtype not in DTYPES:
        raise RefusedError(f"dtype {dtype[:40]!r} does not travel; these do: {', '.join(sorted(DTYPES))}")
    if len(shape) > MAX_RANK:
        raise RefusedError(f"an array of {len(shape)} axes does not travel; {MAX_RANK} axes are the most")
    if any(axis >= _LONGEST_AXIS for axis in shape):
        raise RefusedError("an array of that shape fits on no disk")
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    if shape:
        text += " " * max(0, _GROWTH - len(repr(shape[0])))
    padding = _ALIGN - (10 + len(text) + 1) % _ALIGN
    body = text.encode("latin1") + b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


def file_size(dtype: str, shape: Sequence[int]) -> int:
    """Bytes of the file of an array, header included.

    Raises:
        RefusedError: the dtype or a shape of that size does not travel.
    """
    return len(header(dtype, shape)) + _data_size(dtype, shape)


def _data_size(dtype: str, shape: Sequence[int]) -> int:
    size = math.prod(axis for axis in shape if axis) * np.dtype(dtype).itemsize
    if size > LARGEST_ARRAY:
        raise RefusedError(f"an array of {size} bytes does not travel; {LARGEST_ARRAY} are the most")
    return size if all(shape) else 0


def canonical(array: NDArray[Any]) -> NDArray[Any]:
    """The array as it travels: C order, little-endian; the same object where it is so already."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def octets(array: NDArray[Any]) -> memoryview:
    """The bytes of a C-ordered array, without a copy."""
    return array.reshape(-1).data.cast("B") if array.nbytes else memoryview(b"")


def chunks(data: memoryview) -> Iterator[memoryview]:
    """A buffer in pieces of `CHUNK` bytes."""
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def blocks_of(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The elements of a C-ordered array in 1-D blocks.

    Where it is mapped from a file, no more of it than a block stays in memory: a model may be larger than that.
    """
    flat = array.reshape(-1)
    mapping = _mapping_of(array)
    length = max(1, _AT_ONCE // array.itemsize)
    for start in range(0, flat.size, length):
        yield flat[start : start + length]
        if mapping is not None:
            mapping.madvise(mmap.MADV_DONTNEED)


def _mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The mapping behind a read-only array whose pages can be let go, to be read again when they are needed."""
    found: object = array
    while isinstance(found, np.ndarray):
        below: object = found.base
        if isinstance(below, mmap.mmap) and isinstance(found, np.memmap) and found.mode == "r":
            return below if hasattr(mmap, "MADV_DONTNEED") else None
        found = below
    return None


class NpyWriter:
    """Writes one ``.npy`` block by block and digests it on the way; a context manager.

    Args:
        path: the file to make; replaced if it exists.
        dtype: NumPy dtype string.
        shape: sizes of the axes.
        durable: fsync the file before it is closed.
        over: a file that is there is written over, not replaced, if it has that size and this is its one name.
    """

    def __init__(
        self, path: Path, dtype: str, shape: Sequence[int], *, durable: bool = False, over: bool = False
    ) -> None:
        self._head = header(dtype, shape)
        self._durable = durable
        self._hasher = blake3.blake3(self._head)
        self.size = len(self._head)
        """Bytes written so far."""
        found = Folder(path.parent).rewrite(path.name) if over else None
        if found is not None and os.fstat(found).st_size != file_size(dtype, shape):
            os.close(found)  # not cut short: somebody may have it mapped
            found = None
        if found is None and over:
            path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _CLOSE_ON_EXEC | _BINARY
        self._fd = os.open(path, flags, 0o644) if found is None else found
        try:
            write_all(self._fd, self._head)
        except OSError:
            os.close(self._fd)
            raise

    def write(self, block: NDArray[Any]) -> None:
        """Append elements, C order, of the writer's dtype."""
        data = octets(block)
        for piece in chunks(data):
            self._hasher.update(piece)
            write_all(self._fd, piece)
        self.size += len(data)

    @property
    def digest(self) -> str:
        """BLAKE3 of everything written so far, in hexadecimal."""
        return self._hasher.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._durable and kind is None:
                os.fsync(self._fd)
        finally:
            os.close(self._fd)


def write_array(
    path: Path, name: str, array: NDArray[Any], *, file: str, durable: bool = False, over: bool = False
) -> ArrayEntry:
    """Write one array and return its manifest entry.

    Args:
        path: the file to make.
        name: parameter name.
        array: any order and byte order; bool, int or float.
        file: the file's final name.
        durable: fsync.
        over: see `NpyWriter`.

    Raises:
        RefusedError: the dtype does not travel.
    """
    ready = canonical(array)
    with NpyWriter(path, ready.dtype.str, ready.shape, durable=durable, over=over) as out:
        for block in blocks_of(ready):
            out.write(block)
    return ArrayEntry(name, file, ready.dtype.str, list(ready.shape), out.size, out.digest)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """`os.write` until everything is written."""
    done = os.write(fd, data)
    while done < len(data):
        data = memoryview(data)[done:]
        done = os.write(fd, data)


@contextmanager
def open_beneath(root: Path, *parts: str, links: int | None = 1) -> Iterator[int]:
    """Open a regular file below `root` that somebody else wrote, following no symbolic link on the way.

    Args:
        root: a folder that is trusted.
        parts: names below it, each one checked by the caller to be a plain name.
        links: how many names the file may have; None for any.

    Yields:
        A file descriptor, non-blocking, so that a FIFO cannot hold the reader.

    Raises:
        NotYetError: something on the way does not exist (yet).
        RefusedError: it is a link, a folder, a FIFO, a device or a file with a second name.
    """
    where = "/".join(parts)
    held: list[int] = []
    try:
        try:
            above, path = None, f"{root}/{parts[0]}"
            for part in parts[1:]:
                above = os.open(path, os.O_RDONLY | _DIRECTORY | _NO_FOLLOW | _CLOSE_ON_EXEC, dir_fd=above)
                held.append(above)
                path = part
            held.append(os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_BLOCK | _CLOSE_ON_EXEC, dir_fd=above))
        except FileNotFoundError as error:
            raise NotYetError(f"{where} is not there") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
                raise RefusedError(f"{where} is not a plain file in plain folders") from error
            raise NotYetError(f"{where} cannot be opened: {error.strerror}") from error
        found = _stat_open(held[-1], where)
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError(f"{where} is not a plain file")
        if links is not None and found.st_nlink > links:
            raise RefusedError(f"{where} has a second name (hard link)")
        yield held[-1]
    finally:
        problem = _close_all(held)
    if problem is not None:
        raise NotYetError(f"{where} cannot be read: {problem.strerror}") from problem


def _stat_open(fd: int, where: str) -> os.stat_result:
    """What a share tells of a file that is open; the share may have lost it meanwhile.

    Raises:
        NotYetError: it does not tell.
    """
    try:
        return os.fstat(fd)
    except OSError as error:
        raise NotYetError(f"{where} cannot be read: {error.strerror}") from error


def _close_all(held: Sequence[int]) -> OSError | None:
    """Close what was read; a file system in a program of its own may say only then that it was changed meanwhile."""
    problem = None
    for fd in held:
        try:
            os.close(fd)
        except OSError as error:
            problem = error
    return problem


def read_bytes(fd: int, limit: int, where: str) -> bytes:
    """The whole of a small file.

    Raises:
        NotYetError: its disk does not give it.
        RefusedError: it has more than `limit` bytes; nothing of it was read.
    """
    size = _stat_open(fd, where).st_size
    if size > limit:
        raise RefusedError(f"{where} has {size} bytes; {limit} are the most")
    found = bytearray()
    try:
        while len(found) <= limit and (piece := os.read(fd, limit + 1 - len(found))):
            found += piece
    except OSError as error:
        raise NotYetError(f"{where} cannot be read: {error.strerror}") from error
    if len(found) > limit:
        raise RefusedError(f"{where} has more than {limit} bytes, the most it may have")
    return bytes(found)


def check_size(fd: int, entry: ArrayEntry, where: str) -> None:
    """Compare a file's size with its entry's; nothing is read.

    Raises:
        NotYetError: it is another, as in a file still being written.
    """
    size = _stat_open(fd, where).st_size
    if size != entry.size:
        raise NotYetError(f"{where} has {size} of {entry.size} bytes")


def read_checked(fd: int, entry: ArrayEntry, take: Callable[[memoryview], None], where: str) -> None:
    """Read an array in one pass, comparing header, size and digest; hand every data chunk to `take`.

    Chunks hold whole elements. `take` sees them before the digest is known: what it makes of them is good only
    when this function returns. The entry's own size must have been compared with `file_size`.

    Raises:
        NotYetError: the bytes are short, long or different from the digest, as in a file still being written.
        RefusedError: header and manifest disagree though the digest holds.
    """
    head, size = header(entry.dtype, entry.shape), entry.size
    check_size(fd, entry, where)
    buffer = memoryview(bytearray(min(CHUNK, size)))  # never smaller than the header, which is part of the size
    found_head = bytes(_fill(fd, buffer[: len(head)], where))
    same = found_head == head
    hasher = blake3.blake3(found_head)
    left = size - len(head)
    while left:
        piece = _fill(fd, buffer[: min(left, len(buffer))], where)
        if not piece:
            raise NotYetError(f"{where} shrank while it was read")
        hasher.update(piece)
        if same:
            take(piece)
        left -= len(piece)
    if (now := _stat_open(fd, where).st_size) != size:
        raise NotYetError(f"{where} went from {size} to {now} bytes while it was read")
    if hasher.hexdigest() != entry.blake3:
        raise NotYetError(f"{where} differs from the digest in its manifest")
    if not same:
        raise RefusedError(f"{where} does not begin with the header of {entry.dtype} {tuple(entry.shape)}, C order")


def _fill(fd: int, out: memoryview, where: str) -> memoryview:
    done = 0
    try:
        while done < len(out) and (got := os.readv(fd, [out[done:]])):
            done += got
    except OSError as error:
        raise NotYetError(f"{where} cannot be read: {error.strerror}") from error
    return out[:done] if done == len(out) else out[:0]


def read_array(fd: int, entry: ArrayEntry, where: str) -> NDArray[Any]:
    """The whole array in memory of its own, writable.

    Raises:
        NotYetError, RefusedError: as `read_checked`; or there is no memory for it.
    """
    check_size(fd, entry, where)  # before room is made for what the manifest claims
    try:
        array = np.empty(entry.shape, entry.dtype)
    except MemoryError as error:
        raise RefusedError(f"{where} needs {entry.size} bytes of memory, more than there are") from error
    target = octets(array)
    done = 0

    def take(piece: memoryview) -> None:
        nonlocal done
        target[done : done + len(piece)] = piece
        done += len(piece)

    read_checked(fd, entry, take, where)
    return array


def map_checked(fd: int, entry: ArrayEntry, where: str) -> NDArray[Any]:
    """The whole array as it lies on disk, after one pass over it; what is written into it stays in this process.

    Nobody may write into the file as long as the array is in use: it would be seen in it.

    Raises:
        NotYetError, RefusedError: as `read_checked`.
    """
    read_checked(fd, entry, lambda _: None, where)
    try:
        mapped = mmap.mmap(fd, entry.size, access=mmap.ACCESS_COPY)
    except OSError:  # no descriptor or no address space left, or a file system without: in memory it may do
        os.lseek(fd, 0, os.SEEK_SET)
        return read_array(fd, entry, where)
    head = len(header(entry.dtype, entry.shape))
    return np.frombuffer(mapped, entry.dtype, offset=head).reshape(entry.shape)


def map_array(path: Path) -> NDArray[Any]:
    """An array of a file that a person named, mapped read-only: any ``.npy`` of numbers, nothing pickled or zipped.

    Raises:
        RefusedError: it is not that; the sentence says why.
    """
    if not path.is_file():
        raise RefusedError(f"{path} is not a file")
    try:
        _check_start(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # NumPy's readers of headers and zips raise what their tokenizers and parsers raise.
        raise RefusedError(f"{path} is not a readable .npy: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise RefusedError(f"{path} does not hold an array of bool, int or float")
    return array


def _check_start(path: Path) -> None:
    """Make sure that a file is an ``.npy`` with a header of a sane length, which NumPy would read whole.

    Raises:
        ValueError: it is not.
    """
    with path.open("rb") as file:
        start = file.read(12)
    length = int.from_bytes(start[8:10] if start[6:7] == b"\x01" else start[8:12], "little")
    if not start.startswith(b"\x93NUMPY") or length > _LONGEST_HEADER:
        raise ValueError(f"it does not begin as one, with a header of at most {_LONGEST_HEADER} bytes")


class NpyReader:
    """Reads blocks of elements of a private ``.npy`` that was checked when it was stored; a context manager.

    Args:
        path: the file.
        dtype: NumPy dtype string.
        shape: sizes of the axes.
        held: keep the file open, not only while it is read: a process may have so many files open and no more.
    """

    def __init__(self, path: Path, dtype: str, shape: Sequence[int], *, held: bool = True) -> None:
        self.dtype = np.dtype(dtype)
        self.size = math.prod(shape)
        self._offset = len(header(dtype, shape))
        self._path = path
        self._fd = self._open() if held else None

    def _open(self) -> int:
        return os.open(self._path, os.O_RDONLY | _CLOSE_ON_EXEC | _BINARY)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (1-D, this array's dtype) with the elements from `start`, C order.

        Raises:
            RefusedError: the file is shorter than its header says.
        """
        target = octets(out)
        at = self._offset + start * self.dtype.itemsize
        fd = self._open() if self._fd is None else self._fd
        try:
            while target:
                got = os.preadv(fd, [target], at)
                if not got:
                    raise RefusedError(
                        f"a private array of {self.size} elements ends early; the run folder was changed"
                    )
                target, at = target[got:], at + got
        finally:
            if self._fd is None:
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
