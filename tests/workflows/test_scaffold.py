"""SCAFFOLD against algorithm 1 of Karimireddy et al. (2020), with option II, in plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.client.scaffold import control_change
from fltui.errors import BadInputError
from fltui.model import Params, ParamsType
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.scaffold import Scaffold
from fltui.workflows.series import Series
from tests.workflows.hall import Hall, Reply, Site, run

STEPS, LOCAL = 4, 0.05
SITES = ("a", "b", "c", "d")
START: Params = {"w": np.linspace(-1, 1, 6).reshape(2, 3), "b": np.array(0.5)}


def gradient(site: str, model: Params) -> Params:
    """Of ``s/2 * |y - t|**2``, with a slope and a target of the site's own: data that is not alike."""
    number = SITES.index(site) + 1
    return {name: np.asarray((0.5 * number) * (array - number**2)) for name, array in model.items()}


class Trained:
    """A site that keeps its control variate as `fltui.client.scaffold.Scaffold` does."""

    def __init__(self, name: str, kind: ParamsType = ParamsType.FULL, weight: float = 1.0) -> None:
        self.name, self.kind, self.weight = name, kind, weight
        self.own: Params = {}

    def __call__(self, _: int, received: Params) -> Reply:
        control = {name.removeprefix("control/"): c for name, c in received.items() if name.startswith("control/")}
        x = {name: array for name, array in received.items() if not name.startswith("control/")}
        self.own = self.own or {name: np.zeros_like(c) for name, c in control.items()}
        y: Params = {name: array.copy() for name, array in x.items()}
        for _step in range(STEPS):
            slope = gradient(self.name, y)
            y = {name: np.asarray(y[name] - LOCAL * (slope[name] + control[name] - self.own[name])) for name in y}
        change = control_change(control, x, y, steps=STEPS, learning_rate=LOCAL)
        self.own = {name: np.asarray(self.own[name] + change[name]) for name in change}
        sent = y if self.kind is ParamsType.FULL else {name: np.asarray(y[name] - x[name]) for name in y}
        groups = {f"control/{name}": array for name, array in change.items()}
        return Reply({**sent, **groups}, self.weight, params_type=self.kind)


def sites(kind: ParamsType = ParamsType.FULL, weight: float = 1.0) -> dict[str, Site]:
    return {name: Trained(name, kind, weight) for name in SITES}


def uncontrolled() -> dict[str, Site]:
    """The same sites with control variates of 0."""

    def site(name: str) -> Site:
        def answer(number: int, received: Params) -> Reply:
            zeros = {f"control/{name}": np.zeros(array.shape) for name, array in received.items()}
            reply = Trained(name)(number, {**received, **zeros})
            return Reply({name: array for name, array in reply.params.items() if name in received})

        return answer

    return {name: site(name) for name in SITES}


def algorithm_1(rounds: list[tuple[str, ...]], global_rate: float) -> tuple[Params, Params]:
    """x and c after rounds with these sites, in the words of the paper."""
    x = {name: np.array(array) for name, array in START.items()}
    c = {name: np.zeros(array.shape) for name, array in START.items()}
    c_i = {site: {name: np.zeros(array.shape) for name, array in START.items()} for site in SITES}
    for sampled in rounds:
        delta_y, delta_c = [], []
        for i in sampled:
            y_i = {name: array.copy() for name, array in x.items()}
            for _ in range(STEPS):
                g_i = gradient(i, y_i)
                y_i = {name: y_i[name] - LOCAL * (g_i[name] - c_i[i][name] + c[name]) for name in y_i}
            plus = {name: c_i[i][name] - c[name] + (x[name] - y_i[name]) / (STEPS * LOCAL) for name in x}
            delta_y.append({name: y_i[name] - x[name] for name in x})
            delta_c.append({name: plus[name] - c_i[i][name] for name in x})
            c_i[i] = plus
        x = {n: np.asarray(x[n] + global_rate / len(sampled) * sum(delta[n] for delta in delta_y)) for n in x}
        c = {n: np.asarray(c[n] + 1 / len(SITES) * sum(delta[n] for delta in delta_c)) for n in c}
    return x, c


@pytest.mark.parametrize("kind", list(ParamsType))
@pytest.mark.parametrize(("sampling", "rate"), [(None, 1.0), (None, 0.5), (0.5, 1.0), (2, 1.7)])
async def test_it_is_algorithm_1(tmp_path: Path, kind: ParamsType, sampling: float | int | None, rate: float) -> None:
    workflow = Scaffold(num_clients=4, num_rounds=5, model=START, sampling=sampling, learning_rate=rate)
    hall = await run(tmp_path, workflow, sites(kind), seed=5)
    asked = [request.sites for request in hall.requests]
    x, c = algorithm_1(asked, rate)
    for name in START:
        np.testing.assert_allclose(hall.model(5)[name], x[name], rtol=1e-12)
        np.testing.assert_allclose(hall.group(5, "control")[name], c[name], rtol=1e-10, atol=1e-12)
    if sampling:
        assert len(set(asked)) > 1


