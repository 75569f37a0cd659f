"""Conditions, and runs that end before their last round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.workflows.condition import Condition
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.series import Series
from tests.workflows.hall import Hall, run
from tests.workflows.test_parts import tells


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy >= 0.95", Condition("accuracy", ">=", 0.95)),
        ("loss<1e-3", Condition("loss", "<", 1e-3)),
        ("  val loss  <=  -2 ", Condition("val loss", "<=", -2.0)),
        ("auc/test > .5", Condition("auc/test", ">", 0.5)),
        ("f1 == 1", Condition("f1", "==", 1.0)),
    ],
)
def test_a_condition_is_a_metric_a_comparison_and_a_number(text: str, expected: Condition) -> None:
    assert Condition.parse(text) == expected
    assert Condition.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "accuracy",
        "accuracy 0.9",
        "accuracy = 0.9",
        "accuracy => 0.9",
        "accuracy >= high",
        "accuracy >= nan",
        "accuracy >= inf",
        ">= 0.9",
        "0.8 < accuracy < 0.9",
        "accuracy >= 0.9 and loss < 1",
        "accuracy >=",
    ],
)
@pytest.mark.parametrize("beside", [{}, {"key_metric": "loss"}, {"patience": 3}])
def test_what_is_no_condition_is_refused_when_the_job_is_made(text: str, beside: dict[str, Any]) -> None:
    with pytest.raises(BadInputError) as caught:
        FedAvg(stop_cond=text, **beside)
    assert str(caught.value) == (
        f"FedAvg: stop_cond is {text!r}, expected a metric, one of >= <= > < == and a number, such as "
        "'accuracy >= 0.95'"
    )


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a >= 1", 1.0, True),
        ("a > 1", 1.0, False),
        ("a <= 1", 1.0, True),
        ("a < 1", 0.9, True),
        ("a == 1", 1.0, True),
        ("a == 1", 1.1, False),
    ],
)
def test_a_condition_holds_or_does_not(text: str, value: float, holds: bool) -> None:
    assert Condition.parse(text).holds({"a": value}) is holds
    assert not Condition.parse(text).holds({"b": value})


@pytest.mark.parametrize(
    ("arguments", "goal"),
    [
        ({"key_metric": "a"}, "max"),
        ({"key_metric": "a", "key_metric_goal": "min"}, "min"),
        ({"stop_cond": "a >= 1"}, "max"),
        ({"stop_cond": "a < 1"}, "min"),
        ({"stop_cond": "a == 1"}, "max"),
        ({"stop_cond": "b < 1", "key_metric": "a"}, "max"),
        ({"stop_cond": "a < 1", "key_metric": "a"}, "min"),
    ],
)
def test_what_is_better_follows_from_the_condition(arguments: dict[str, Any], goal: str) -> None:
    assert FedAvg(**arguments).selection.goal == goal


def rounds_of(hall: Hall) -> list[int]:
    return [one.request.round for one in hall.finished]


async def test_a_run_ends_once_its_condition_holds(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=9, model=[0.0], stop_cond="accuracy >= 0.95")
    hall = Hall(tmp_path / "hall", {"a": tells(0.5, 0.9, 0.97, 0.2)})
    assert await workflow.run(hall) == "ended after round 2: accuracy is 0.97, accuracy >= 0.95 holds"
    assert rounds_of(hall) == [0, 1, 2]
    # A server that takes over then does not go on.
    assert await workflow.run(hall) == "ended after round 2: accuracy is 0.97, accuracy >= 0.95 holds"
    assert rounds_of(hall) == [0, 1, 2]


async def test_a_condition_that_holds_in_the_last_round_is_no_early_end(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=3, model=[0.0], stop_cond="accuracy >= 0.95")
    hall = Hall(tmp_path / "hall", {"a": tells(0.5, 0.9, 0.97)})
    assert await workflow.run(hall) == ""


async def test_a_run_ends_after_so_many_rounds_without_a_better_model(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=9, start_round=4, model=[0.0], key_metric="accuracy", patience=2)
    site = tells(*[0.0] * 4, 0.5, 0.6, 0.6, 0.7, 0.7, 0.1, 0.9)
    hall = Hall(tmp_path / "hall", {"a": site})
    why = "ended after round 9: the accuracy of 0.7 that round 7 began with has not become better for 2 rounds"
    assert await workflow.run(hall) == why
    assert rounds_of(hall) == [4, 5, 6, 7, 8, 9]
    assert await workflow.run(hall) == why
    assert rounds_of(hall) == [4, 5, 6, 7, 8, 9]


async def test_a_run_that_is_resumed_counts_its_patience_on(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=9, model=[0.0], key_metric="accuracy", patience=3)
    hall = Hall(tmp_path / "hall", {"a": tells(0.5, 0.4)})
    hall.stop_before = 2
    with pytest.raises(InterruptedError):
        await workflow.run(hall)
    hall.stop_before = None
    assert (await workflow.run(hall)).startswith("ended after round 3: ")
    assert rounds_of(hall) == [0, 1, 2, 3]


async def test_of_two_workflows_each_has_a_patience_and_a_best_model_of_its_own(tmp_path: Path) -> None:
    parts = (
        FedAvg(num_clients=1, num_rounds=9, model=[0.0], key_metric="accuracy", patience=2),
        FedAvg(num_clients=1, num_rounds=9, key_metric="accuracy", patience=3),
        FedAvg(num_clients=1, num_rounds=2, key_metric="loss", key_metric_goal="min"),
    )
    hall = await run(tmp_path, Series(parts), {"a": tells(0.5, 0.4, loss=7.0)})
    assert rounds_of(hall) == list(range(3 + 3 + 2))
    assert [reason[:19] for _, reason in hall.stages] == ["ended after round 2", "ended after round 5"]
    assert hall.best is not None
    assert (hall.best.metric, hall.best.round, hall.best.value) == ("loss", 6, 7.0)
