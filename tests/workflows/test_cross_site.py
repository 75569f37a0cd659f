"""Every model on every site's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.errors import BadInputError, RunFailedError
from fltui.model import Params
from fltui.workflows.cross_site import CrossSiteEval
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.series import Series
from fltui.workflows.workflow import Request
from tests.workflows.hall import Hall, Reply, adds, run


class Evaluates(Hall):
    """Sites that submit 10 times their number, and measure ``model + number`` on it."""

    silent: frozenset[tuple[str, str]] = frozenset()
    """Site and model of what is not answered; an empty model for its own."""

    async def ask(self, request: Request) -> list[Any]:
        if request.task_name == "train":
            return await super().ask(request)
        if request.round == self.stop_before:
            raise InterruptedError
        self.requests.append(request)
        answers = []
        for site in request.sites:
            if (site, request.part) in self.silent and request.task_name == "validate":
                continue
            if request.task_name == "submit_model":
                if (site, "own") not in self.silent:
                    answers.append(self.answer(site, Reply({"numpy_key": np.array([10.0 * int(site)])}, weight=5.0)))
                continue
            (entry,) = request.entries.values()
            (value,) = np.load(request.files[entry.file])
            answers.append(self.answer(site, Reply({}, float(site), {"accuracy": float(value) + int(site)})))
        return answers


def hall(folder: Path, *silent: tuple[str, str]) -> Evaluates:
    found = Evaluates(folder / "hall", {name: adds(1) for name in "123"})
    found.silent = frozenset(silent)
    return found


TABLE = [
    ["metric", "model", "1", "2", "3"],
    ["accuracy", "1", 11.0, 12.0, 13.0],
    ["accuracy", "2", 21.0, 22.0, 23.0],
    ["accuracy", "3", 31.0, 32.0, 33.0],
    ["accuracy", "global", 3.0, 4.0, 5.0],
]


async def test_the_matrix_has_a_row_for_every_model_and_a_column_for_every_site(tmp_path: Path) -> None:
    place = hall(tmp_path)
    assert await CrossSiteEval(num_clients=3, model=[2.0]).run(place) == ""
    assert place.tables == {"cross_site": TABLE}
    assert [(request.task_name, request.part, request.meta) for request in place.requests] == [
        ("submit_model", "", {}),
        ("validate", "1", {"model": "1"}),
        ("validate", "2", {"model": "2"}),
        ("validate", "3", {"model": "3"}),
        ("validate", "", {"model": "global"}),
    ]
    assert {request.for_metrics for request in place.requests[1:]} == {True}
    # The last round's metrics are those of the global model, by the sites' weights, and the model is as it was.
    assert place.finished[-1].metrics == {"accuracy": pytest.approx((3 * 1 + 4 * 2 + 5 * 3) / 6)}
    assert [float(place.model(number)["numpy_key"][0]) for number in range(6)] == [2.0] * 6


async def test_it_follows_another_workflow(tmp_path: Path) -> None:
    place = hall(tmp_path)
    await Series((FedAvg(num_clients=3, num_rounds=2, model=[0.0]), CrossSiteEval(num_clients=3))).run(place)
    assert place.tables == {"cross_site": TABLE}
    assert [request.round for request in place.requests] == list(range(7))
    assert [(one.start_round, one.total_rounds) for one in place.requests[2:]] == [(2, 5)] * 5


async def test_a_site_that_gives_no_model_is_noted_and_evaluates_those_of_others(tmp_path: Path) -> None:
    place = hall(tmp_path, ("2", "own"))
    await CrossSiteEval(num_clients=3, model=[2.0]).run(place)
    assert place.tables["cross_site"] == [TABLE[0], TABLE[1], TABLE[3], TABLE[4]]
    assert place.notes == [(0, "2 gave no model, which is therefore not evaluated")]


async def test_what_a_site_does_not_tell_stays_empty(tmp_path: Path) -> None:
    place = hall(tmp_path, ("3", "1"), ("1", ""))
    await CrossSiteEval(num_clients=3, model=[2.0]).run(place)
    rows = place.tables["cross_site"]
    assert rows[1] == ["accuracy", "1", 11.0, 12.0, ""]
    assert rows[4] == ["accuracy", "global", "", 4.0, 5.0]


async def test_the_global_model_alone(tmp_path: Path) -> None:
    place = hall(tmp_path)
    workflow = CrossSiteEval(num_clients=3, submit=False, model=[2.0])
    assert workflow.rounds == range(1)
    await workflow.run(place)
    assert place.tables["cross_site"] == [TABLE[0], TABLE[4]]


@pytest.mark.parametrize("stop", [1, 2, 4])
async def test_a_run_that_is_resumed_evaluates_what_is_left(tmp_path: Path, stop: int) -> None:
    place = hall(tmp_path)
    place.stop_before = stop
    workflow = CrossSiteEval(num_clients=3, model=[2.0])
    with pytest.raises(InterruptedError):
        await workflow.run(place)
    assert place.tables == {}
    place.stop_before = None
    await workflow.run(place)
    assert [request.round for request in place.requests] == list(range(5))
    assert place.tables == {"cross_site": TABLE}


async def test_without_a_model_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError) as caught:
        await CrossSiteEval(num_clients=3).run(hall(tmp_path))
    assert str(caught.value) == "round 0: there is no model to evaluate; CrossSiteEval needs one"


async def test_more_than_one_metric(tmp_path: Path) -> None:
    def site(_: int, params: Params) -> Reply:
        return Reply({}, 1.0, {"loss": 1.0, "auc": 0.5})

    place = await run(tmp_path, CrossSiteEval(num_clients=2, submit=False, model=[2.0]), {"a": site, "b": site})
    assert place.tables["cross_site"] == [
        ["metric", "model", "a", "b"],
        ["auc", "global", 0.5, 0.5],
        ["loss", "global", 1.0, 1.0],
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"num_clients": 0}, "CrossSiteEval: num_clients is 0, expected a whole number of at least 1"),
        ({"min_clients": True}, "CrossSiteEval: min_clients is True, expected a whole number of at least 1"),
        ({"round_timeout": 0}, "CrossSiteEval: round_timeout is 0, expected seconds above 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as caught:
        CrossSiteEval(**arguments)
    assert str(caught.value) == sentence


def test_fewer_sites_lower_the_quorum() -> None:
    found = CrossSiteEval(num_clients=5, min_clients=4).for_sites(2)
    assert (found.num_clients, found.min_clients, found.rounds) == (2, 2, range(4))
    assert found.for_rounds(9) == found


async def test_no_more_sites_take_part_than_it_asks_for(tmp_path: Path) -> None:
    hall = Hall(tmp_path / "hall", {name: adds(1) for name in "abcd"})
    hall.stop_before = 1
    with pytest.raises(InterruptedError):
        await CrossSiteEval(num_clients=2, model=[0.0]).run(hall)
    assert hall.requests[0].sites == ("a", "b")
