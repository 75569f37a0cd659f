"""What the maths reads from and writes to: one array as a sequence of blocks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""Elements that are in memory at a time, per array: half a megabyte in float64, which stays in the cache."""


class Source(Protocol):
    """One array to read."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the elements."""

    @property
    def size(self) -> int:
        """Number of elements."""

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill the 1-D `out`, of this source's dtype, with the elements from `start`."""


class Sink(Protocol):
    """One array to write, front to back."""

    def write(self, block: NDArray[Any]) -> None:
        """Append 1-D elements of the sink's dtype."""


class ArraySource:
    """A `Source` over an array in memory."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._flat = np.ascontiguousarray(array).reshape(-1)
        self.dtype: np.dtype[Any] = self._flat.dtype
        self.size = int(self._flat.size)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """See `Source.read`."""
        out[:] = self._flat[start : start + out.size]


def spans(size: int) -> Iterator[tuple[int, int]]:
    """Start and length of every block of an array of `size` elements."""
    for start in range(0, size, BLOCK):
        yield start, min(BLOCK, size - start)
