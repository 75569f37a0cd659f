"""From the sites' files to those of the next model, with every aggregator and optimiser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.aggregation.aggregators import (
    Aggregator,
    Bulyan,
    GeometricMedian,
    Krum,
    Median,
    MultiKrum,
    TrimmedMean,
    WeightedMean,
)
from fltui.aggregation.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi, ServerOptimizer
from fltui.errors import RunFailedError
from fltui.model import Params, ParamsType
from fltui.workflows.fedavg import FedAvg
from tests.oracles import plain
from tests.workflows.hall import Hall, Reply, Site, adds, run

SHAPES: dict[str, tuple[int, ...]] = {"scalar": (), "bias": (7,), "kernel": (2, 3, 1, 2)}
COUNT = 9
START: Params = {name: np.full(shape, 10.0) for name, shape in SHAPES.items()}


def trained(number: int, round_: int) -> Params:
    """What site `number` has made in a round, whatever it received."""
    random = np.random.RandomState([number, round_])
    far = 50.0 if number == 4 else 1.0
    return {name: np.asarray(10 + far * random.standard_normal(shape)) for name, shape in SHAPES.items()}


def sites(kind: str = "whole") -> dict[str, Site]:
    """Nine of them; they send whole models, differences, or some so and some so."""

    def site(number: int) -> Site:
        is_difference = kind == "differences" or (kind == "both" and number % 2 == 0)

        def answer(round_: int, received: Params) -> Reply:
            sent = trained(number, round_)
            if is_difference:
                sent = {name: np.asarray(array - received[name]) for name, array in sent.items()}
            return Reply(sent, number + 1.0, params_type=ParamsType.DIFF if is_difference else ParamsType.FULL)

        return answer

    return {f"site-{number}": site(number) for number in range(COUNT)}


def models(round_: int = 0) -> list[Params]:
    return [trained(number, round_) for number in range(COUNT)]


WEIGHTS = [number + 1.0 for number in range(COUNT)]

FORMULAS: list[tuple[Aggregator, Callable[[], dict[str, Any]]]] = [
    (WeightedMean(), lambda: plain.of_models(plain.weighted_mean, models(), WEIGHTS)),
    (Median(), lambda: plain.of_models(plain.median, models())),
    (TrimmedMean(0.2), lambda: plain.of_models(plain.trimmed_mean, models(), 0.2)),
    (GeometricMedian(), lambda: plain.geometric_median(models())),
    (Krum(2), lambda: dict(models()[plain.krum(models(), 2)])),
    (MultiKrum(2, 3), lambda: plain.multi_krum(models(), 2, 3)),
    (Bulyan(1), lambda: plain.bulyan(models(), 1)),
]


@pytest.mark.parametrize("kind", ["whole", "differences", "both"])
@pytest.mark.parametrize(("aggregator", "formula"), FORMULAS, ids=[str(one) for one, _ in FORMULAS])
async def test_whatever_the_sites_send_the_model_is_that_of_the_formula(
    tmp_path: Path, aggregator: Aggregator, formula: Callable[[], dict[str, Any]], kind: str
) -> None:
    workflow = FedAvg(num_clients=COUNT, num_rounds=1, model=START, aggregator=aggregator)
    hall = await run(tmp_path, workflow, sites(kind))
    expected = formula()
    for name, array in hall.model(1).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-9)
        assert array.shape == SHAPES[name]


async def test_the_weights_of_a_round_tell_who_counted(tmp_path: Path) -> None:
    expected = plain.multi_krum_selection(models(), 2, 3)
    workflow = FedAvg(num_clients=COUNT, num_rounds=1, model=START, aggregator=MultiKrum(2, 3))
    hall = await run(tmp_path, workflow, sites())
    assert hall.finished[0].weights == {f"site-{number}": float(number in expected) for number in range(COUNT)}
    assert 4 not in expected


def formulas() -> list[tuple[ServerOptimizer, Any]]:
    return [
        (FedAvgM(0.5, 0.9), plain.FedAvgM(0.5, 0.9)),
        (FedAdagrad(0.1, 0.0, 0.01), plain.FedAdagrad(0.1, 0.0, tau=0.01)),
        (FedAdam(), plain.FedAdam()),
        (FedYogi(0.2, 0.8, 0.1, 0.9), plain.FedYogi(0.2, 0.8, 0.9, 0.1)),
    ]


@pytest.mark.parametrize(("optimizer", "formula"), formulas(), ids=lambda one: type(one).__name__)
async def test_an_optimiser_goes_on_from_what_it_kept_also_after_an_interruption(
    tmp_path: Path, optimizer: ServerOptimizer, formula: Any
) -> None:
    workflow = FedAvg(num_clients=COUNT, num_rounds=4, model=START, server_optimizer=optimizer)
    whole = await run(tmp_path, workflow, sites("both"))
    expected: dict[str, Any] = dict(START)
    for round_ in range(4):
        expected = formula.step(expected, plain.of_models(plain.weighted_mean, models(round_), WEIGHTS))
    for name, array in whole.model(4).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9)

    resumed = Hall(tmp_path / "resumed", sites("both"))
    for stop in (1, 3, None):
        resumed.stop_before = stop
        if stop is None:
            await workflow.run(resumed)
        else:
            with pytest.raises(InterruptedError):
                await workflow.run(resumed)
    assert resumed.models.load(4).digest == whole.models.load(4).digest  # groups and all
    assert sorted(whole.models.load(4).groups) == sorted(optimizer.states)
    assert whole.group(4, optimizer.states[0])["kernel"].shape == SHAPES["kernel"]
    assert whole.models.load(0).groups == {}


async def test_an_optimiser_leaves_whole_numbers_and_truth_values_as_the_mean_made_them(tmp_path: Path) -> None:
    start = {"w": np.zeros(2, np.float16), "steps": np.array([3]), "mask": np.array([True, False])}

    def site(_: int, received: Params) -> Reply:
        assert received["steps"].dtype == np.int64
        return Reply({"w": np.ones(2, np.float16), "steps": np.array([7]), "mask": np.array([False, False])})

    workflow = FedAvg(num_clients=1, num_rounds=2, model=start, server_optimizer=FedAvgM(0.25, 0.0))
    hall = await run(tmp_path, workflow, {"site-1": site})
    found = hall.model(2)
    assert (found["w"].tolist(), found["w"].dtype) == ([0.4375, 0.4375], np.dtype(np.float16))
    assert (found["steps"].tolist(), found["mask"].tolist()) == ([7], [False, False])
    assert hall.group(2, "momentum").keys() == {"w"}


async def test_without_a_model_an_optimiser_begins_with_the_second_round(tmp_path: Path) -> None:
    def own(number: int, _: Params) -> Reply:
        return Reply({"w": np.array([1.0 + number])})

    workflow = FedAvg(num_clients=1, num_rounds=2, server_optimizer=FedAvgM(0.5, 0.0))
    hall = await run(tmp_path, workflow, {"site-1": own})
    assert (hall.model(1)["w"].tolist(), hall.model(2)["w"].tolist()) == ([1.0], [1.5])
    assert hall.models.load(1).groups == {}


async def test_weights_of_the_job_are_factors_on_those_that_sites_claim(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=3, num_rounds=1, model=[0.0], weights={"site-1": 4.0, "site-3": 0})
    hall = await run(tmp_path, workflow, {f"site-{number}": adds(number, weight=2.0) for number in (1, 2, 3)})
    assert hall.model(1)["numpy_key"] == [(4 * 1 + 1 * 2) / 5]
    assert hall.finished[0].weights == {"site-1": 8.0, "site-2": 2.0, "site-3": 0.0}
    assert hall.finished[0].metrics == {"step": (4 * 1 + 1 * 2) / 5}


@pytest.mark.parametrize(
    ("aggregator", "idle", "sentence"),
    [
        (Krum(1), ["site-2"], "round 0: Krum needs 5 results of a weight above 0 and has 4; of weight 0: site-2"),
        (
            MultiKrum(1, 4),
            ["site-1", "site-2"],
            "round 0: MultiKrum needs 5 results of a weight above 0 and has 3; of weight 0: site-1, site-2",
        ),
        (
            Median(),
            [f"site-{number}" for number in range(5)],
            "round 0: Median needs 1 result of a weight above 0 and has 0; of weight 0: site-0, ",
        ),
        (
            WeightedMean(),
            [f"site-{number}" for number in range(5)],
            "round 0: parameter 'numpy_key' of site-0, site-1, site-2, site-3, site-4 cannot be aggregated: the "
            "weights of the 5 results add up to 0, so there is no mean",
        ),
    ],
    ids=lambda one: str(one) if isinstance(one, Aggregator) else "",
)
async def test_too_few_that_weigh_anything_fail_the_run(
    tmp_path: Path, aggregator: Aggregator, idle: list[str], sentence: str
) -> None:
    found = {f"site-{n}": adds(n, weight=float(f"site-{n}" not in idle)) for n in range(5)}
    with pytest.raises(RunFailedError) as caught:
        await run(tmp_path, FedAvg(num_clients=5, model=[0.0], aggregator=aggregator), found)
    assert str(caught.value).startswith(sentence)


async def test_models_that_cannot_be_measured_fail_the_run(tmp_path: Path) -> None:
    def far(step: float) -> Site:
        return lambda _, params: Reply({"numpy_key": np.array([step])})

    workflow = FedAvg(num_clients=3, model=[0.0], aggregator=GeometricMedian())
    with pytest.raises(RunFailedError) as caught:
        await run(tmp_path, workflow, {"a": far(1e200), "b": far(-1e200), "c": far(0.0)})
    sentence = "round 0: GeometricMedian: most models are too far from each other to be measured"
    assert str(caught.value) == sentence


async def test_a_state_that_overflows_fails_the_run(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, model=[0.0], server_optimizer=FedAdam())
    with pytest.raises(RunFailedError) as caught:
        await run(tmp_path, workflow, {"a": adds(1e200)})
    sentence = (
        "round 0: parameter 'numpy_key' of a cannot be aggregated: the variance of FedAdam is too large for float64"
    )
    assert str(caught.value) == sentence
