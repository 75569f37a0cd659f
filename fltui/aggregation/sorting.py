"""Sorting every column of a block, by whole rows at a time where they are few."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

AnyRow = NDArray[np.floating[Any]]

_FEW = 64
"""Rows above which a sort of each column by itself is quicker than a network, which takes n * log(n)**2 comparisons."""


def sorted_rows(rows: AnyRow) -> list[AnyRow]:
    """The rows that hold the least of every column, the next, and so on.

    Args:
        rows: finite, shape (rows, columns); they are written over, and what is returned lies in them.
    """
    if len(rows) > _FEW:
        columns = np.ascontiguousarray(rows.T)
        columns.sort(axis=1)
        np.copyto(rows, columns.T)
        return list(rows)
    ordered, spare = list(rows), np.empty_like(rows[0])
    for upper, lower in _network(len(rows)):
        np.minimum(ordered[upper], ordered[lower], out=spare)
        np.maximum(ordered[upper], ordered[lower], out=ordered[lower])
        ordered[upper], spare = spare, ordered[upper]
    return ordered


@cache
def _network(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of places whose values are put in order, one pair after the other.

    Batcher, "Sorting networks and their applications", 1968: the merging of odd and even places.
    """
    pairs = []
    size = 1
    while size < count:
        step = size
        while step:
            for start in range(step % size, count - step, 2 * step):
                for place in range(start, min(start + step, count - step)):
                    if place // (2 * size) == (place + step) // (2 * size):
                        pairs.append((place, place + step))
            step //= 2
        size *= 2
    return tuple(pairs)