async def test_it_goes_where_all_want_to_go_and_the_mean_of_the_models_does_not(tmp_path: Path) -> None:
    """The optimum of the sum: sum(s t) / sum(s). Averages alone end at another point, as the slopes differ."""
    hall = await run(tmp_path / "scaffold", Scaffold(num_clients=4, num_rounds=100, model=START), sites())
    plain = await run(tmp_path / "plain", FedAvg(num_clients=4, num_rounds=100, model=START), uncontrolled())
    slopes, targets = np.arange(1, 5) * 0.5, np.arange(1, 5) ** 2
    optimum = (slopes * targets).sum() / slopes.sum()
    assert hall.model(100)["b"] == pytest.approx(optimum, rel=1e-6)
    assert abs(plain.model(100)["b"] - optimum) > 0.1


async def test_a_site_is_told_in_which_round_it_counted_last(tmp_path: Path) -> None:
    workflow = Scaffold(num_clients=4, num_rounds=4, model=START, sampling=2)
    hall = await run(tmp_path, workflow, sites(), seed=1)
    last: dict[str, int] = {}
    for number, request in enumerate(hall.requests):
        assert request.groups == ("control",)
        assert request.site_meta == {site: {"control_round": last.get(site)} for site in request.sites}
        last |= dict.fromkeys(request.sites, number)


async def test_claimed_weights_count_for_the_model_and_not_for_the_control_variates(tmp_path: Path) -> None:
    parts = sites()
    parts["a"] = Trained("a", weight=3.0)
    hall = await run(tmp_path, Scaffold(num_clients=4, num_rounds=1, model=START), parts)
    alike = await run(tmp_path / "alike", Scaffold(num_clients=4, num_rounds=1, model=START), sites())
    assert hall.group(1, "control")["w"].tobytes() == alike.group(1, "control")["w"].tobytes()
    assert hall.model(1)["b"] != alike.model(1)["b"]


async def test_a_run_that_is_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    workflow = Scaffold(num_clients=4, num_rounds=6, model=START, sampling=3, learning_rate=0.9)
    whole = await run(tmp_path, workflow, sites(), seed=2)
    hall = Hall(tmp_path / "resumed", sites(), seed=2)
    for stop in (2, 3):
        hall.stop_before = stop
        with pytest.raises(InterruptedError):
            await workflow.run(hall)
    hall.stop_before = None
    await workflow.run(hall)
    assert hall.models.load(6).digest == whole.models.load(6).digest


async def test_small_floats_keep_their_control_variates_in_double(tmp_path: Path) -> None:
    start = {name: array.astype(np.float16) for name, array in START.items()}
    parts = {name: _small(Trained(name)) for name in SITES}
    hall = await run(tmp_path, Scaffold(num_clients=4, num_rounds=2, model=start), parts)
    assert {array.dtype for array in hall.model(2).values()} == {np.dtype(np.float16)}
    assert {array.dtype for array in hall.group(2, "control").values()} == {np.dtype(np.float64)}


def _small(site: Trained) -> Site:
    def answer(number: int, received: Params) -> Reply:
        assert received["w"].dtype == np.float16
        reply = site(number, {name: array.astype(np.float64) for name, array in received.items()})
        params = {name: array.astype(received[name].dtype) for name, array in reply.params.items()}
        return Reply(params, reply.weight)

    return answer


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "Scaffold: model is missing; the control variates have its shapes, so it comes first in its job"),
        ({"model": [1.0], "learning_rate": 0}, "Scaffold: learning_rate is 0, expected a number above 0"),
        ({"model": [1]}, "Scaffold: parameter 'numpy_key' is int64, and only floats have a direction"),
        (
            {"model": {"control/w": np.zeros(1)}},
            "Scaffold: parameter 'control/w' looks like a control variate; rename it",
        ),
        ({"model": [1.0], "num_clients": 0}, "Scaffold: num_clients is 0, expected a whole number of at least 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Scaffold(**arguments)
    assert str(caught.value).startswith(sentence)


def test_it_does_not_come_after_another_workflow() -> None:
    with pytest.raises(BadInputError) as caught:
        Series((Scaffold(model=[1.0]), Scaffold(model=[1.0])))
    assert str(caught.value) == (
        "Scaffold comes after Scaffold and begins with the model that it leaves, so it takes no model of its own"
    )
