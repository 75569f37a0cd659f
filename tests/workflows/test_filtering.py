"""Filters at the server: what the sites receive, what becomes of their updates, and what noise does to the mean."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.aggregation.aggregators import Krum, Median
from fltui.aggregation.filters import Change, ClipNorm, ExcludeVars, Filter, PercentilePrivacy, View
from fltui.aggregation.optimizers import FedAvgM
from fltui.aggregation.privacy import GaussianNoise
from fltui.aggregation.terms import Row
from fltui.errors import BadInputError, RunFailedError
from fltui.job.registry import create
from fltui.model import Params, ParamsType
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.fedprox import FedProx
from tests.aggregation.test_filters import clipped, selected
from tests.workflows.hall import Array, Hall, Reply, Site, adds, run

MODEL: Params = {
    "head": np.array([0.5, -2.0, 3.0]),
    "body": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "half": np.array([1.0, 2.0], np.float16),
    "steps": np.array([5, 2**52], np.int64),
    "small": np.array([250, 3], np.uint8),
    "mask": np.array([True, False, True]),
}
FLOATS = ("body", "half", "head")
WEIGHTS = {"a": 1.0, "b": 3.0, "c": 4.0}


def flat(params: Params) -> Array:
    """All floats, one after the other, by name."""
    return np.concatenate([params[name].astype(np.float64).reshape(-1) for name in FLOATS])


def trained(site: str, params: Params) -> Params:
    """A whole model of a site's; whole numbers go up and down, truth values change."""
    draw = np.random.default_rng(ord(site))
    made = {name: (params[name] + draw.normal(0, 1, params[name].shape)).astype(params[name].dtype) for name in FLOATS}
    made["steps"] = params["steps"] + [ord(site), -7]
    made["small"] = np.array([1, 255], np.uint8)
    made["mask"] = ~params["mask"]
    return made


def site(name: str, kind: ParamsType = ParamsType.FULL) -> Site:
    def answer(_: int, params: Params) -> Reply:
        made = trained(name, params)
        if kind is ParamsType.DIFF:
            made = {key: made[key] - params[key] for key in (*FLOATS, "steps")}
            made |= {"mask": np.zeros(3, bool), "small": np.zeros(2, np.uint8)}
        return Reply(made, WEIGHTS[name], params_type=kind)

    return answer


def updates(sites: dict[str, Site]) -> dict[str, Array]:
    """What the sites' updates are, of what they send."""
    found = {}
    for name, answer in sites.items():
        reply = answer(0, MODEL)
        assert reply is not None
        found[name] = flat(reply.params) - (flat(MODEL) if reply.params_type is ParamsType.FULL else 0)
    return found


def mean(found: dict[str, Array]) -> Array:
    total = sum(WEIGHTS.values())
    return np.asarray(np.sum([array * WEIGHTS[name] for name, array in found.items()], axis=0) / total)


def is_like(found: Array, expected: Array) -> None:
    """To the last bits of the smallest dtype."""
    np.testing.assert_allclose(found[:12], expected[:12], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found[12:14], expected[12:14], rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found[14:], expected[14:], rtol=1e-12, atol=1e-12)


def averaging(*filters: Filter, **rest: Any) -> FedAvg:
    return FedAvg(**{"num_clients": 3, "num_rounds": 1, "model": MODEL, "filters": filters, **rest})


ALL_FULL = {name: site(name) for name in WEIGHTS}
MIXED = {**ALL_FULL, "b": site("b", ParamsType.DIFF)}
ALL_DIFF = {name: site(name, ParamsType.DIFF) for name in WEIGHTS}


def without_head(array: Array) -> Array:
    return np.concatenate([array[:14], np.zeros(3)])


CHAINS: list[tuple[tuple[Filter, ...], Callable[[Array], Array]]] = [
    ((ClipNorm(1.5),), lambda found: clipped(found, 1.5)),
    ((ClipNorm(1e9),), lambda found: found),
    ((PercentilePrivacy(60, 0.7),), lambda found: selected(found, 60, 0.7)),
    ((ExcludeVars(("head",)),), without_head),
    ((ClipNorm(2.0), PercentilePrivacy(50, 0.3)), lambda found: selected(clipped(found, 2.0), 50, 0.3)),
    ((PercentilePrivacy(50, 0.3), ClipNorm(0.5)), lambda found: clipped(selected(found, 50, 0.3), 0.5)),
]


