"""The matrix of a cross-site evaluation."""

from __future__ import annotations

import math

import pytest

from fltui.console.runs.cross_site import GLOBAL, CrossSite, Sheet, low_is_best
from fltui.console.runs.series import MOST_METRICS
from fltui.run.events import AnyEvent, ModelChosen, WorkflowFinished
from tests.console.evaluated import SITES, answered, asked, evaluated, evaluation, over, trained
from tests.run.journals import rejected


def found(*events: AnyEvent) -> CrossSite:
    """What has come in."""
    matrix = CrossSite()
    for event in events:
        matrix.add(event)
    return matrix


def test_every_model_has_a_value_at_every_site_and_their_mean() -> None:
    matrix = found(*trained(), *evaluation())
    assert matrix.models == {"site-0": 3, "site-1": 4, "site-2": 5, GLOBAL: 6}
    assert list(matrix.sites) == list(SITES)
    assert list(matrix.sheets) == ["accuracy", "loss"]
    sheet = matrix.sheets["accuracy"]
    assert sheet.value("site-1", "site-2") == 0.5 + 0.2 + 0.05
    assert sheet.value(GLOBAL, GLOBAL) == 0.6 + 0.15
    assert (sheet.low, sheet.high) == (0.5, 0.5 + 0.2 + 0.15000000000000002)
    assert matrix.running is None


def test_training_brings_nothing() -> None:
    matrix = found(*trained())
    assert (matrix.models, matrix.sheets, matrix.version) == ({}, {}, 0)


def test_a_model_under_way_has_the_values_that_came() -> None:
    matrix = found(*evaluation(models=2, sites=1))
    assert matrix.running == "site-1"
    assert matrix.sheets["loss"].rows["site-1"] == {"site-0": 1.8}


def test_what_a_round_brought_before_it_was_begun_again_does_not_count() -> None:
    matrix = found(*evaluated(3, "site-0", 0), asked(3, "validate", "site-0", attempt=2))
    assert matrix.sheets["accuracy"].rows["site-0"] == {}
    assert math.isnan(matrix.sheets["accuracy"].high)
    matrix.add(answered("site-1", 3, accuracy=0.9))
    assert (matrix.sheets["accuracy"].low, matrix.sheets["accuracy"].high) == (0.9, 0.9)


def test_a_result_that_is_rejected_later_does_not_count() -> None:
    matrix = found(*evaluated(3, "site-0", 0), *evaluated(4, "site-1", 1))
    assert matrix.sheets["accuracy"].is_best("site-1", "site-2", lowest=False)
    matrix.add(rejected("site-2", number=4))
    assert matrix.sheets["accuracy"].value("site-1", "site-2") is None
    assert matrix.sheets["accuracy"].is_best("site-0", "site-2", lowest=False)


def test_a_second_evaluation_takes_the_place_of_the_first() -> None:
    first = evaluation()
    matrix = found(*first, WorkflowFinished(workflow="CrossSiteEval", round=7))
    assert len(matrix.models) == 4
    matrix.add(asked(9, "validate", "site-2"))
    assert (matrix.models, matrix.sheets) == ({"site-2": 9}, {})


def test_a_site_may_send_any_number_of_metrics() -> None:
    matrix = found(
        asked(0, "validate"),
        answered("site-0", 0, **{f"m{number}": 1.0 for number in range(MOST_METRICS + 9)}),
        over(0),
    )
    assert len(matrix.sheets) == MOST_METRICS


def test_the_best_of_a_site_is_the_highest_or_the_lowest_and_may_be_shared() -> None:
    sheet = Sheet()
    for model, value in [("a", 1.0), ("b", 3.0), ("c", 3.0), ("d", math.nan), ("e", math.inf)]:
        sheet.put(model, "site", value)
    best = {
        lowest: [model for model in "abcdef" if sheet.is_best(model, "site", lowest=lowest)] for lowest in (False, True)
    }
    assert best == {False: ["b", "c"], True: ["a"]}
    assert (sheet.low, sheet.high) == (1.0, 3.0)


def test_a_value_in_the_place_of_the_highest_lowers_the_highest() -> None:
    sheet = Sheet()
    sheet.put("a", "site", 9.0)
    sheet.put("b", "site", 2.0)
    sheet.put("a", "site", 1.0)
    assert (sheet.low, sheet.high, sheet.is_best("b", "site", lowest=False)) == (1.0, 2.0, True)


@pytest.mark.parametrize("name", ["loss", "val_loss", "test/loss", "Loss", "rmse", "mean-error"])
def test_lower_values_of_these_are_better(name: str) -> None:
    assert low_is_best(name)


@pytest.mark.parametrize("name", ["accuracy", "auc", "f1", "lossless", ""])
def test_higher_values_of_these_are_better(name: str) -> None:
    assert not low_is_best(name)


def test_what_the_job_says_is_better_counts_more_than_a_name() -> None:
    matrix = CrossSite()
    matrix.add(ModelChosen(round=0, metric="accuracy", value=0.5, goal="min"))
    assert matrix.is_low_best("accuracy")
    assert matrix.is_low_best("loss")
    assert not matrix.is_low_best("auc")
