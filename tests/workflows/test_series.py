"""Several workflows of one job."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.workflows.cross_site import CrossSiteEval
from fltui.workflows.cyclic import Cyclic
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.fedprox import FedProx
from fltui.workflows.series import Series
from tests.workflows.hall import Hall, adds, run
from tests.workflows.test_parts import tells

SITES = {"a": adds(1), "b": adds(3)}


def three() -> Series:
    return Series(
        (
            FedAvg(num_clients=2, num_rounds=2, start_round=4, model=[0.0]),
            Cyclic(num_clients=2, num_rounds=1),
            FedProx(num_clients=2, num_rounds=1, mu=0.5),
        )
    )


async def test_each_begins_with_the_model_that_the_one_before_it_left(tmp_path: Path) -> None:
    hall = await run(tmp_path, three(), SITES)
    assert [request.round for request in hall.requests] == [4, 5, 6, 7, 8]
    assert [request.sites for request in hall.requests] == [("a", "b")] * 2 + [("a",), ("b",)] + [("a", "b")]
    assert hall.model(9)["numpy_key"] == [2 + 2 + 1 + 3 + 2]
    assert hall.stages == [("FedAvg", ""), ("Cyclic", "")]
    assert [(one.start_round, one.total_rounds) for one in hall.requests] == [(4, 2)] * 2 + [(6, 2)] * 2 + [(8, 1)]


@pytest.mark.parametrize("stop", [4, 5, 6, 7, 8])
async def test_a_run_that_is_resumed_goes_on_in_the_workflow_where_it_was(tmp_path: Path, stop: int) -> None:
    whole = await run(tmp_path, three(), SITES)
    hall = Hall(tmp_path / "resumed", SITES)
    hall.stop_before = stop
    with pytest.raises(InterruptedError):
        await three().run(hall)
    hall.stop_before = None
    await three().run(hall)
    assert [request.sites for request in hall.requests] == [request.sites for request in whole.requests]
    assert hall.models.load(9).digest == whole.models.load(9).digest
    assert hall.stages == whole.stages


@pytest.mark.parametrize("stop", [None, 3, 4])
async def test_the_next_one_begins_early_where_one_ends_early(tmp_path: Path, stop: int | None) -> None:
    workflow = Series(
        (
            FedAvg(num_clients=1, num_rounds=9, model=[0.0], stop_cond="accuracy > 0.8"),
            FedAvg(num_clients=1, num_rounds=2),
        )
    )
    hall = Hall(tmp_path / "hall", {"a": tells(0.1, 0.5, 0.9)})
    if stop is not None:
        hall.stop_before = stop
        with pytest.raises(InterruptedError):
            await workflow.run(hall)
        hall.stop_before = None
    assert await workflow.run(hall) == ""
    assert [request.round for request in hall.requests] == [0, 1, 2, 3, 4]
    assert hall.stages == [("FedAvg", "ended after round 2: accuracy is 0.9, accuracy > 0.8 holds")]


async def test_a_run_whose_last_workflow_ends_early_says_why(tmp_path: Path) -> None:
    workflow = Series(
        (FedAvg(num_clients=1, num_rounds=1, model=[0.0]), FedAvg(num_clients=1, stop_cond="accuracy > 0.8"))
    )
    hall = Hall(tmp_path / "hall", {"a": tells(0.9)})
    # What held before it began is of the model before, and ends nothing.
    assert (await workflow.run(hall)).startswith("ended after round 1: accuracy is 0.9")


def test_it_has_the_rounds_and_the_sites_of_all() -> None:
    workflow = three()
    assert workflow.title == "FedAvg, Cyclic, FedProx"
    assert workflow.rounds == range(4, 9)
    assert (workflow.site_count, workflow.quorum) == (2, 2)
    assert workflow.for_rounds(5).rounds == range(4, 12)
    assert workflow.for_sites(3).rounds == range(4, 10)
    assert workflow.parts == workflow.workflows
    assert workflow.array_bytes == 8


def test_only_the_first_has_a_model_of_its_own() -> None:
    with pytest.raises(BadInputError) as caught:
        Series((FedAvg(model=[0.0]), CrossSiteEval(model=[1.0])))
    assert str(caught.value) == (
        "CrossSiteEval comes after FedAvg and begins with the model that it leaves, so it takes no model of its own"
    )


def test_a_cross_site_evaluation_takes_the_sites_of_what_comes_before() -> None:
    series = Series((FedAvg(num_clients=7, num_rounds=2), CrossSiteEval()))
    assert len(series.rounds) == 2 + 7 + 2
