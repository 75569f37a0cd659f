"""What the maths reads from and writes to: one array as a sequence of blocks, so that memory stays bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""Elements that are in memory at a time, per array: half a megabyte in float64, which stays in the cache."""


_T = TypeVar("_T")

_ALONE = 16
"""Blocks of an array that is too short for threads to pay."""

_THREADS = min(4, os.cpu_count() or 1)
"""More than that wait for memory and for the digest of what is written."""


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
        """Append 1-D elements of the sink's dtype; their memory is used again once this returns."""


class ArraySource:
    """A `Source` over an array in memory."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._flat = np.ascontiguousarray(array).reshape(-1)
        self.dtype: np.dtype[Any] = self._flat.dtype
        self.size = int(self._flat.size)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """See `Source.read`."""
        out[:] = self._flat[start : start + out.size]


def spans(size: int, length: int = 0) -> Iterator[tuple[int, int]]:
    """Start and length of every block of an array of `size` elements; `BLOCK` of them unless a `length` is given."""
    length = length or BLOCK
    for start in range(0, size, length):
        yield start, min(length, size - start)


def in_order(make: Callable[[int, int], _T], blocks: Iterable[tuple[int, int]]) -> Iterator[_T]:
    """What `make` gives for each block, in order; of long arrays in several threads at once, a few blocks ahead.

    Args:
        make: called with start and length; reads, and computes with NumPy, which lets other threads run.
        blocks: see `spans`.
    """
    first = list(islice(blocks := iter(blocks), _ALONE))
    if len(first) < _ALONE:
        yield from (make(*block) for block in first)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        ahead: deque[Future[_T]] = deque()
        try:
            for block in chain(first, blocks):
                ahead.append(pool.submit(make, *block))
                if len(ahead) > 2 * _THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