@pytest.mark.parametrize("sites", [ALL_FULL, MIXED, ALL_DIFF], ids=["full", "mixed", "diff"])
@pytest.mark.parametrize(("filters", "expected"), CHAINS, ids=[repr(one) for one, _ in CHAINS])
async def test_updates_are_changed_one_filter_after_the_other(
    tmp_path: Path, sites: dict[str, Site], filters: tuple[Filter, ...], expected: Callable[[Array], Array]
) -> None:
    hall = await run(tmp_path, averaging(*filters), sites)
    found = hall.model(1)
    changed = mean({name: expected(array) for name, array in updates(sites).items()})
    is_like(flat(found), flat(MODEL) + changed)
    assert {name: (array.dtype, array.shape) for name, array in found.items()} == {
        name: (array.dtype, array.shape) for name, array in MODEL.items()
    }
    steps = [5 + sum(ord(name) * weight for name, weight in WEIGHTS.items()) / 8, 2**52 - 7]
    assert found["steps"].tolist() == np.rint(steps).tolist()


async def test_what_is_not_of_floats_passes_as_without_filters(tmp_path: Path) -> None:
    plain = await run(tmp_path / "plain", averaging(), ALL_FULL)
    for place, one in enumerate((ClipNorm(0.1), PercentilePrivacy(99, 0.01), ExcludeVars(("head",)))):
        hall = await run(tmp_path / str(place), averaging(one), ALL_FULL)
        for name in ("steps", "small", "mask"):
            assert hall.model(1)[name].tolist() == plain.model(1)[name].tolist()


async def test_a_filter_that_changes_nothing_leaves_every_bit(tmp_path: Path) -> None:
    plain = await run(tmp_path / "plain", averaging(num_rounds=2), MIXED)
    same = await run(tmp_path / "same", averaging(ClipNorm(1e9), Filter(), num_rounds=2), MIXED)
    assert plain.models.load(2).digest == same.models.load(2).digest


@pytest.mark.parametrize("length", [5, 1000])
async def test_the_size_of_a_block_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    workflow = averaging(ClipNorm(0.9), PercentilePrivacy(30, 0.2), num_rounds=2)
    one = await run(tmp_path / "one", workflow, MIXED)
    monkeypatch.setattr("fltui.aggregation.blocks.BLOCK", length)
    other = await run(tmp_path / "other", workflow, MIXED)
    assert one.models.load(2).digest == other.models.load(2).digest


async def test_sites_receive_zeros_for_what_is_excluded_and_the_server_keeps_its_own(tmp_path: Path) -> None:
    seen = []

    def looks(_: int, params: Params) -> Reply:
        seen.append(params)
        return Reply(trained("a", params))

    hall = await run(tmp_path, averaging(ExcludeVars(("h*",)), num_clients=1, num_rounds=2), {"a": looks})
    for params in seen:
        assert not params["head"].any()
        assert not params["half"].any()
        assert params["body"].any()
    assert params["half"].dtype == np.float16
    assert hall.model(2)["head"].tolist() == MODEL["head"].tolist()


async def test_an_optimiser_steps_after_the_filters(tmp_path: Path) -> None:
    workflow = averaging(ClipNorm(1.5), server_optimizer=FedAvgM(learning_rate=0.5, momentum=0.0))
    hall = await run(tmp_path, workflow, ALL_FULL)
    expected = mean({name: clipped(array, 1.5) for name, array in updates(ALL_FULL).items()})
    is_like(flat(hall.model(1)), flat(MODEL) + 0.5 * expected)


async def test_aggregators_measure_what_the_filters_leave(tmp_path: Path) -> None:
    sites = {"a": adds(1.0), "b": adds(1.1), "c": adds(1000.0)}
    workflow = FedAvg(3, 1, model=np.zeros(4), aggregator=Median(), filters=(ClipNorm(0.5),))
    hall = await run(tmp_path, workflow, sites)
    assert np.linalg.norm(hall.model(1)["numpy_key"]) == pytest.approx(0.5)


# Noise at the server.

SIZE = 20_000
ZEROS: Params = {"w": np.zeros(SIZE)}
EVEN = {"a": adds(0.0, weight=1.0), "b": adds(0.0, weight=3.0)}
"""Sites that leave the model as it is."""


