"""Every server optimiser, over several rounds, against the formulas of `tests.oracles.plain`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fltui.aggregation.aggregators import Median, WeightedMean
from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.mean import Mean
from fltui.aggregation.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi, OptimizerStep, ServerOptimizer
from fltui.aggregation.parameter import write_parameter
from fltui.errors import BadInputError
from tests.aggregation.arrays import ListSink, full
from tests.aggregation.models import DTYPES, Given, Server, assert_equal, blocks_of, rounds
from tests.oracles import plain

Both = tuple[ServerOptimizer, Any]

rates = st.floats(1e-3, 2.0)
betas = st.floats(0.0, 0.99)
taus = st.floats(1e-3, 1.0)

PAIRS: dict[str, Callable[[float, float, float, float], Both]] = {
    "FedAvgM": lambda eta, one, two, tau: (FedAvgM(eta, one), plain.FedAvgM(eta, one)),
    "FedAdagrad": lambda eta, one, two, tau: (FedAdagrad(eta, one, tau), plain.FedAdagrad(eta, one, two, tau)),
    "FedAdam": lambda eta, one, two, tau: (FedAdam(eta, one, tau, two), plain.FedAdam(eta, one, two, tau)),
    "FedYogi": lambda eta, one, two, tau: (FedYogi(eta, one, tau, two), plain.FedYogi(eta, one, two, tau)),
}
"""fltui's and the plain one, of a learning rate, two betas and tau."""

STATES = {"momentum": "m", "variance": "v"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=10, deadline=None)
@given(
    st.lists(rounds(st.integers(1, 6), "float64"), min_size=1, max_size=4),
    rates,
    betas,
    betas,
    taus,
    st.integers(1, 60),
)
def test_the_steps_are_those_of_the_paper(
    name: str, dtype: str, made: list[Given], eta: float, one: float, two: float, tau: float, length: int
) -> None:
    optimizer, formula = PAIRS[name](eta, one, two, tau)
    server = Server(WeightedMean(), optimizer)
    model = {name: array.astype(dtype) for name, array in made[0].base.items()}
    shapes = {name: array.shape for name, array in model.items()}
    for each in made:
        # Hypothesis gives each round shapes of its own.
        for site in each.sites:
            site.arrays = {name: np.resize(site.arrays[name], shapes[name]).astype(dtype) for name in shapes}
        now = Given(model, each.sites)
        mean = plain.of_models(plain.weighted_mean, now.wholes, now.weights)
        # From the model as it is: what rounding did to it before is not the optimiser's.
        expected = formula.step({name: array.astype(np.float64) for name, array in model.items()}, mean)
        with blocks_of(length):
            model = server.next(now)
        assert_equal(model, expected)
    for state in optimizer.states:
        known = formula.v if name == "FedAvgM" else getattr(formula, STATES[state])
        kept = {name: array.reshape(shapes[name]) for name, array in server.states[state].items()}
        assert {array.dtype for array in kept.values()} == {np.dtype(np.float64)}
        assert_equal(kept, known)


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=5, deadline=None)
@given(rounds(st.integers(1, 6)), st.integers(1, 9))
def test_the_size_of_a_block_changes_no_bit(name: str, made: Given, length: int) -> None:
    optimizer, _ = PAIRS[name](0.3, 0.9, 0.99, 1e-3)
    whole, pieces = Server(Median(), optimizer), Server(Median(), optimizer)
    for _round in range(2):
        expected = whole.next(made)
        with blocks_of(length):
            found = pieces.next(made)
        assert all(found[name].tobytes() == array.tobytes() for name, array in expected.items())
    for state in optimizer.states:
        for parameter, array in whole.states[state].items():
            assert pieces.states[state][parameter].tobytes() == array.tobytes()


def one_step(optimizer: ServerOptimizer, change: float, dtype: str = "float64") -> float:
    """From 0, in a first round."""
    sink, after = ListSink(), {state: ListSink() for state in optimizer.states}
    step = OptimizerStep(optimizer, dict.fromkeys(optimizer.states), after)
    write_parameter(Mean([full(np.array([change], dtype))]), ArraySource(np.zeros(1, dtype)), sink, step)
    return float(sink.array()[0])


def test_without_momentum_a_rate_of_1_goes_where_the_mean_is() -> None:
    assert one_step(FedAvgM(1.0, 0.0), 0.7) == 0.7


@pytest.mark.parametrize("optimizer", [FedAdagrad(), FedAdam(), FedYogi()], ids=lambda one: type(one).__name__)
def test_where_nothing_changes_nothing_moves(optimizer: ServerOptimizer) -> None:
    assert one_step(optimizer, 0.0) == 0.0


def test_a_state_that_overflows_is_an_error() -> None:
    with pytest.raises(ValueError, match="the variance of FedAdam is too large for float64"):
        one_step(FedAdam(), 1e200)


def test_a_step_that_overflows_is_an_error() -> None:
    with pytest.raises(ValueError, match="the next model does not fit into float16"):
        one_step(FedAvgM(1000.0), 1000.0, "float16")


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        (FedAvgM, {"momentum": 1.0}, "FedAvgM: momentum is 1.0, expected a number from 0 to below 1"),
        (FedAvgM, {"learning_rate": 0}, "FedAvgM: learning_rate is 0, expected a number above 0"),
        (FedAdam, {"beta_2": -0.1}, "FedAdam: beta_2 is -0.1, expected a number from 0 to below 1"),
        (FedAdam, {"tau": 0.0}, "FedAdam: tau is 0.0, expected a number above 0"),
        (FedYogi, {"learning_rate": float("inf")}, "FedYogi: learning_rate is inf, expected a number above 0"),
        (FedAdagrad, {"beta_1": "0"}, "FedAdagrad: beta_1 is '0', expected a number from 0 to below 1"),
        (FedAdagrad, {"tau": True}, "FedAdagrad: tau is True, expected a number above 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(kind: Any, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as caught:
        kind(**arguments)
    assert str(caught.value) == sentence
