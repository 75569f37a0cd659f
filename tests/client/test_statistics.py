"""A site's part of federated statistics: what it tells, and what it keeps to itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fltui.client import statistics
from fltui.errors import ClientError
from fltui.model import STATISTICS, FLModel, Params, as_params

FIRST: dict[str, Any] = {"features": ["x", "y"], "bins": 4, "min_count": 3}
SECOND: dict[str, Any] = {**FIRST, "min_count": 1, "mean": [2.0, 0.0], "low": [0.0, -1.0], "high": [8.0, 1.0]}
DATA: dict[str, Any] = {"x": [0.0, 2.0, math.nan, 4.0, 8.0], "y": np.array([1, -1, 0])}


def tell(asked: Mapping[str, Any], data: Mapping[str, Any] = DATA, number: int = 0) -> Params:
    """What a site tells."""
    sent = statistics.answer(FLModel(params={}, current_round=number, meta={STATISTICS: dict(asked)}), data)
    assert not sent.meta
    assert not sent.metrics
    return as_params(sent.params)


def listed(told: Params) -> dict[str, Any]:
    return {name: array.tolist() for name, array in told.items()}


def test_first_it_tells_counts_sums_and_extremes() -> None:
    assert listed(tell(FIRST)) == {"count": [4, 3], "sum": [14, 0], "least": [0, -1], "greatest": [8, 1]}


def test_then_squares_around_the_mean_of_all_and_a_histogram() -> None:
    assert listed(tell(SECOND)) == {"count": [4, 3], "squares": [44, 2], "histogram": [[1, 1, 1, 1], [1, 0, 1, 1]]}


def test_of_a_bin_with_few_rows_it_tells_none() -> None:
    asked = {**SECOND, "min_count": 2, "low": [0.0, -1.0], "high": [16.0, 1.0]}
    assert listed(tell(asked)) == {"count": [4, 3], "squares": [44, 2], "histogram": [[2, 0, 0, 0], [0, 0, 0, 0]]}


def test_a_mean_that_another_site_has_made_up_leads_to_nothing_that_cannot_be_sent() -> None:
    told = tell({**SECOND, "mean": [1e280, -1e280], "low": [-1e280] * 2, "high": [1e280] * 2})
    assert listed(told) == {
        "count": [4, 3],
        "squares": [1e280, 1e280],
        "histogram": [[0, 0, 4, 0], [0, 1, 2, 0]],
    }


@pytest.mark.parametrize("asked", [FIRST, SECOND])
def test_of_few_values_it_tells_nothing(asked: dict[str, Any]) -> None:
    told = tell({**asked, "min_count": 4}, {"x": [1.0, 1.5, 1.0, 0.5], "y": [1, -1, 0]})
    for array in told.values():
        assert not array[1].any()
        assert array[0].any()


def test_within_known_bounds_extremes_are_kept_back_and_values_cut() -> None:
    told = tell({**FIRST, "bounds": {"x": [1.0, 5.0]}})
    assert listed(told) == {"count": [4, 3], "sum": [12, 0], "least": [0, -1], "greatest": [0, 1]}
    told = tell({**SECOND, "low": [1.0, -1.0], "high": [5.0, 1.0], "bounds": {"x": [1.0, 5.0]}})
    assert listed(told)["histogram"][0] == [1, 1, 0, 2]


def test_whole_numbers_truth_values_and_none_are_data_too() -> None:
    told = tell({**FIRST, "min_count": 1}, {"x": [True, False, True], "y": [None, 2, 7]})
    assert listed(told)["sum"] == [2, 9]


F = 2000
MANY: dict[str, Any] = {
    "features": [f"f{number}" for number in range(F)],
    "bins": 2,
    "min_count": 100,
    "bounds": {f"f{number}": [-1.0, 5.0] for number in range(F)},
    "noise_multiplier": 0.5,
    "noise_seed": 7,
}
ROWS = {f"f{number}": [0.0, 4.0, 4.0] for number in range(F)}
UNIT = 0.5 * math.sqrt(2 * F)
"""A row changes 2 F numbers by one unit each, so its norm is sqrt(2 F) units."""


def tell_many(asked: Mapping[str, Any], number: int = 0) -> Params:
    return tell(asked, ROWS, number)


def is_of_deviation(found: Any, deviation: float) -> None:
    values = np.asarray(found).reshape(-1)
    assert abs(values.mean()) < 5 * deviation / math.sqrt(values.size)
    assert abs(values.std() - deviation) < 5 * deviation / math.sqrt(2 * values.size)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is site ``a``."""
    monkeypatch.setattr(statistics, "get_site_name", lambda: "a")