def private(*before: Filter, z: float = 1.0, c: float = 1.0, **rest: Any) -> FedAvg:
    noise = {key: rest.pop(key) for key in ("max_epsilon", "seed", "delta") if key in rest}
    filters = (*before, GaussianNoise(z, c, **noise))
    return FedAvg(**{"num_clients": 2, "num_rounds": 1, "model": ZEROS, "filters": filters, **rest})


def is_of_deviation(found: Array, deviation: float) -> None:
    assert abs(found.std() - deviation) < 5 * deviation / math.sqrt(2 * found.size)
    assert abs(found.mean()) < 5 * deviation / math.sqrt(found.size)


async def test_the_mean_has_noise_of_the_largest_share_of_the_norm(tmp_path: Path) -> None:
    hall = await run(tmp_path, private(z=2.0, c=0.4), EVEN)
    is_of_deviation(hall.model(1)["w"], 2.0 * 0.4 * 3 / 4)
    assert hall.finished[0].update_norm == pytest.approx(np.linalg.norm(hall.model(1)["w"]))


async def test_factors_of_the_job_count_in_the_share(tmp_path: Path) -> None:
    hall = await run(tmp_path, private(weights={"a": 9.0}), EVEN)
    is_of_deviation(hall.model(1)["w"], 9 / 12)


async def test_noise_comes_before_the_step_of_an_optimiser(tmp_path: Path) -> None:
    plain = await run(tmp_path / "plain", private(seed=1), EVEN)
    workflow = private(seed=1, server_optimizer=FedAvgM(learning_rate=0.25, momentum=0.0))
    stepped = await run(tmp_path / "stepped", workflow, EVEN)
    np.testing.assert_allclose(stepped.model(1)["w"], 0.25 * plain.model(1)["w"], rtol=1e-12)


async def test_the_mean_under_the_noise_is_that_of_clipped_updates(tmp_path: Path) -> None:
    sites = {"a": adds(1.0, weight=1.0), "b": adds(0.0001, weight=3.0)}
    noise = await run(tmp_path / "noise", private(seed=1, c=0.5), EVEN)
    hall = await run(tmp_path / "hall", private(seed=1, c=0.5), sites)
    each = [clipped(np.full(SIZE, step), 0.5) for step in (1.0, 0.0001)]
    expected = (each[0] + 3 * each[1]) / 4
    np.testing.assert_allclose(hall.model(1)["w"] - noise.model(1)["w"], expected, rtol=0, atol=1e-15)


async def test_every_round_and_every_secret_has_noise_of_its_own_and_the_same_again(tmp_path: Path) -> None:
    models = []
    for place, secret in enumerate((7, 7, 8)):
        hall = Hall(tmp_path / str(place), EVEN)
        hall.secret = secret
        await private(num_rounds=2).run(hall)
        models.append([hall.model(number)["w"] for number in range(3)])
    one, again, other = models
    assert [array.tobytes() for array in one] == [array.tobytes() for array in again]
    rounds = [one[1], one[2] - one[1], other[1]]
    assert np.abs(np.corrcoef(rounds) - np.eye(3)).max() < 5 / math.sqrt(SIZE)


@pytest.mark.parametrize("length", [30_000, 100_000])
async def test_the_size_of_a_block_changes_no_bit_of_the_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    workflow = private(model={"w": np.zeros(140_000, np.float32)})
    one = await run(tmp_path / "one", workflow, EVEN)
    monkeypatch.setattr("fltui.aggregation.blocks.BLOCK", length)
    other = await run(tmp_path / "other", workflow, EVEN)
    assert one.models.load(1).digest == other.models.load(1).digest


async def test_a_run_that_is_resumed_draws_the_same_noise(tmp_path: Path) -> None:
    workflow = private(num_rounds=3)
    whole = await run(tmp_path, workflow, EVEN)
    resumed = Hall(tmp_path / "resumed", EVEN)
    resumed.stop_before = 1
    with pytest.raises(InterruptedError):
        await workflow.run(resumed)
    resumed.stop_before = None
    await workflow.run(resumed)
    assert resumed.models.load(3).digest == whole.models.load(3).digest


