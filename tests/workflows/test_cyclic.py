"""The model on its way from site to site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.errors import BadInputError, RunFailedError
from fltui.model import Params, ParamsType
from fltui.workflows.cyclic import Cyclic
from fltui.workflows.workflow import Answer, Request
from tests.workflows.hall import Hall, Reply, Site, adds, run


def appends(digit: int) -> Site:
    """Writes its digit behind what it received; the weight it claims has no meaning here."""
    return lambda _, params: Reply({"numpy_key": params["numpy_key"] * 10 + digit}, weight=digit * 7.0)


SITES: dict[str, Site] = {"a": appends(1), "b": appends(2), "c": appends(3)}


def silent(_: int, params: Params) -> None:
    """Has no answer."""


async def test_each_trains_on_what_the_one_before_it_sent(tmp_path: Path) -> None:
    hall = await run(tmp_path, Cyclic(num_clients=3, num_rounds=2, model=[0.0]), SITES)
    assert [int(hall.model(number)["numpy_key"][0]) for number in range(7)] == [0, 1, 12, 123, 1231, 12312, 123123]
    assert [request.sites for request in hall.requests] == [("a",), ("b",), ("c",)] * 2
    assert [(request.start_round, request.total_rounds, request.quorum) for request in hall.requests] == [(0, 6, 0)] * 6
    assert [one.weights for one in hall.finished[:2]] == [{"a": 1.0}, {"b": 1.0}]


async def test_a_random_order_is_another_one_each_time_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    workflow = Cyclic(num_clients=3, num_rounds=8, model=[0.0], order="random")
    found = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        hall = await run(tmp_path / folder, workflow, SITES, seed=seed)
        turns = [request.sites[0] for request in hall.requests]
        found.append([tuple(turns[start : start + 3]) for start in range(0, 24, 3)])
    assert found[0] == found[1] != found[2]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in found[0])
    assert len(set(found[0])) > 2


async def test_a_silent_site_is_passed_over(tmp_path: Path) -> None:
    hall = await run(tmp_path, Cyclic(num_clients=3, num_rounds=2, model=[0.0]), {**SITES, "b": silent})
    assert hall.model(6)["numpy_key"] == [1313.0]
    note = "b is passed over, the model goes on as it is"
    assert hall.notes == [(1, note), (4, note)]
    assert hall.models.load(1).digest == hall.models.load(2).digest
    assert (hall.finished[1].weights, hall.finished[1].update_norm) == ({}, 0.0)


async def test_if_all_are_silent_the_run_fails(tmp_path: Path) -> None:
    sites: dict[str, Site] = {"a": appends(1), "b": silent, "c": silent}
    hall = Hall(tmp_path / "hall", sites)
    await Cyclic(num_clients=3, num_rounds=2, model=[0.0]).run(hall)
    hall = Hall(tmp_path / "other", dict.fromkeys("abc", silent))
    with pytest.raises(RunFailedError) as caught:
        await Cyclic(num_clients=3, num_rounds=2, model=[0.0]).run(hall)
    assert str(caught.value) == "round 2: 3 sites in a row had no answer that counts"


async def test_without_a_model_the_first_site_starts_from_its_own(tmp_path: Path) -> None:
    def own(_: int, params: Params) -> Reply:
        return Reply({"w": params.get("w", np.zeros(2)) + 1})

    hall = await run(tmp_path, Cyclic(num_clients=2, num_rounds=1), {"a": silent, "b": own})
    assert hall.model(1) == {}
    assert hall.model(2)["w"].tolist() == [1.0, 1.0]


async def test_differences_are_added(tmp_path: Path) -> None:
    def difference(_: int, params: Params) -> Reply:
        return Reply({"numpy_key": np.array([0.5])}, params_type=ParamsType.DIFF)

    hall = await run(tmp_path, Cyclic(num_clients=2, num_rounds=1, model=[10.0]), {"a": difference, "b": adds(1)})
    assert hall.model(2)["numpy_key"] == [11.5]


async def test_a_run_that_is_resumed_goes_on_with_whose_turn_it_is(tmp_path: Path) -> None:
    workflow = Cyclic(num_clients=3, num_rounds=3, model=[0.0], order="random", start_round=5)
    whole = await run(tmp_path, workflow, SITES, seed=4)
    hall = Hall(tmp_path / "resumed", SITES, seed=4)
    hall.stop_before = 9
    with pytest.raises(InterruptedError):
        await workflow.run(hall)
    hall.stop_before = None
    await workflow.run(hall)
    assert [request.sites for request in hall.requests] == [request.sites for request in whole.requests]
    assert hall.models.load(14).digest == whole.models.load(14).digest


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"order": "any"}, "Cyclic: order is 'any', expected fixed or random"),
        ({"num_rounds": 0}, "Cyclic: num_rounds is 0, expected a whole number of at least 1"),
        ({"round_timeout": -1}, "Cyclic: round_timeout is -1, expected seconds above 0"),
        ({"model": {"w": None}}, "Cyclic: model: parameter 'w'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Cyclic(**arguments)
    assert str(caught.value).startswith(sentence)


def test_a_turn_of_every_site_is_a_round_each() -> None:
    workflow = Cyclic(num_clients=4, num_rounds=3, start_round=2)
    assert (workflow.rounds, workflow.quorum, workflow.site_count) == (range(2, 14), 1, 4)
    assert workflow.for_sites(2).for_rounds(5).rounds == range(2, 12)


async def test_a_site_that_was_away_has_its_turn_once_it_is_back(tmp_path: Path) -> None:
    hall = Hall(tmp_path / "hall", {name: adds(1) for name in "abc"})
    there = {0: "ac", 1: "abc", 2: "abc", 3: "bc", 4: "bc", 5: "abc"}
    everybody = dict(hall.functions)
    asked = hall.ask

    async def ask(request: Request) -> list[Answer]:
        coming = there.get(request.round + 1, "abc")
        hall.functions = {name: everybody[name] for name in coming}
        answers = {name: everybody[name] for name in "abc"}
        now, hall.functions = hall.functions, answers
        found = await asked(request)
        hall.functions = now
        return found

    hall.ask = ask  # type: ignore[method-assign]
    hall.functions = {name: everybody[name] for name in there[0]}
    await Cyclic(num_clients=3, num_rounds=2, model=[0.0]).run(hall)
    assert [one.request.sites for one in hall.finished] == [("a",), ("b",), ("c",), ("b",), ("c",), ("a",)]
