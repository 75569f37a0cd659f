from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fltui.errors import BadInputError, RunFailedError
from fltui.model import Params, ParamsType
from fltui.workflows.fedavg import FedAvg
from tests.workflows.hall import Hall, Reply, adds, run


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
    assert hall.finished[0].metrics == {"step": 2.0}


async def test_a_round_is_closed_with_the_norm_of_the_change(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, num_rounds=1, model={"w": np.zeros(3), "b": np.zeros(1)})
    hall = await run(tmp_path, workflow, {"site-1": adds(2)})
    (found,) = hall.finished
    assert (found.request.round, found.update_norm, found.metrics) == (0, 4.0, {"step": 2.0})


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

    with pytest.raises(RunFailedError, match=r"parameter 'w' of site-1 cannot be aggregated: .* no model to add it to"):
        await run(tmp_path, FedAvg(num_clients=1), {"site-1": difference})


async def test_weights_of_0_alone_fail_the_run(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=1, model=[1.0])
    with pytest.raises(RunFailedError, match=r"'numpy_key' of site-1 cannot be aggregated: the weights .* add up to 0"):
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
    resumed.stop_before = 2
    with pytest.raises(InterruptedError):
        await workflow.run(resumed)
    resumed.stop_before = None
    await workflow.run(resumed)
    assert [request.round for request in resumed.requests] == [0, 1, 2, 3]
    assert resumed.model(4)["numpy_key"] == whole.model(4)["numpy_key"]


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
