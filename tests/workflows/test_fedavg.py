from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader, write_array
from fltui.model import Params, ParamsType
from fltui.run.models import Models, ModelWriter, StoredModel
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.workflow import Answer, Request

Array = NDArray[Any]


@dataclass(frozen=True)
class Reply:
    """What a site answers to a model."""

    params: Params
    weight: float = 1.0
    metrics: dict[str, float] = field(default_factory=dict)
    params_type: ParamsType = ParamsType.FULL


Site = Callable[[int, Params], Reply]
"""Round and model to reply."""


class StoreFolder:
    """Private copies, as the server keeps them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def put(self, name: str, array: Array) -> ArrayEntry:
        beside = self.root / "new"
        entry = write_array(beside, name, array, file=f"{name}.npy")
        beside.rename(self.root / f"{entry.blake3}.npy")
        return entry

    def open(self, entry: ArrayEntry) -> NpyReader:
        return NpyReader(self.root / f"{entry.blake3}.npy", entry.dtype, entry.shape)


class Hall:
    """A `Federation` whose sites are functions, all in one room; its models are real files."""

    def __init__(self, folder: Path, sites: dict[str, Site]) -> None:
        (folder / "models").mkdir(parents=True)
        self.models = Models(folder / "models", durable=False)
        self.functions = sites
        self.store = StoreFolder(folder / "store")
        self.requests: list[Request] = []
        self.finished: list[tuple[int, float, dict[str, float]]] = []
        self.resume_at: int | None = None

    async def sites(self, at_least: int) -> tuple[str, ...]:
        if len(self.functions) < at_least:
            raise RunFailedError(f"{len(self.functions)} sites, {at_least} needed")
        return tuple(sorted(self.functions))

    async def ask(self, request: Request) -> list[Answer]:
        self.requests.append(request)
        params = self.params(request.model)
        return [self.answer(site, self.functions[site](request.round, params)) for site in sorted(request.sites)]

    def answer(self, site: str, reply: Reply) -> Answer:
        entries = {name: self.store.put(name, array) for name, array in reply.params.items()}
        return Answer(site, reply.params_type, reply.weight, reply.metrics, entries, self.store)

    def begin(self, params: Params, rounds: range) -> tuple[StoredModel, range]:
        if self.resume_at is not None:
            return self.models.load(self.resume_at), range(self.resume_at, rounds.stop)
        with self.new_model(rounds.start, sorted(params)) as new:
            for name, array in params.items():
                new.add(name, array)
        return self.models.load(rounds.start), rounds

    def new_model(self, round_number: int, names: list[str]) -> AbstractContextManager[ModelWriter]:
        return self.models.new(round_number, names)

    def finish_round(
        self, request: Request, answers: list[Answer], update_norm: float, metrics: dict[str, float]
    ) -> StoredModel:
        self.finished.append((request.round, update_norm, metrics))
        return self.models.load(request.round + 1)

    def params(self, model: StoredModel) -> Params:
        return {name: np.load(model.folder / entry.file) for name, entry in model.entries.items()}

    def model(self, number: int) -> Params:
        """The model that enters a round."""
        return self.params(self.models.load(number))


def adds(step: float, weight: float = 1.0) -> Site:
    """A site that adds `step` to every parameter."""
    return lambda _, params: Reply(
        {name: array + np.asarray(step, array.dtype) for name, array in params.items()}, weight, {"step": step}
    )


async def run(folder: Path, workflow: FedAvg, sites: dict[str, Site]) -> Hall:
    """The whole run."""
    hall = Hall(folder / "hall", sites)
    await workflow.run(hall)
    return hall


async def test_every_round_averages_what_the_sites_made_of_the_model(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=2, num_rounds=3, model=np.zeros((3, 3), np.float32))
    hall = await run(tmp_path, workflow, {"site-1": adds(1), "site-2": adds(3)})
    found = [hall.model(number)["numpy_key"] for number in range(4)]
    assert [array[0, 0] for array in found] == [0, 2, 4, 6]
    assert {(array.dtype, array.shape) for array in found} == {(np.dtype(np.float32), (3, 3))}


async def test_sites_count_by_their_weights(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=2, num_rounds=1, model=np.zeros(1))
    hall = await run(tmp_path, workflow, {"site-1": adds(1, weight=3), "site-2": adds(5, weight=1)})
    assert hall.model(1)["numpy_key"] == [2.0]
    assert hall.finished[0][2] == {"step": 2.0}


async def test_a_round_is_closed_with_the_norm_of_the_change(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=1, model={"w": np.zeros(3), "b": np.zeros(1)})
    hall = await run(tmp_path, workflow, {"site-1": adds(2)})
    assert hall.finished == [(0, 4.0, {"step": 2.0})]


async def test_differences_are_added_to_the_model(tmp_path: Path) -> None:
    def difference(_: int, params: Params) -> Reply:
        return Reply({"numpy_key": np.array([0.5])}, params_type=ParamsType.DIFF)

    workflow = FedAvg(num_clients=2, num_rounds=2, model=[10.0])
    hall = await run(tmp_path, workflow, {"site-1": difference, "site-2": difference})
    assert hall.model(2)["numpy_key"] == [11.0]


async def test_whole_models_and_differences_may_meet(tmp_path: Path) -> None:
    def difference(_: int, params: Params) -> Reply:
        return Reply({"numpy_key": np.array([3.0])}, params_type=ParamsType.DIFF)

    workflow = FedAvg(num_clients=2, num_rounds=1, model=[10.0])
    hall = await run(tmp_path, workflow, {"site-1": adds(1), "site-2": difference})
    assert hall.model(1)["numpy_key"] == [12.0]


async def test_without_a_model_the_sites_start_from_their_own(tmp_path: Path) -> None:
    def own(number: int, params: Params) -> Reply:
        assert (params == {}) is (number == 0)
        return Reply({"w": params.get("w", np.zeros(2)) + 1})

    hall = await run(tmp_path, FedAvg(num_clients=2, num_rounds=2), {"site-1": own, "site-2": own})
    assert hall.model(0) == {}
    assert hall.model(2)["w"].tolist() == [2.0, 2.0]


async def test_a_difference_to_nothing_fails_the_run(tmp_path: Path) -> None:
    def difference(_: int, params: Params) -> Reply:
        return Reply({"w": np.ones(1)}, params_type=ParamsType.DIFF)

    with pytest.raises(RunFailedError, match=r"parameter 'w' of site-1 cannot be averaged: .* no model to add it to"):
        await run(tmp_path, FedAvg(num_clients=1), {"site-1": difference})


async def test_weights_of_0_alone_fail_the_run(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, model=[1.0])
    with pytest.raises(RunFailedError, match=r"'numpy_key' of site-1 cannot be averaged: the weights .* add up to 0"):
        await run(tmp_path, workflow, {"site-1": adds(1, weight=0)})


async def test_a_mean_that_overflows_fails_the_run(tmp_path: Path) -> None:
    largest = np.array([np.finfo(np.float32).max])

    def difference(_: int, params: Params) -> Reply:
        return Reply({"numpy_key": largest}, params_type=ParamsType.DIFF)

    with pytest.raises(RunFailedError, match="does not fit into float32"):
        await run(tmp_path, FedAvg(num_clients=1, model=largest), {"site-1": difference})


async def test_too_few_sites_fail_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="1 sites, 2 needed"):
        await run(tmp_path, FedAvg(num_clients=2), {"site-1": adds(1)})


async def test_a_request_says_what_a_site_must_know(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=2, num_rounds=2, start_round=5, model=[0.0], min_clients=1, round_timeout=60.0)
    hall = await run(tmp_path, workflow, {"site-1": adds(1), "site-2": adds(1)})
    first = hall.requests[0]
    assert (first.task_name, first.start_round, first.total_rounds) == ("train", 5, 2)
    assert (first.quorum, first.timeout, first.sites) == (1, 60.0, ("site-1", "site-2"))
    assert [request.round for request in hall.requests] == [5, 6]
    assert hall.model(7)["numpy_key"] == [2.0]


async def test_a_run_that_is_resumed_does_the_rounds_that_are_left(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=2, num_rounds=4, model=[0.1])
    sites = {"site-1": adds(0.1), "site-2": adds(0.7)}
    whole = await run(tmp_path, workflow, sites)
    resumed = Hall(tmp_path / "resumed", sites)
    resumed.models, resumed.resume_at = whole.models, 2
    undisturbed = whole.model(4)["numpy_key"]
    await workflow.run(resumed)
    assert [request.round for request in resumed.requests] == [2, 3]
    assert resumed.model(4)["numpy_key"] == undisturbed


async def test_of_many_sites_some_are_chosen_each_round_and_again_the_same(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=3, num_rounds=6, model=[0.0])
    sites = {f"site-{number}": adds(1) for number in range(8)}
    chosen = []
    for attempt in ("a", "b"):
        hall = await run(tmp_path / attempt, workflow, sites)
        chosen.append([request.sites for request in hall.requests])
    assert chosen[0] == chosen[1]
    assert {len(names) for names in chosen[0]} == {3}
    assert len(set(chosen[0])) > 1


@settings(max_examples=10)
@given(st.permutations(["site-1", "site-2", "site-3"]))
async def test_the_model_does_not_depend_on_the_order_of_the_sites(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[str]
) -> None:
    steps = {"site-1": 0.1, "site-2": 0.2, "site-3": 0.7}
    workflow = FedAvg(num_clients=3, num_rounds=2, model=[0.3])
    hall = await run(tmp_path_factory.mktemp("run"), workflow, {name: adds(steps[name]) for name in order})
    expected = 0.3
    for _ in range(2):
        expected = ((expected + 0.1) + (expected + 0.2) + (expected + 0.7)) / 3
    assert hall.model(2)["numpy_key"] == [expected]


def test_all_that_are_asked_must_answer_unless_told_otherwise() -> None:
    assert FedAvg(num_clients=4).quorum == 4
    assert FedAvg(num_clients=4, min_clients=2).quorum == 2


def test_the_rounds_are_numbered_from_the_first() -> None:
    assert FedAvg(num_rounds=3, start_round=2).rounds == range(2, 5)


@pytest.mark.parametrize(("count", "quorum"), [(5, 3), (2, 2)])
def test_fewer_sites_lower_the_quorum(count: int, quorum: int) -> None:
    found = FedAvg(num_clients=4, min_clients=3).for_sites(count)
    assert (found.site_count, found.quorum) == (count, quorum)


def test_the_model_stays_with_other_sites_and_rounds() -> None:
    found = FedAvg(model=[1.0, 2.0]).for_sites(2).for_rounds(7)
    assert found.model["numpy_key"].tolist() == [1.0, 2.0]
    assert found.num_rounds == 7


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"num_clients": 0}, "num_clients is 0"),
        ({"num_clients": True}, "num_clients is True"),
        ({"num_rounds": 2.0}, "num_rounds is 2.0"),
        ({"start_round": -1}, "start_round is -1"),
        ({"min_clients": 0}, "min_clients is 0"),
        ({"num_clients": 2, "min_clients": 3}, "min_clients is 3, expected 1 to num_clients, which is 2"),
        ({"round_timeout": 0}, "round_timeout is 0"),
        ({"round_timeout": float("nan")}, "round_timeout is nan"),
        ({"model": "text"}, "FedAvg: model: "),
        ({"model": [[1], [1, 2]]}, "FedAvg: model: "),
        ({"model": {"w": None}}, "FedAvg: model: parameter 'w'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        FedAvg(**arguments)
