"""Robust means of each coordinate by itself: what a minority of sites sends moves them little, however far off it is.

Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", 2018: the median and the trimmed
mean by coordinate. Weights are not used: a site chooses its own, so they would give a bad one the say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fltui.aggregation.elements import read
from fltui.aggregation.sorting import AnyRow, sorted_rows
from fltui.aggregation.terms import Row, Term, are_differences

Rows = AnyRow
"""Elements of a block, shape (sites, elements)."""

Reduce = Callable[[Rows], Row]
"""Makes one row of all; may change them."""

_ROWS = 1 << 22
"""Bytes of rows that are in memory at a time, per thread: 16,384 float64 of 32 sites."""

_SHORTEST = 1 << 10

_DOUBLE = np.dtype(np.float64)


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
        self._columns = Columns(self.terms, _least_precise(self.terms))
        self.length = self._columns.length
        self._reduce = reduce

    def block(self, start: int, old: Row, out: Row) -> None:
        """See `Combine.block`."""
        # Which of two zeros comes first depends on the processor, so none keeps its sign.
        np.add(self._reduce(self._columns.read(start, old)), 0.0, out=out)
        if self._columns.are_differences:
            np.add(out, old, out=out)


class Columns:
    """The terms of one parameter side by side, block by block; blocks may be read in several threads at once.

    Args:
        terms: at least one, all of one size.
        dtype: of the rows; float64 where whole arrays and differences meet.

    Attributes:
        are_differences: the rows are differences to the base; else they are whole.
        length: elements of a block.
    """

    def __init__(self, terms: Sequence[Term], dtype: np.dtype[Any] = _DOUBLE) -> None:
        self.are_differences = are_differences(terms)
        self.length = block_length(len(terms))
        self._terms = terms
        self._dtype = dtype
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
            found = self._threads.buffers = (np.empty((len(self._terms), length), self._dtype), np.empty(length))
        return found


def _least_precise(terms: Sequence[Term]) -> np.dtype[Any]:
    """The dtype in which the values can be put in order without a change: the smaller, the quicker."""
    are_alike = len({term.is_difference for term in terms}) == 1
    are_small = all(term.source.dtype.kind == "f" and term.source.dtype.itemsize <= 4 for term in terms)
    return np.dtype(np.float32) if are_alike and are_small else _DOUBLE


def block_length(sites: int) -> int:
    """Elements of a block where those of so many sites are in memory together."""
    return max(_SHORTEST, _ROWS // (8 * sites))


def median(rows: Rows) -> Row:
    """The median of each column; between the two in the middle where the rows are even in number."""
    return _middle(sorted_rows(rows))


def trimmed_mean(rows: Rows, cut: int) -> Row:
    """The mean of each column without its `cut` least and its `cut` greatest values, which leave at least one."""
    ordered = sorted_rows(rows)[cut : len(rows) - cut]
    total = ordered[0].astype(np.float64)
    for row in ordered[1:]:
        total += row
    total /= len(ordered)
    return total


def mean_around_median(rows: Rows, keep: int) -> Row:
    """The mean of those `keep` values of each column that are closest to its median."""
    ordered = sorted_rows(rows)  # the closest stand side by side
    middle, left = _middle(ordered), len(ordered) - keep
    first, least = np.zeros(len(middle), np.intp), np.full(len(middle), np.inf)
    for start in range(left + 1):
        farthest = np.maximum(middle - ordered[start], ordered[start + keep - 1] - middle)
        np.copyto(first, start, where=farthest < least)
        np.minimum(farthest, least, out=least)
    total = np.zeros(len(middle))
    for place, row in enumerate(ordered):
        # Most are among the closest wherever these begin.
        total += row if left <= place < keep else row * ((first <= place) & (place < first + keep))
    total /= keep
    return total


def _middle(ordered: Sequence[AnyRow]) -> Row:
    found: Row = np.add(ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2], dtype=np.float64)
    found /= 2
    return found
