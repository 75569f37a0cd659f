"""Which model is the best, and when it is enough."""

from __future__ import annotations

import pytest

from fltui.errors import BadInputError
from fltui.workflows.selection import Selection
from fltui.workflows.workflow import Best, Goal


def by(
    key_metric: str = "auc", goal: Goal | None = None, stop_cond: str = "", patience: int | None = None
) -> Selection:
    return Selection.of("FedAvg", key_metric, goal, stop_cond, patience)


@pytest.mark.parametrize(
    ("goal", "values", "best"), [("max", (1.0, 3.0, 3.0, 2.0), 1), ("min", (2.0, 1.0, 1.0, 3.0), 1)]
)
def test_the_best_is_the_first_of_the_best(goal: Goal, values: tuple[float, ...], best: int) -> None:
    selection, found = by(goal=goal), None
    for number, value in enumerate(values):
        found = selection.better({"auc": value}, number, found) or found
    assert found == Best(best, "auc", values[best], goal)


def test_a_round_that_is_looked_at_again_changes_nothing() -> None:
    best = Best(3, "auc", 0.5)
    assert by().better({"auc": 0.9}, 3, best) is None
    assert by().better({"auc": 0.9}, 2, best) is None


def test_a_model_that_was_judged_by_another_metric_is_no_measure() -> None:
    assert by().better({"auc": 0.1}, 5, Best(2, "loss", 9.0)) == Best(5, "auc", 0.1)
    assert by(patience=1).why_enough({}, Best(2, "loss", 9.0), last=9, start=0) == ""


def test_without_a_metric_none_is_chosen() -> None:
    assert by("").better({"": 1.0}, 0, None) is None


def test_patience_counts_from_the_best_or_from_the_start() -> None:
    best = Best(2, "auc", 0.5)
    assert by(patience=3).why_enough({}, best, last=4, start=0) == ""
    assert "the auc of 0.5 that round 2 began with" in by(patience=3).why_enough({}, best, last=5, start=0)
    assert by(patience=3).why_enough({}, best, last=5, start=5) == ""


def test_goal_and_condition_must_not_contradict_each_other() -> None:
    with pytest.raises(
        BadInputError, match=r"key_metric_goal is max, and stop_cond 'loss <= 0\.1' waits for the opposite"
    ):
        by("loss", "max", "loss <= 0.1")
