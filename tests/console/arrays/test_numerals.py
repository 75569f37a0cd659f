"""Numbers as text."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fltui.console.arrays.numerals import Numerals, exact_text, number_text
from fltui.console.arrays.statistics import Statistics


def over(low: float, high: float, dtype: str = "<f4") -> Numerals:
    """For an array with numbers from `low` to `high`."""
    return Numerals.of(dtype, Statistics(2, low, 0.0, high))


def test_numbers_of_one_array_have_as_many_digits_as_the_largest_asks_for() -> None:
    assert [over(2, 10).text(value) for value in (2.0, 10.0)] == ["2.000", "10.000"]
    assert [over(-0.05, 0.05).text(value) for value in (0.05, -0.0123456)] == ["0.05000", "-0.01235"]
    assert over(0, 500.25).text(500.25) == "500.25"
    assert over(0, 1).text(-0.0) == "0.000"
    assert over(0, 123456.0).text(123456.0) == "123456.0"


def test_numbers_far_from_the_others_are_powers_of_ten() -> None:
    assert over(-10, 10).text(0.00001234) == "1.23e-5"
    assert over(0, 1e-5).text(-1.2345e-5) == "-1.23e-05"
    assert over(0, 1e9).text(1e9) == "1.00e+09"
    assert over(0, 1e9).text(0.0) == "0"
    assert over(0, 1).text(-123456.0) == "-1e5"


def test_whole_numbers_and_bools_are_plain() -> None:
    assert [over(-3, 120, "<i8").text(value) for value in (-3, 120)] == ["-3", "120"]
    assert [over(0, 1, "|b1").text(value) for value in (True, False)] == ["True", "False"]
    assert over(0, 2.0**62, "<i8").text(2**62) == "4.61e+18"


def test_numbers_that_are_none_are_words() -> None:
    words = [over(0, 1).text(value) for value in (math.nan, math.inf, -math.inf)]
    assert words == ["NaN", "+Inf", "-Inf"]
    assert [number_text(value) for value in (math.nan, math.inf, -math.inf)] == words
    assert [exact_text(np.array([value])) for value in (math.nan, math.inf, -math.inf)] == words


@given(st.floats(width=64), st.floats(width=64), st.floats(width=64))
def test_every_number_fits_into_its_column(low: float, high: float, value: float) -> None:
    first, last = sorted(end if math.isfinite(end) else 0.0 for end in (low, high))
    numerals = over(first, last)
    assert 4 <= numerals.width <= 9
    assert len(numerals.text(value)) <= numerals.width


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**64 - 1))
def test_every_whole_number_fits_into_its_column(low: int, high: int, value: int) -> None:
    numerals = over(float(min(low, high)), float(max(low, high)), "<i8")
    assert len(numerals.text(value)) <= numerals.width


def test_a_number_on_its_own_has_four_digits() -> None:
    texts = [number_text(value) for value in (2.0, 0.0, 0.318, 0.00123456, 1.5e-7, 2e9)]
    assert texts == ["2.000", "0.000", "0.3180", "0.001235", "1.500e-07", "2.000e+09"]
    assert number_text(12.0, whole=True) == "12"


def test_an_exact_number_is_as_short_as_its_dtype_can_be_read_back() -> None:
    assert exact_text(np.array([0.1], np.float32)) == "0.1"
    assert exact_text(np.array([0.1], np.float32).astype(float)) == "0.10000000149011612"
    assert exact_text(np.array([[2**63 - 1]])) == "9223372036854775807"
    assert exact_text(np.array([True])) == "True"
