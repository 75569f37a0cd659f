"""One parameter of the next model, block by block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fltui.aggregation import blocks
from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.mean import Mean
from fltui.aggregation.optimizers import FedAdam, FedAvgM, OptimizerStep
from fltui.aggregation.parameter import write_parameter
from fltui.aggregation.terms import Row
from tests.aggregation.arrays import Array, ListSink, diff, full


def test_the_norm_is_that_of_the_step() -> None:
    base, momentum = np.array([1.0, 1.0]), ListSink()
    step = OptimizerStep(FedAvgM(0.5, 0.9), {"momentum": ArraySource(np.array([2.0, 0.0]))}, {"momentum": momentum})
    sink = ListSink()
    norm = write_parameter(Mean([full(np.array([1.0, 9.0]))]), ArraySource(base), sink, step)
    assert momentum.array().tolist() == [1.8, 8.0]
    assert sink.array().tolist() == [1.9, 5.0]
    assert norm == pytest.approx(math.hypot(0.9, 4.0))


def test_a_step_goes_from_the_model_whatever_the_sites_send() -> None:
    base = np.array([10.0])
    for term in (full(np.array([14.0])), diff(np.array([4.0]))):
        sink = ListSink()
        step = OptimizerStep(FedAvgM(0.5, 0.0), {"momentum": None}, {"momentum": ListSink()})
        write_parameter(Mean([term]), ArraySource(base), sink, step)
        assert sink.array().tolist() == [12.0]


def test_a_change_is_changed_before_the_step() -> None:
    seen: list[int] = []

    def halve(start: int, change: Row) -> None:
        seen.append(start)
        change /= 2

    sink, momentum = ListSink(), ListSink()
    step = OptimizerStep(FedAvgM(1.0, 0.0), {"momentum": None}, {"momentum": momentum})
    write_parameter(Mean([full(np.array([14.0]))]), ArraySource(np.array([10.0])), sink, step, halve)
    assert (seen, sink.array().tolist(), momentum.array().tolist()) == ([0], [12.0], [2.0])


@pytest.mark.parametrize("threads", [1, 3])
def test_states_are_written_in_order_in_however_many_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    random = np.random.RandomState(4)
    base, sent = random.standard_normal(5000).astype(np.float32), random.standard_normal(5000).astype(np.float32)
    before = {"momentum": random.standard_normal(5000), "variance": random.random_sample(5000)}

    def made() -> list[Array]:
        after = {state: ListSink() for state in before}
        step = OptimizerStep(FedAdam(), {state: ArraySource(array) for state, array in before.items()}, after)
        write_parameter(Mean([full(sent)]), ArraySource(base), sink := ListSink(), step)
        return [sink.array(), *(after[state].array() for state in before)]

    whole = made()
    monkeypatch.setattr(blocks, "BLOCK", 100)
    monkeypatch.setattr(blocks, "_THREADS", threads)
    assert [array.tobytes() for array in made()] == [array.tobytes() for array in whole]


def test_an_array_without_elements_stays_one() -> None:
    sink, state = ListSink(), ListSink()
    step = OptimizerStep(FedAvgM(), {"momentum": None}, {"momentum": state})
    assert write_parameter(Mean([full(np.zeros(0))]), ArraySource(np.zeros(0)), sink, step) == 0.0
    assert (sink.blocks, state.blocks) == ([], [])


def test_a_difference_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a difference came, but there is no model to add it to"):
        write_parameter(Mean([full(np.ones(2)), diff(np.ones(2))]), None, ListSink())
