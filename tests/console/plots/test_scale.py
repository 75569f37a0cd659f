"""Axes: their range, and the values written along them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.console.plots.scale import AxisScale, scale_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def texts(low: float, high: float, most: int, *, whole: bool = False) -> list[str]:
    """What is written along an axis."""
    return [text for _, text in AxisScale(low, high).ticks(most, whole=whole)]


@pytest.mark.parametrize(
    ("low", "high", "most", "written"),
    [
        (0, 1, 3, ["0.0", "0.5", "1.0"]),
        (0.31, 0.39, 3, ["0.325", "0.350", "0.375"]),
        (-2, 7, 3, ["0.0", "2.5", "5.0"]),
        (0, 1000, 6, ["0", "200", "400", "600", "800", "1000"]),
        (0, 3e6, 4, ["0", "1e6", "2e6", "3e6"]),
        (0, 2e-6, 3, ["0", "1e-6", "2e-6"]),
        (1e12, 1e12 + 2, 3, ["1.00000e12"] * 3),
        (0.1, 0.9, 0, []),
    ],
)
def test_round_values_are_written(low: float, high: float, most: int, written: list[str]) -> None:
    assert texts(low, high, most) == written


def test_rounds_are_whole_numbers() -> None:
    assert texts(0, 2, 9, whole=True) == ["0", "1", "2"]
    assert texts(0, 9, 5, whole=True) == ["0", "2", "4", "6", "8"]
    assert texts(6.5, 7.5, 5, whole=True) == ["7"]


def test_a_negative_zero_is_zero() -> None:
    assert "-0" not in texts(-1, 1, 3)


@given(FINITE, FINITE, st.integers(1, 12))
def test_values_lie_in_the_range_and_are_not_too_many(one: float, other: float, most: int) -> None:
    scale = scale_of([np.array([one, other])], margin=0.04)
    ticks = scale.ticks(most)
    assert len(ticks) <= most
    assert all(-1e-6 <= place <= 1 + 1e-6 for place, _ in ticks)
    assert all(math.isfinite(float(text)) for _, text in ticks)
    assert [place for place, _ in ticks] == sorted(place for place, _ in ticks)


@given(st.lists(st.floats(), max_size=20))
def test_every_finite_value_has_a_place(values: list[float]) -> None:
    line = np.array(values, dtype=np.float64)
    scale = scale_of([line], margin=0.04)
    assert scale.low < scale.high
    placed = scale.place(line[np.isfinite(line) & (np.abs(line) < 1.7e308)])
    assert np.all((placed >= 0) & (placed <= 1))


def test_a_range_has_a_margin() -> None:
    assert scale_of([np.array([0.0, 10.0])], margin=0.1) == AxisScale(-1.0, 11.0)


@pytest.mark.parametrize(
    ("value", "scale"), [(5.0, AxisScale(4.5, 5.5)), (0.0, AxisScale(-1, 1)), (-20.0, AxisScale(-22, -18))]
)
def test_one_value_lies_in_the_middle(value: float, scale: AxisScale) -> None:
    assert scale_of([np.array([value, value])], margin=0.1) == scale


def test_without_values_the_range_is_0_to_1() -> None:
    assert scale_of([]) == scale_of([np.array([math.nan, math.inf])]) == AxisScale(0.0, 1.0)
