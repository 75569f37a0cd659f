"""Arguments of the parts of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fltui.arguments import check_number, check_whole, plain
from fltui.errors import BadInputError


@dataclass(frozen=True)
class Part:
    """Something of a job."""

    value: Any


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_of_every_kind_become_plain(value: object) -> None:
    part = Part(value)
    check_whole(part, "value", 1)
    assert type(part.value) is int


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), np.float32(0.5)])
def test_numbers_of_every_kind_become_plain(value: object) -> None:
    part = Part(value)
    check_number(part, "value", above=0)
    assert type(part.value) is float


@pytest.mark.parametrize("value", [True, "1", None, 1j, float("nan"), float("inf"), np.float64("nan"), np.array([1.0])])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert plain(value) is None


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"least": 0}, "a number of at least 0"),
        ({"above": 0}, "a number above 0"),
        ({"least": 0, "below": 1}, "a number from 0 to below 1"),
        ({"least": 0, "most": 100}, "a number from 0 to 100"),
        ({"above": 0, "most": 0.5}, "a number above 0 and at most 0.5"),
        ({"above": 0, "below": 1}, "a number above 0 and below 1"),
        ({"most": 1}, "a number of at most 1"),
        ({}, "a number"),
    ],
)
def test_the_bounds_are_told(bounds: dict[str, float], said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        check_number(Part("x"), "value", **bounds)  # type: ignore[arg-type]  # none of them is optional
    assert str(caught.value) == f"Part: value is 'x', expected {said}"


def test_none_may_be_allowed() -> None:
    check_whole(Part(None), "value", 1, optional=True)
    check_number(Part(None), "value", least=1, optional=True)
    with pytest.raises(BadInputError, match="value is None, expected a whole number from 1 to 3"):
        check_whole(Part(None), "value", 1, 3)
