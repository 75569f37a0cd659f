"""fltui's aggregators and optimisers against what flwr 1.42 made of the same inputs, where it is right.

Where it is not, `tests/oracles/README.md` says why; the adaptive optimisers get the same flaw here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fltui.aggregation.aggregators import Aggregator, Bulyan, Krum, Median, MultiKrum, TrimmedMean, WeightedMean
from fltui.aggregation.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi, ServerOptimizer
from tests.aggregation.models import Given, Sent, Server
from tests.oracles.cases import Case, Model, of_strategy

WITHIN = 1e-6


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def given(case: Case, model: Model, round_: int = 1) -> Given:
    sites = [Sent(*one) for one in zip(case.models(round_), map(float, case.weights(round_)), strict=True)]
    return Given(model, sites)


def off(found: Model, expected: Model) -> float:
    """The greatest deviation of an element, relative to the expected one where that exceeds 1."""
    assert found.keys() == expected.keys()
    return max(
        float(np.max(np.abs(found[name].astype(np.float64) - array) / np.maximum(1, np.abs(array))))
        for name, array in expected.items()
    )


def off_after_one_round(case: Case, aggregator: Aggregator) -> float:
    return off(Server(aggregator).next(given(case, case.initial())), case.outputs()[0])


@each(of_strategy("FedAvg"))
def test_the_weighted_mean(case: Case) -> None:
    assert off_after_one_round(case, WeightedMean()) < WITHIN


@each(of_strategy("FedMedian"))
def test_the_median(case: Case) -> None:
    assert off_after_one_round(case, Median()) < WITHIN


@each(of_strategy("FedTrimmedAvg"))
def test_the_trimmed_mean(case: Case) -> None:
    assert off_after_one_round(case, TrimmedMean(case.arguments["beta"])) < WITHIN


def is_right(case: Case) -> bool:
    """Of Krum: models that are near lose their distances in float32, and it measures parameters by their place."""
    return not case.reversed_names and not (case.offset and case.dtype == "float32")


@each([case for case in of_strategy("Krum") if is_right(case)])
def test_krum(case: Case) -> None:
    assert off_after_one_round(case, Krum(int(case.arguments["num_malicious_nodes"]))) == 0


@each([case for case in of_strategy("MultiKrum") if case.equal_weights])  # else it weighs by what sites claim
def test_multi_krum(case: Case) -> None:
    f, k = (int(case.arguments[name]) for name in ("num_malicious_nodes", "num_nodes_to_select"))
    assert off_after_one_round(case, MultiKrum(f, k)) < WITHIN


@each(of_strategy("server.Bulyan"))
def test_bulyan(case: Case) -> None:
    assert off_after_one_round(case, Bulyan(int(case.arguments["num_malicious_clients"]))) < WITHIN


def furthest(case: Case, optimizer: ServerOptimizer, rates: Sequence[float] | None = None) -> float:
    """How far the model is from flwr's in the worst of all rounds; `rates` are the learning rates of each."""
    server, model, worst = Server(WeightedMean(), optimizer), case.initial(), 0.0
    for number, expected in enumerate(case.outputs(), 1):
        if rates:
            server.optimizer = replace(optimizer, learning_rate=rates[number - 1])  # type: ignore[call-arg]
        if expected["scalar"].dtype != model["scalar"].dtype:  # its FedAdam makes float64 of float32
            model = {name: array.astype(np.float64) for name, array in model.items()}
        model = server.next(given(case, model, number))
        worst = max(worst, off(model, expected))
    return worst


@each(of_strategy("FedAvgM"))
def test_momentum(case: Case) -> None:
    optimizer = FedAvgM(case.arguments["server_learning_rate"], case.arguments["server_momentum"])
    assert furthest(case, optimizer) < WITHIN


class _FromZero:
    """v begins at 0."""

    def initial(self, state: str) -> float:
        return 0.0


class AdagradFromZero(_FromZero, FedAdagrad):
    """As flwr's."""


class AdamFromZero(_FromZero, FedAdam):
    """As flwr's."""


class YogiFromZero(_FromZero, FedYogi):
    """As flwr's."""


@each(of_strategy("FedAdagrad"))
def test_adagrad_from_zero(case: Case) -> None:
    rate, tau = case.arguments["eta"], case.arguments["tau"]
    assert furthest(case, AdagradFromZero(rate, tau=tau)) < WITHIN
    assert furthest(case, FedAdagrad(rate, tau=tau)) > WITHIN


@each(of_strategy("FedYogi"))
def test_yogi_from_zero(case: Case) -> None:
    eta, tau, one, two = (case.arguments[name] for name in ("eta", "tau", "beta_1", "beta_2"))
    assert furthest(case, YogiFromZero(eta, one, tau, two)) < WITHIN
    assert furthest(case, FedYogi(eta, one, tau, two)) > WITHIN


@each(of_strategy("FedAdam"))
def test_adam_from_zero_and_with_flwrs_correction(case: Case) -> None:
    eta, tau, one, two = (case.arguments[name] for name in ("eta", "tau", "beta_1", "beta_2"))
    exponents = [number + 1 for number in range(1, case.rounds + 1)]
    rates = [eta * float(np.sqrt(1 - two**t)) / (1 - one**t) for t in exponents]
    assert furthest(case, AdamFromZero(eta, one, tau, two), rates) < WITHIN
    assert furthest(case, FedAdam(eta, one, tau, two)) > WITHIN