@pytest.mark.usefixtures("named")
def test_noise_is_as_large_as_what_a_row_can_change() -> None:
    told = tell_many(MANY)
    assert told.keys() == {"count", "sum", "least", "greatest"}
    assert not told["least"].any()
    assert not told["greatest"].any()
    is_of_deviation(told["count"] - 3, UNIT)
    middle, half = 2.0, 3.0
    is_of_deviation(told["sum"] - 8 - (told["count"] - 3) * middle, UNIT * half)
    more = {"mean": [1.0] * F, "low": [-1.0] * F, "high": [5.0] * F}
    told = tell_many({**MANY, **more}, number=1)
    assert told.keys() == {"squares", "histogram"}
    is_of_deviation(told["squares"] - 19, UNIT * 4**2)  # a row is at most 4 away from the mean of all
    is_of_deviation(told["histogram"] - [1, 2], UNIT)


@pytest.mark.usefixtures("named")
def test_a_known_seed_gives_the_same_noise_and_another_in_every_round_and_at_every_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = tell_many(MANY)["count"]
    assert (tell_many(MANY)["count"] == first).all()
    others = [tell_many(MANY, number=1)["count"], tell_many({**MANY, "noise_seed": 8})["count"]]
    monkeypatch.setattr(statistics, "get_site_name", lambda: "b")
    others.append(tell_many(MANY)["count"])
    assert np.abs(np.corrcoef([first, *others]) - np.eye(4)).max() < 5 / math.sqrt(F)


def test_without_a_seed_nobody_knows_the_noise() -> None:
    secret = {**MANY, "noise_seed": None}
    assert (tell_many(secret)["count"] != tell_many(secret)["count"]).all()


NO_TASKS: list[FLModel | None] = [None, FLModel(params={}), FLModel(params={}, meta={"seed": 0})]


@pytest.mark.parametrize("model", NO_TASKS)
def test_another_task_is_none_of_statistics(model: FLModel | None) -> None:
    with pytest.raises(ClientError) as caught:
        statistics.answer(model, DATA)
    assert str(caught.value) == (
        "statistics.answer(): the task asks for no statistics; a job with the workflow Statistics does"
    )


@pytest.mark.parametrize("asked", [{}, {"features": "x"}, {**FIRST, "bins": "many"}, []])
def test_what_a_later_version_asks_is_not_guessed(asked: Any) -> None:
    with pytest.raises(ClientError, match=r"meta 'statistics' is not what this version knows: Expected|missing"):
        statistics.answer(FLModel(params={}, meta={STATISTICS: asked}), DATA)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"x": [1.0]}, "statistics.answer(): the data has no feature 'y'; it has: x"),
        ({}, "statistics.answer(): the data has no feature 'x'; it has none"),
        ({"x": [1.0, math.inf], "y": []}, "statistics.answer(): feature 'x' holds an infinite value"),
        (
            {"x": ["1", "two"], "y": []},
            "statistics.answer(): feature 'x' holds what is no number: could not convert string to float: 'two'",
        ),
    ],
)
def test_data_that_do_not_do_are_told_by_feature(data: dict[str, Any], told: str) -> None:
    with pytest.raises(ClientError) as caught:
        tell(FIRST, data)
    assert str(caught.value) == told
