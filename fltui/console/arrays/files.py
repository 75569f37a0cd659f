"""Arrays on disk, read a window at a time.

A file may be rewritten, cut or deleted by somebody else at any moment: it is read with `os.preadv`, never mapped, and
what is missing is told in a sentence.
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import weakref
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fltui.console.arrays.slices import Index, Plane, plane_of
from fltui.console.safe import safe
from fltui.errors import NotYetError, RefusedError

if TYPE_CHECKING:  # NumPy is loaded when an array is first read, not with the console
    import numpy as np
    from numpy.typing import NDArray

_LONGEST_HEADER = 1 << 16
_MAX_RANK = 32
_SPAN = 1 << 16
"""Bytes that are read at once to pick strided elements from; further apart they are read one by one."""

_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<dtype>\|b1|\|[iu]1|<[iu][248]|<f[248])',\s*"
    r"'fortran_order':\s*(?P<fortran>True|False),\s*"
    r"'shape':\s*\((?P<shape>\s*(?:[0-9]{1,15}\s*,\s*)*(?:[0-9]{1,15})?\s*)\),?\s*\}\s*",
    re.ASCII,
)
_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float"}
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class Array(Protocol):
    """Elements that can be read a window or a stretch at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""

    @property
    def dtype(self) -> str:
        """NumPy dtype string of the elements that are read."""

    @property
    def size(self) -> int:
        """How many elements there are."""

    @property
    def stamp(self) -> Hashable:
        """Another one whenever the elements may be others."""

    def plane(self, index: Index) -> Plane:
        """How the elements of a slice lie in rows and columns; see `plane_of`."""

    def window(self, index: Index, rows: range, columns: range) -> NDArray[Any]:
        """Part of a slice.

        Args:
            index: the slice.
            rows, columns: what of it, cut to what there is.

        Returns:
            shape (rows, columns); the last row of a rank 1 array is filled up with zeros.

        Raises:
            NotYetError: it cannot be read.
        """

    def read(self, start: int, count: int) -> NDArray[Any]:
        """`count` elements from `start`, in the order in which they are stored.

        Raises:
            NotYetError: they cannot be read.
        """

    def is_unchanged(self) -> bool:
        """Whether the elements are as they were when this object was made, as far as the file system tells."""


