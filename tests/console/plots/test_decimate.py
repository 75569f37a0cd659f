"""Long lines made short: nothing that can be seen is lost."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from fltui.console.plots.decimate import band, decimate

VALUES = st.lists(st.floats(width=32) | st.just(math.nan), max_size=400).map(lambda ys: np.array(ys, dtype=np.float64))


def places(count: int) -> NDArray[np.float64]:
    """As many places from 0 to 1."""
    return np.linspace(0, 1, count)


def test_a_short_line_stays_as_it_is() -> None:
    xs, ys = places(4), np.array([1.0, 5, 2, 3])
    [(kept, values)] = decimate(xs, ys, 50)
    assert_array_equal(kept, xs)
    assert_array_equal(values, ys)


def test_an_empty_line_has_no_pieces() -> None:
    assert decimate(np.array([]), np.array([]), 10) == []


def test_a_spike_among_a_million_values_survives() -> None:
    ys = np.zeros(1_000_000)
    ys[123_456], ys[777_777] = 9.0, -9.0
    every = places(len(ys))
    [(xs, kept)] = decimate(every, ys, 100)
    assert len(xs) <= 200
    assert {9.0, -9.0} <= set(kept)
    assert_array_equal(xs[kept == 9.0], every[[123_456]])


def test_values_that_are_not_finite_leave_gaps() -> None:
    ys = np.array([1.0, math.nan, 2, 3, math.inf, -math.inf, 4])
    assert [list(values) for _, values in decimate(places(7), ys, 50)] == [[1], [2, 3], [4]]


def test_a_gap_that_is_too_narrow_to_be_seen_is_none() -> None:
    ys = np.ones(10_000)
    ys[::7] = math.nan
    assert len(decimate(places(len(ys)), ys, 20)) == 1


def test_a_gap_that_is_wide_enough_stays() -> None:
    ys = np.ones(10_000)
    ys[4_000:6_000] = math.nan
    left, right = decimate(places(len(ys)), ys, 20)
    assert left[0][-1] < 0.41
    assert right[0][0] > 0.59


def test_a_line_whose_places_go_back_is_put_in_order() -> None:
    [(xs, ys)] = decimate(np.array([0.0, 1.0, 0.5]), np.array([1.0, 3.0, 2.0]), 10)
    assert (list(xs), list(ys)) == ([0.0, 0.5, 1.0], [1.0, 2.0, 3.0])


@given(VALUES, st.integers(1, 60))
def test_the_ends_are_kept_and_the_points_are_few(ys: NDArray[np.float64], columns: int) -> None:
    pieces = decimate(places(len(ys)), ys, columns)
    finite = ys[np.isfinite(ys)]
    assert sum(len(xs) for xs, _ in pieces) <= 2 * columns
    assert all(len(xs) == len(values) > 0 for xs, values in pieces)
    assert all(np.isfinite(values).all() for _, values in pieces)
    assert all(np.all(np.diff(xs) >= 0) for xs, _ in pieces)
    if finite.size:
        kept = np.concatenate([values for _, values in pieces])
        assert (kept.min(), kept.max()) == (finite.min(), finite.max())
    else:
        assert pieces == []


def test_a_band_lies_between_the_lowest_and_the_highest() -> None:
    xs = places(3)
    at, low, high = band([(xs, np.array([1.0, 2, 3])), (xs, np.array([3.0, math.nan, 0]))], 10)
    assert (list(at), list(low), list(high)) == ([0, 0.5, 1], [1, 2, 0], [3, 2, 3])


def test_a_band_of_nothing_finite_is_empty() -> None:
    at, low, high = band([(places(2), np.array([math.nan, math.inf]))], 10)
    assert at.size == low.size == high.size == 0


@given(st.lists(VALUES, min_size=1, max_size=6), st.integers(1, 60))
def test_every_value_lies_in_the_band(lines: list[NDArray[np.float64]], columns: int) -> None:
    at, low, high = band([(places(len(ys)), ys) for ys in lines], columns)
    assert len(at) == len(low) == len(high) <= columns
    assert np.all(low <= high)
    finite = [ys[np.isfinite(ys)] for ys in lines]
    if any(ys.size for ys in finite):
        every = np.concatenate(finite)
        assert (low.min(), high.max()) == (every.min(), every.max())
