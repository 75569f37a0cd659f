"""Robust means of each coordinate by itself: what a minority of sites sends moves them little, however far off it is.

Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", 2018: the median and the trimmed
mean by coordinate. Weights are not used: a site chooses its own, so they would give a bad one the say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.elements import read
from fltui.aggregation.terms import Row, Term, are_differences

Rows = NDArray[np.float64]
"""Elements of a block, shape (sites, elements)."""

Reduce = Callable[[Rows], Row]
"""Makes one row of all; may change them."""

_ROWS = 1 << 22
"""Bytes of rows that are in memory at a time, per thread: 16,384 elements of 32 sites."""

_SHORTEST = 1 << 10


class Coordinates:
    """What `reduce` makes of one parameter's coordinates, as a `Combine`.

    Differences alone are reduced and added to the base once; where whole arrays and differences meet, every difference
    is made whole first, so that the two kinds are never mixed.

    Args:
        terms: at least one, all of one size; those that weigh nothing are left out.
        reduce: see `median`, `trimmed_mean` and `mean_around_median`.

    Raises:
        ValueError: all weigh nothing.
    """

    def __init__(self, terms: Sequence[Term], reduce: Reduce) -> None:
        self.terms = [term for term in terms if term.weight]
        if not self.terms:
            raise ValueError(f"the weights of the {len(terms)} results add up to 0, so there is nothing to aggregate")
        self._columns = Columns(self.terms)
        self.length = self._columns.length
        self._reduce = reduce

    def block(self, start: int, old: Row, out: Row) -> None:
        """See `Combine.block`."""
        np.copyto(out, self._reduce(self._columns.read(start, old)))
        if self._columns.are_differences:
            np.add(out, old, out=out)


class Columns:
    """The terms of one parameter side by side, block by block; blocks may be read in several threads at once.

    Attributes:
        are_differences: the rows are differences to the base; else they are whole.
        length: elements of a block.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self.are_differences = are_differences(terms)
        self.length = block_length(len(terms))
        self._terms = terms
        self._threads = threading.local()

    def read(self, start: int, old: Row) -> Rows:
        """The rows of a block; the base is `old` there. They are written over by this thread's next."""
        rows, scratch = self._buffers()
        rows = rows[:, : old.size]
        for row, term in zip(rows, self._terms, strict=True):
            read(term.source, start, row, scratch)
            if term.is_difference and not self.are_differences:
                row += old
        return rows

    def _buffers(self) -> tuple[Rows, Row]:
        found: tuple[Rows, Row] | None = getattr(self._threads, "buffers", None)
        if found is None:
            length = min(self.length, self._terms[0].source.size)
            found = self._threads.buffers = (np.empty((len(self._terms), length)), np.empty(length))
        return found


def block_length(sites: int) -> int:
    """Elements of a block where those of so many sites are in memory together."""
    return max(_SHORTEST, _ROWS // (8 * sites))


def median(rows: Rows) -> Row:
    """The median of each column; between the two in the middle where the rows are even in number."""
    rows.sort(axis=0)
    found: Row = rows[(len(rows) - 1) // 2] + rows[len(rows) // 2]
    found /= 2
    return found


def trimmed_mean(rows: Rows, cut: int) -> Row:
    """The mean of each column without its `cut` least and its `cut` greatest values, which leave at least one."""
    rows.sort(axis=0)
    return _mean(rows[cut : len(rows) - cut])


def mean_around_median(rows: Rows, keep: int) -> Row:
    """The mean of those `keep` values of each column that are closest to its median."""
    middle = median(rows)  # sorted now: the closest stand side by side
    first = np.zeros(rows.shape[1], np.intp)
    least = np.full(rows.shape[1], np.inf)
    for start in range(len(rows) - keep + 1):
        farthest = np.maximum(middle - rows[start], rows[start + keep - 1] - middle)
        closer = farthest < least
        first[closer], least[closer] = start, farthest[closer]
    columns = np.arange(rows.shape[1])
    return _mean(np.stack([rows[first + offset, columns] for offset in range(keep)]))


def _mean(rows: Rows) -> Row:
    """The mean of each column, added up from the first row to the last."""
    total: Row = rows[0].copy()
    for row in rows[1:]:
        total += row
    total /= len(rows)
    return total
