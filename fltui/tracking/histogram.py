"""How the elements of an array are spread, read block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fltui.exchange.npy import NpyReader

BINS = 30
_BLOCK = 1 << 18
"""Elements that are in memory at a time."""


def histogram(array: NpyReader) -> NDArray[np.float64]:
    """Edges and counts of the finite elements, float64 of shape (bins, 3): left edge, right edge, how many.

    Elements that are all the same make one bin around them; without finite elements there is none.

    Raises:
        OSError: the file cannot be read.
        RefusedError: it is shorter than it has to be.
    """
    low, high = np.inf, -np.inf
    for block in _blocks(array):
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    if low > high:
        return np.empty((0, 3))
    counts = np.zeros(BINS, np.int64)
    width = high / BINS - low / BINS  # each divided first: the difference alone may be more than float64 holds
    if not width:
        total = sum(block.size for block in _blocks(array))
        return np.array([[low - 0.5, high + 0.5, float(total)]])
    for block in _blocks(array):
        places = ((block / BINS - low / BINS) / width * BINS).astype(np.int64)
        counts += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)
    parts = np.arange(BINS + 1) / BINS
    edges = low * (1 - parts) + high * parts
    return np.column_stack([edges[:-1], edges[1:], counts.astype(np.float64)])


def _blocks(array: NpyReader) -> Iterator[NDArray[np.float64]]:
    """The finite elements, some at a time, never none."""
    for start in range(0, array.size, _BLOCK):
        block = np.empty(min(_BLOCK, array.size - start), array.dtype)
        array.read(start, block)
        wide = block.astype(np.float64)
        finite = wide[np.isfinite(wide)]
        if finite.size:
            yield finite
