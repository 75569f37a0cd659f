"""Medians and trimmed means of each coordinate, against plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fltui.aggregation import coordinates
from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.coordinates import Coordinates, Reduce, mean_around_median, median, trimmed_mean
from fltui.aggregation.parameter import write_parameter
from fltui.aggregation.terms import Term
from tests.aggregation.arrays import Array, ListSink, diff, full


def reduced(reduce: Reduce, *terms: Term, base: Array | None = None) -> Array:
    sink = ListSink()
    write_parameter(Coordinates(terms, reduce), None if base is None else ArraySource(base), sink)
    return sink.array()


def plain_median(rows: Array) -> Array:
    found: Array = np.median(rows, axis=0)
    return found


def plain_trimmed_mean(rows: Array, cut: int) -> Array:
    found: Array = np.sort(rows, axis=0)[cut : len(rows) - cut].mean(axis=0)
    return found


def plain_mean_around_median(rows: Array, keep: int) -> Array:
    """For each coordinate by itself: the values by their distance to the median, and the mean of the first."""
    found = []
    for column in rows.T:
        away = sorted((abs(value - np.median(column)), value) for value in column)
        found.append(np.mean([value for _, value in away[:keep]]))
    return np.array(found)


@st.composite
def models(draw: st.DrawFn, least: int = 1) -> Array:
    """Rows of sites, whose values often meet."""
    shape = draw(st.integers(least, 12)), draw(st.integers(1, 20))
    return draw(hnp.arrays(np.float64, shape, elements=st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float)))


@given(models())
def test_the_median_is_numpys(rows: Array) -> None:
    np.testing.assert_array_equal(reduced(median, *map(full, rows)), plain_median(rows))


@given(models(), st.data())
def test_the_trimmed_mean_is_that_of_what_is_left(rows: Array, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, (len(rows) - 1) // 2))
    found = reduced(partial(trimmed_mean, cut=cut), *map(full, rows))
    np.testing.assert_allclose(found, plain_trimmed_mean(rows, cut), rtol=1e-12, atol=1e-9)


@given(models(), st.data())
def test_the_mean_around_the_median_is_as_close_as_any(rows: Array, data: st.DataObject) -> None:
    keep = data.draw(st.integers(1, len(rows)))
    found = reduced(partial(mean_around_median, keep=keep), *map(full, rows))
    expected = plain_mean_around_median(rows, keep)
    middle = plain_median(rows)
    same = np.isclose(found, expected, rtol=1e-9, atol=1e-9)
    for place in np.flatnonzero(~same):  # one below and one above the median may be equally far from it
        away = np.sort(np.abs(rows[:, place] - middle[place]))
        assert keep < len(rows)
        assert away[keep - 1] == pytest.approx(away[keep], rel=1e-9, abs=1e-9)


REDUCED: list[tuple[Reduce, Callable[[Array], Array]]] = [
    (median, plain_median),
    (partial(trimmed_mean, cut=1), partial(plain_trimmed_mean, cut=1)),
]


@pytest.mark.parametrize(("reduce", "plain"), REDUCED, ids=["median", "trimmed mean"])
@given(models(least=3), st.data())
def test_differences_are_reduced_and_added_once_and_a_mix_is_made_whole(
    reduce: Reduce, plain: Callable[[Array], Array], rows: Array, data: st.DataObject
) -> None:
    base = data.draw(hnp.arrays(np.float64, rows.shape[1], elements=st.floats(-1e6, 1e6)))
    found = reduced(reduce, *map(diff, rows), base=base)
    np.testing.assert_allclose(found, plain(rows) + base, rtol=1e-12, atol=1e-9)
    mixed = [full(row) if number % 2 else diff(row - base) for number, row in enumerate(rows)]
    np.testing.assert_allclose(reduced(reduce, *mixed, base=base), plain(rows), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "|i1", "<i8", "|b1"])
def test_the_result_has_the_dtype_of_the_model(dtype: str) -> None:
    rows = [np.array([0, 1, value], dtype) for value in (0, 1, 1, 1, 0)]
    found = reduced(median, *map(full, rows), base=rows[0])
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == [0, 1, 1]


@settings(max_examples=20)
@given(models(), st.integers(1, 5))
def test_the_size_of_a_block_changes_no_bit(rows: Array, length: int) -> None:
    whole = reduced(median, *map(full, rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coordinates, "block_length", lambda _: length)
        assert reduced(median, *map(full, rows)).tobytes() == whole.tobytes()


def test_the_norm_is_that_of_the_change() -> None:
    base = np.array([1.0, 2.0])
    terms = [full(np.array([4.0, 6.0]))] * 3
    assert write_parameter(Coordinates(terms, median), ArraySource(base), ListSink()) == 5.0
    assert write_parameter(Coordinates(terms, median), None, ListSink()) == pytest.approx(np.hypot(4, 6))


def test_a_difference_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no model to add it to"):
        reduced(median, diff(np.ones(3)))


def test_what_does_not_fit_is_refused() -> None:
    base = np.full(3, 60000, np.float16)
    with pytest.raises(ValueError, match="does not fit into float16"):
        reduced(median, *[diff(base)] * 3, base=base)


def test_rows_of_many_sites_stay_within_bounds() -> None:
    assert coordinates.block_length(32) == 1 << 14
    assert coordinates.block_length(10**6) == 1 << 10
