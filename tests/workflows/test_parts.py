"""The parts that `FedAvg` is put together of: whether they go together, and the model that it calls the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.aggregation.aggregators import Bulyan, GeometricMedian, Krum, Median, MultiKrum
from fltui.aggregation.optimizers import FedAdam
from fltui.errors import BadInputError, RunFailedError
from fltui.model import Params
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.workflow import Best
from tests.workflows.hall import Hall, Reply, Site, run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"num_clients": 4, "aggregator": Krum(f=1)},
            "FedAvg: Krum(f=1) needs results of at least 5 sites, and a round may have 4",
        ),
        (
            {"num_clients": 20, "min_clients": 9, "aggregator": Bulyan(f=2)},
            "FedAvg: Bulyan(f=2) needs results of at least 11 sites, and a round may have 9",
        ),
        (
            {"num_clients": 20, "sampling": 0.3, "aggregator": MultiKrum(f=2)},
            "FedAvg: MultiKrum(f=2, k=None) needs results of at least 7 sites, and a round may have 6",
        ),
        (
            {"num_clients": 20, "min_clients": 10, "sampling": 5, "aggregator": Krum(f=2)},
            "FedAvg: Krum(f=2) needs results of at least 7 sites, and a round may have 5",
        ),
        ({"aggregator": None}, "FedAvg: aggregator is None, expected one such as aggregator=Median()"),
        ({"aggregator": Median}, "FedAvg: aggregator is <class "),
        (
            {"server_optimizer": "FedAdam"},
            "FedAvg: server_optimizer is 'FedAdam', expected one such as server_optimizer=FedAdam(learning_rate=0.1)",
        ),
        (
            {"aggregator": Median(), "weights": {"a": 2.0}},
            "FedAvg: weights mean nothing to Median, which uses none",
        ),
        ({"weights": {"a": -1}}, "FedAvg: the weight of a is -1, expected 0, or 1e-6 to 1e+06"),
        ({"weights": {"a": float("nan")}}, "FedAvg: the weight of a is nan, expected 0, or "),
        ({"weights": {"a": 1e7}}, "FedAvg: the weight of a is 10000000.0, expected 0, or "),
        ({"weights": {"a": True}}, "FedAvg: the weight of a is True, expected 0, or "),
        ({"patience": 3}, "FedAvg: patience counts rounds without a better model: name a key_metric"),
        ({"patience": 0, "key_metric": "auc"}, "FedAvg: patience is 0, expected a whole number of at least 1"),
        ({"key_metric_goal": "most"}, "FedAvg: key_metric_goal is 'most', expected max or min"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as caught:
        FedAvg(**arguments)
    assert str(caught.value).startswith(sentence)


def test_fewer_sites_may_be_too_few() -> None:
    with pytest.raises(BadInputError, match=r"FedAvg: Krum\(f=1\) needs results of at least 5 sites, and a round may"):
        FedAvg(num_clients=6, aggregator=Krum(f=1)).for_sites(4)


def test_the_parts_stay_with_other_sites_and_rounds() -> None:
    workflow = FedAvg(num_clients=9, aggregator=GeometricMedian(), server_optimizer=FedAdam())
    assert workflow.for_sites(3).for_rounds(2) == FedAvg(3, 2, aggregator=GeometricMedian(), server_optimizer=FedAdam())


def tells(*values: float | None, weight: float = 1.0, **others: float) -> Site:
    """A site whose accuracy in each round is known; None sends it without."""

    def answer(number: int, params: Params) -> Reply:
        value = values[min(number, len(values) - 1)]
        metrics = others if value is None else {"accuracy": value, **others}
        return Reply({"numpy_key": params.get("numpy_key", np.zeros(1)) + 1}, weight, dict(metrics))

    return answer


async def test_the_best_model_is_the_one_that_the_metric_was_measured_on(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=5, model=[0.0], key_metric="accuracy")
    hall = await run(tmp_path, workflow, {"a": tells(0.1, 0.7, 0.7, 0.9, 0.2)})
    assert hall.best == Best(3, "accuracy", 0.9)
    assert hall.model(3)["numpy_key"] == [3.0]


async def test_less_may_be_better(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=3, model=[0.0], key_metric="accuracy", key_metric_goal="min")
    hall = await run(tmp_path, workflow, {"a": tells(0.3, 0.1, 0.2)})
    assert hall.best == Best(1, "accuracy", 0.1, "min")


async def test_the_metric_of_the_condition_chooses_where_no_other_is_named(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=3, model=[0.0], stop_cond="accuracy >= 0.95")
    hall = await run(tmp_path, workflow, {"a": tells(0.3, 0.5, 0.4)})
    assert hall.best == Best(1, "accuracy", 0.5)


async def test_without_a_metric_no_model_is_the_best(tmp_path: Path) -> None:
    hall = await run(tmp_path, FedAvg(num_clients=1, num_rounds=2, model=[0.0]), {"a": tells(0.3)})
    assert hall.best is None


async def test_what_scripts_start_from_on_their_own_is_no_model_of_the_servers(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=2, key_metric="accuracy")
    hall = await run(tmp_path, workflow, {"a": tells(0.9, 0.1)})
    assert hall.best == Best(1, "accuracy", 0.1)


async def test_a_metric_that_is_missing_at_one_site_is_noted_and_the_round_goes_on(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=3, num_rounds=2, model=[0.0], key_metric="accuracy")
    sites = {"a": tells(0.4, 0.6), "b": tells(None, 0.8), "c": tells(0.8, 0.7)}
    hall = await run(tmp_path, workflow, sites)
    assert hall.notes == [(0, "b sent no metric 'accuracy'; the round has that of the others")]
    assert hall.finished[0].metrics == {"accuracy": pytest.approx(0.6)}
    assert hall.best is not None
    assert hall.best.round == 1
    assert hall.best.value == pytest.approx(0.7)


async def test_a_site_that_weighs_nothing_is_not_missed(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=2, num_rounds=1, model=[0.0], key_metric="accuracy")
    hall = await run(tmp_path, workflow, {"a": tells(0.4), "b": tells(None, weight=0)})
    assert hall.notes == []


@pytest.mark.parametrize(
    ("arguments", "site", "sentence"),
    [
        (
            {"stop_cond": "auc >= 0.9"},
            tells(0.5, loss=1.0),
            "round 0: no site has sent the metric 'auc' that stop_cond of FedAvg names; they sent: accuracy, loss",
        ),
        (
            {"key_metric": "auc", "stop_cond": "accuracy >= 0.9"},
            tells(0.5),
            "round 0: no site has sent the metric 'auc' that key_metric of FedAvg names; they sent: accuracy",
        ),
        (
            {"key_metric": "auc", "patience": 2},
            tells(None),
            "round 0: no site has sent the metric 'auc' that key_metric of FedAvg names; they sent no metrics",
        ),
    ],
)
async def test_a_metric_that_nobody_sends_fails_the_run_once_its_round_is_finished(
    tmp_path: Path, arguments: dict[str, Any], site: Site, sentence: str
) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=3, model=[0.0], **arguments)
    with pytest.raises(RunFailedError) as caught:
        await run(tmp_path, workflow, {"a": site})
    assert str(caught.value) == sentence
    assert (tmp_path / "hall/models/round-0001").exists()


async def test_a_bad_site_cannot_end_a_run_of_a_robust_aggregator_by_its_metric(tmp_path: Path) -> None:
    sites = {"a": tells(0.5), "b": tells(0.6), "c": tells(1e9)}
    workflow = FedAvg(num_clients=3, num_rounds=2, model=[0.0], aggregator=Median(), stop_cond="accuracy >= 0.9")
    hall = await run(tmp_path, workflow, sites)
    assert [one.metrics["accuracy"] for one in hall.finished] == [0.6, 0.6]


async def test_a_round_that_was_finished_and_not_judged_is_judged_by_who_goes_on(tmp_path: Path) -> None:
    hall = Hall(tmp_path / "hall", {"a": tells(0.1, 0.9, 0.2, 0.3)})
    workflow = FedAvg(num_clients=1, num_rounds=4, model=[0.0], key_metric="accuracy")
    hall.stop_before = 2
    with pytest.raises(InterruptedError):
        await workflow.run(hall)
    hall.best, hall.stop_before = Best(0, "accuracy", 0.1), None  # as the server left it that died after round 1
    await workflow.run(hall)
    assert hall.best == Best(1, "accuracy", 0.9)


async def test_a_job_without_a_model_is_judged_from_the_first_round_that_has_one(tmp_path: Path) -> None:
    def site(number: int, params: Params) -> Reply:
        return Reply({"w": params.get("w", np.zeros(1)) + 1}, metrics={"auc": 0.5} if params else {})

    workflow = FedAvg(num_clients=1, num_rounds=2, key_metric="auc")
    hall = await run(tmp_path, workflow, {"a": site})
    assert hall.best == Best(1, "auc", 0.5)