class ArrayFile:
    """An ``.npy`` of little-endian bool, int or float. The file is closed when nobody holds the object any more.

    Args:
        fd: an open regular file; the object's own from now on.
        where: harmless words for the file, for sentences.
        path: names the file in `stamp`.

    Raises:
        NotYetError: the file is shorter than its header says.
        RefusedError: it is not such an ``.npy``.
    """

    def __init__(self, fd: int, where: str, path: str = "") -> None:
        self._fd = fd
        self._where = where
        weakref.finalize(self, os.close, fd)
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise RefusedError(f"{where} is not a plain file")
        self._path = path
        self._stamp = self._stamp_of(about)
        self.dtype, self.fortran, self.shape, self._offset = self._read_header()
        self.size = math.prod(self.shape)
        self._itemsize = int(self.dtype[-1])
        expected = self._offset + self.size * self._itemsize
        if about.st_size < expected:
            raise NotYetError(f"{where} has {about.st_size} of {expected} bytes")
        if about.st_size > expected:
            raise RefusedError(f"{where} has {about.st_size} bytes, {expected} belong to its array")

    @classmethod
    def open(cls, path: Path, where: str = "") -> ArrayFile:
        """Open a file; a link, a FIFO or a device is not followed, waited for or read.

        Args:
            path: the file.
            where: harmless words for it; its path by default.

        Raises:
            NotYetError: it is not there or not whole.
            RefusedError: it is not an ``.npy`` of numbers.
        """
        where = where or safe(str(path))
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError as error:
            raise NotYetError(f"{where} is not there") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
                raise RefusedError(f"{where} is not a plain file") from error
            raise NotYetError(f"{where} cannot be opened: {error.strerror}") from error
        except ValueError as error:  # a NUL in the path
            raise RefusedError(f"{where} is not the name of a file") from error
        return cls(fd, where, str(path))

    @property
    def stamp(self) -> Hashable:
        """Path, device, inode, size and time of the last change when it was opened."""
        return self._stamp

    def is_unchanged(self) -> bool:
        """See `Array.is_unchanged`."""
        return self._stamp_of(os.fstat(self._fd)) == self._stamp

    def plane(self, index: Index) -> Plane:
        """See `Array.plane`."""
        return plane_of(self.shape, index, fortran=self.fortran)

    def window(self, index: Index, rows: range, columns: range) -> NDArray[Any]:
        """See `Array.window`; of a C-ordered matrix only what is asked for is read, a stretch per row."""
        import numpy as np  # see above

        plane = self.plane(index)
        rows = range(max(0, rows.start), min(rows.stop, plane.rows))
        columns = range(max(0, columns.start), min(columns.stop, plane.columns))
        out = np.zeros((len(rows), len(columns)), self._stored)
        if plane.column_step <= plane.row_step:
            for place, row in enumerate(rows):
                count = min(columns.stop, plane.columns_in(row)) - columns.start
                if count > 0:
                    first = plane.start + row * plane.row_step + columns.start * plane.column_step
                    self._fill(out[place, :count], first, plane.column_step)
        elif rows:
            line = np.empty(len(rows), self._stored)
            for place, column in enumerate(columns):
                first = plane.start + rows.start * plane.row_step + column * plane.column_step
                self._fill(line, first, plane.row_step)
                out[:, place] = line
        return self._as_dtype(out)

    def read(self, start: int, count: int) -> NDArray[Any]:
        """See `Array.read`."""
        import numpy as np  # see above

        out = np.empty(count, self._stored)
        self._fill(out, start, 1)
        return self._as_dtype(out)

    @property
    def _stored(self) -> str:
        """A byte that is neither 0 nor 1 is no bool to NumPy: those are read as numbers."""
        return "|u1" if self.dtype == "|b1" else self.dtype

    def _as_dtype(self, found: NDArray[Any]) -> NDArray[Any]:
        return found != 0 if self.dtype == "|b1" else found

    def _fill(self, out: NDArray[Any], start: int, step: int) -> None:
        """Every `step`-th element from `start` on."""
        import numpy as np  # see above

        if not out.size:
            return
        if step <= 1:
            self._fill_bytes(out.data.cast("B"), start)
            return
        span = (len(out) - 1) * step + 1
        if span * self._itemsize <= _SPAN:
            held = np.empty(span, out.dtype)
            self._fill_bytes(held.data.cast("B"), start)
            out[:] = held[::step]
            return
        octets = out.data.cast("B")
        for place in range(len(out)):
            at = place * self._itemsize
            self._fill_bytes(octets[at : at + self._itemsize], start + place * step)

    def _fill_bytes(self, out: memoryview, start: int) -> None:
        self._pread(out, self._offset + start * self._itemsize)

    def _pread(self, out: memoryview, at: int) -> None:
        try:
            while out:
                got = os.preadv(self._fd, [out], at)
                if not got:
                    raise NotYetError(f"{self._where} was cut while it was read")
                out, at = out[got:], at + got
        except OSError as error:
            raise NotYetError(f"{self._where} cannot be read: {error.strerror}") from error

    def _read_header(self) -> tuple[str, bool, tuple[int, ...], int]:
        refused = RefusedError(f"{self._where} is not an .npy of little-endian bool, int or float")
        head = self._bytes(0, 12)
        wide = head[6:8] in (b"\x02\x00", b"\x03\x00")
        if head[:6] != b"\x93NUMPY" or not (wide or head[6:8] == b"\x01\x00"):
            raise refused
        begin = 12 if wide else 10
        length = int.from_bytes(head[8:begin], "little")
        if length > _LONGEST_HEADER:
            raise RefusedError(f"{self._where} has a header of {length} bytes; {_LONGEST_HEADER} are the most")
        found = _HEADER.fullmatch(self._bytes(begin, length).decode("latin1"))
        if not found:
            raise refused
        axes = [axis.strip() for axis in found["shape"].split(",")]
        if len(axes) == 1 and axes[0]:
            raise refused  # (3) is a number, (3,) a shape
        shape = tuple(int(axis) for axis in axes if axis)
        if len(shape) > _MAX_RANK:
            raise RefusedError(f"{self._where} has an array of {len(shape)} axes; {_MAX_RANK} are the most")
        return found["dtype"], found["fortran"] == "True", shape, begin + length

    def _bytes(self, at: int, count: int) -> bytes:
        out = bytearray(count)
        self._pread(memoryview(out), at)
        return bytes(out)

    def _stamp_of(self, about: os.stat_result) -> Hashable:
        return self._path, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


class Difference:
    """One array minus another of the same shape, in float64; NaN where both are the same infinity.

    Raises:
        RefusedError: they cannot be subtracted.
    """

    dtype = "<f8"

    def __init__(self, left: ArrayFile, right: ArrayFile) -> None:
        if left.shape != right.shape:
            raise RefusedError(f"the shapes differ: {shape_text(left.shape)} and {shape_text(right.shape)}")
        if left.fortran != right.fortran and len(left.shape) > 1:
            raise RefusedError("one of the arrays is stored by rows, the other by columns: they are not subtracted")
        self._left, self._right = left, right
        self.shape = left.shape
        self.size = left.size

    @property
    def stamp(self) -> Hashable:
        """The stamps of both."""
        return self._left.stamp, self._right.stamp

    def is_unchanged(self) -> bool:
        """See `Array.is_unchanged`."""
        return self._left.is_unchanged() and self._right.is_unchanged()

    def plane(self, index: Index) -> Plane:
        """See `Array.plane`."""
        return self._left.plane(index)

    def window(self, index: Index, rows: range, columns: range) -> NDArray[np.float64]:
        """See `Array.window`."""
        return _minus(self._left.window(index, rows, columns), self._right.window(index, rows, columns))

    def read(self, start: int, count: int) -> NDArray[np.float64]:
        """See `Array.read`."""
        return _minus(self._left.read(start, count), self._right.read(start, count))


def _minus(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np  # see above

    with np.errstate(invalid="ignore", over="ignore"):
        found: NDArray[np.float64] = np.subtract(left, right, dtype=np.float64)
    return found


def dtype_text(dtype: str) -> str:
    """``float32`` for ``<f4``."""
    return "bool" if dtype == "|b1" else f"{_KINDS[dtype[1]]}{int(dtype[2:]) * 8}"


def shape_text(shape: tuple[int, ...]) -> str:
    """``3×3``; a single number has the shape ``scalar``."""
    return "×".join(map(str, shape)) or "scalar"