async def test_what_is_spent_is_told_round_by_round_and_counted_from_round_0(tmp_path: Path) -> None:
    noise = GaussianNoise(1.0, 1.0, 1e-4)
    hall = await run(tmp_path, private(delta=1e-4, num_rounds=2, start_round=3), EVEN)
    assert hall.spent == [(3, noise.epsilon(4), 1e-4), (4, noise.epsilon(5), 1e-4)]


async def test_a_round_beyond_the_budget_does_not_begin(tmp_path: Path) -> None:
    budget = GaussianNoise(1.0).epsilon(2)
    hall = Hall(tmp_path / "hall", EVEN)
    why = await private(max_epsilon=budget, num_rounds=5).run(hall)
    assert why.startswith("ended after round 1: round 2 does not begin: it would bring the epsilon spent from ")
    assert [request.round for request in hall.requests] == [0, 1]
    assert len(hall.spent) == len(hall.finished) == 2
    assert hall.model(2)["w"].any()


@pytest.mark.parametrize("workflow", [FedAvg, FedProx])
async def test_sites_that_all_weigh_nothing_are_told_of_and_not_divided_by(
    tmp_path: Path, workflow: type[FedAvg]
) -> None:
    one = workflow(2, 1, model=ZEROS, filters=(GaussianNoise(),))
    with pytest.raises(RunFailedError, match="the weights of the 2 results add up to 0"):
        await run(tmp_path, one, {"a": adds(1.0, weight=0), "b": adds(1.0, weight=0)})


async def test_noise_refuses_a_model_that_is_not_of_floats_alone(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError) as caught:
        await run(tmp_path, averaging(GaussianNoise(), num_clients=1), {"a": site("a")})
    assert str(caught.value) == (
        "round 0: 0 sites answered, 1 needed; a: GaussianNoise: parameter 'mask' is not of floats, so no noise would "
        "hide it"
    )


# What is refused.


async def test_without_a_model_no_site_is_asked_in_vain(tmp_path: Path) -> None:
    hall = Hall(tmp_path / "hall", {"a": lambda _, __: Reply({"w": np.ones(2)})})
    with pytest.raises(RunFailedError) as caught:
        await FedAvg(1, 2, filters=(ExcludeVars(("w",)),)).run(hall)
    assert str(caught.value) == (
        "round 0: there is no model yet, so ExcludeVars has no update to look at; give the workflow an initial model"
    )
    assert hall.requests == []


async def test_a_parameter_that_is_not_there_cannot_be_excluded(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"^round 0: ExcludeVars: the model has no parameter 'tail'$"):
        await run(tmp_path, averaging(ExcludeVars(("tail",)), num_clients=1), {"a": site("a")})


@dataclass(frozen=True)
class Own(Filter):
    """Does what a test wants."""

    at: str = "result"
    value: float = 0.0

    def task(self, view: View) -> Change | None:
        return self._change if self.at == "task" else None

    def result(self, view: View) -> Change | None:
        return self._change if self.at == "result" else None

    def aggregate(self, view: View) -> Change | None:
        return self._change if self.at == "aggregate" else None

    def _change(self, name: str, start: int, values: Row) -> None:
        if math.isinf(self.value):
            raise ZeroDivisionError("by zero")
        values += self.value


@pytest.mark.parametrize(
    ("at", "model"),
    [
        ("task", [1.0, 1.0]),  # they add 1 to the 4 that they receive, and the server has 0
        ("result", [5.0, 5.0]),
        ("aggregate", [5.0, 5.0]),
    ],
)
async def test_a_filter_of_one_s_own_has_its_say_at_each_of_three_places(
    tmp_path: Path, at: str, model: list[float]
) -> None:
    hall = await run(tmp_path, FedAvg(1, 1, model=np.zeros(2), filters=(Own(at, 4.0),)), {"a": adds(1.0)})
    assert hall.model(1)["numpy_key"].tolist() == model


