"""Times and values in a few cells."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.console.amounts import duration_text, metric_text, value_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.004, "4 ms"),
        (0.0994, "99 ms"),
        (0.42, "0.42 s"),
        (12.34, "12.3 s"),
        (99.96, "1m40s"),
        (245, "4m05s"),
        (7620, "2h07m"),
        (360 * 86400, "8640h00m"),
    ],
)
def test_durations_fit_a_column(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5.000"),
        (0.6, "0.6000"),
        (1234.0, "1234"),
        (1.234e-5, "1.23e-05"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_values_line_up(value: float, text: str) -> None:
    assert value_text(value) == text


def test_of_several_metrics_the_first_by_name_is_told() -> None:
    assert metric_text({"loss": 0.25, "accuracy": 0.912345}) == "accuracy 0.9123"
    assert metric_text({}) == ""


@given(st.floats())
def test_every_value_fits_into_eight_cells(value: float) -> None:
    assert len(value_text(value)) <= 8