@pytest.mark.parametrize("at", ["task", "result", "aggregate"])
async def test_whatever_goes_wrong_in_it_fails_the_run_with_a_sentence(tmp_path: Path, at: str) -> None:
    whose = r": 0 sites answered, 1 needed; a" if at == "result" else ""
    with pytest.raises(
        RunFailedError,
        match=rf"^round 0{whose}: Own\.{at}\(\) failed in test_filtering\.py, line \d+: ZeroDivisionError: by zero$",
    ):
        await run(tmp_path, FedAvg(1, 1, model=np.zeros(2), filters=(Own(at, math.inf),)), {"a": adds(1.0)})


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("task", "^round 0: a filter made parameter 'numpy_key' NaN, infinite or larger than float64 holds$"),
        (
            "result",
            "^round 0: 0 .* needed; a: a filter made parameter 'numpy_key' NaN, infinite or larger than float64",
        ),
        ("aggregate", "round 0: parameter 'numpy_key' of a cannot be aggregated: the next model does not fit into"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
async def test_a_filter_that_makes_no_numbers_fails_the_run(tmp_path: Path, at: str, told: str) -> None:
    with pytest.raises(RunFailedError, match=told):
        await run(tmp_path, FedAvg(1, 1, model=np.zeros(2), filters=(Own(at, math.nan),)), {"a": adds(1.0)})


# What is drawn.


@dataclass(frozen=True)
class Drawing(Filter):
    """Adds what it draws, at each of three places."""

    drawn: list[Array] = field(default_factory=list, compare=False)

    def _change(self, view: View) -> Change:
        def change(name: str, start: int, values: Row) -> None:
            self.drawn.append(view.generator(name, start).normal(size=values.size))

        return change

    task = result = aggregate = _change


async def test_each_method_of_a_filter_draws_numbers_of_its_own(tmp_path: Path) -> None:
    one = Drawing()
    await run(tmp_path, FedAvg(1, 1, model=np.zeros(500), filters=(one,)), {"a": adds(1.0)})
    assert len(one.drawn) == 3
    assert np.abs(np.corrcoef(one.drawn) - np.eye(3)).max() < 5 / math.sqrt(500)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: averaging(GaussianNoise(), aggregator=Median()),
        "FedAvg: GaussianNoise hides one site in the mean of all, so it takes WeightedMean as aggregator and not Med",
    ),
    (
        lambda: FedProx(3, 1, model=MODEL, filters=(GaussianNoise(),), aggregator=Krum()),
        "FedProx: GaussianNoise hides one site in the mean of all, so it takes WeightedMean as aggregator and not Krum",
    ),
    (
        lambda: create("fltui.workflows.scaffold.Scaffold", {"filters": []}, {"model": {"w": np.zeros(2)}}, "job"),
        "job: Scaffold has no argument 'filters'",
    ),
    (
        lambda: averaging(GaussianNoise(), ClipNorm()),
        "FedAvg: GaussianNoise comes last: ClipNorm after it could undo its clipping",
    ),
    (
        lambda: averaging(GaussianNoise(), GaussianNoise()),
        "FedAvg: GaussianNoise comes last: GaussianNoise after it could undo its clipping",
    ),
    (
        lambda: averaging(Own(), GaussianNoise()),
        "FedAvg: GaussianNoise hides an update in the mean of all, and Own before it changes that mean (aggregate())",
    ),
    (
        lambda: averaging("ClipNorm"),  # type: ignore[arg-type]
        "FedAvg: filters has 'ClipNorm', expected filters such as ClipNorm(1.0)",
    ),
    (
        lambda: averaging(ClipNorm),  # type: ignore[arg-type]
        "FedAvg: filters has <class 'fltui.aggregation.filters.ClipNorm'>, expected filters such as ClipNorm(1.0)",
    ),
    (
        lambda: FedAvg(filters=ClipNorm()),  # type: ignore[arg-type]
        "FedAvg: filters is one filter, expected a list of them",
    ),
    (
        lambda: private(max_epsilon=1.0),
        "FedAvg: round 0 does not begin: it would bring the epsilon spent from 0 to 4.7",
    ),
    (
        lambda: private(max_epsilon=GaussianNoise(1.0).epsilon(3), start_round=3),
        "FedAvg: round 3 does not begin: it would bring the epsilon spent from 9.0",
    ),
    (lambda: FedAvg(filters=7), "FedAvg: filters has 7, expected"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "told"), REFUSED, ids=[told[:60] for _, told in REFUSED])
def test_filters_that_cannot_be_there_are_refused_at_once(make: Callable[[], object], told: str) -> None:
    with pytest.raises(BadInputError) as caught:
        make()
    assert str(caught.value).startswith(told)


def test_without_the_package_for_privacy_the_workflow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(BadInputError, match=r"GaussianNoise: the package dp-accounting .* install 'fltui\[privacy\]'$"):
        private()
