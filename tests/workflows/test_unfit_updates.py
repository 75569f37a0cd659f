"""One site's update that a filter fails on: that site is left out, and the round goes on without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fltui.aggregation.filters import Change, ClipNorm, Filter, View
from fltui.aggregation.terms import Row
from fltui.errors import RunFailedError
from fltui.run.events import AnyEvent, ResultAccepted, ResultRejected, RoundFinished, RunStatus
from fltui.run.journal import read_journal
from fltui.server.verify import verify
from fltui.workflows.fedavg import FedAvg
from tests.server.plays import MODEL, Play
from tests.workflows.hall import Hall, adds, run


@dataclass(frozen=True)
class Same(Filter):
    """Writes an update anew as it is."""

    def result(self, view: View) -> Change:
        return lambda _name, _start, _values: None


@dataclass(frozen=True)
class Picky(Filter):
    """Fails on large updates, at once or later, or makes them far larger."""

    how: str = "at once"

    def result(self, view: View) -> Change | None:
        if view.norm() < 5:
            return None
        if self.how == "at once":
            raise ValueError("too large")

        def change(_name: str, _start: int, values: Row) -> None:
            if self.how == "later":
                raise ValueError("too large")
            values *= float(self.how)

        return change


BY_ONE = ["at once", "later", "nan", "inf", "1e300", "6553.6"]


@pytest.mark.parametrize("how", BY_ONE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
async def test_a_site_whose_update_a_filter_fails_on_harms_nobody_else(tmp_path: Path, how: str) -> None:
    sites = {"a": adds(1.0), "b": adds(10.0), "c": adds(3.0)}
    model = np.zeros(1, np.float16)
    workflow = FedAvg(3, 1, model=model, min_clients=2, filters=(Same(), Picky(how)))
    hall = await run(tmp_path, workflow, sites)
    assert hall.model(1)["numpy_key"].tolist() == [2.0]
    assert hall.finished[0].weights == {"a": 1.0, "c": 1.0}
    ((number, site, reason),) = hall.rejected
    assert (number, site) == (0, "b")
    if how in ("at once", "later"):
        assert reason.startswith("Picky.result() failed in test_unfit_updates.py, line ")
        assert reason.endswith(": ValueError: too large")
    else:
        assert reason == "a filter made parameter 'numpy_key' NaN, infinite or larger than float16 holds"
    assert not list((tmp_path / "hall" / "models" / "scratch").glob("*-b"))


async def test_an_update_that_just_fits_is_not_rejected(tmp_path: Path) -> None:
    hall = await run(
        tmp_path,
        FedAvg(1, 1, model=np.zeros(1, np.float16), filters=(Picky("6550.4"),)),
        {"a": adds(10.0)},
    )
    assert hall.model(1)["numpy_key"].tolist() == [65504.0]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
async def test_the_server_s_own_trouble_is_no_site_s(tmp_path: Path, error: Exception) -> None:
    @dataclass(frozen=True)
    class Unlucky(Filter):
        def result(self, view: View) -> Change | None:
            raise error

    hall = Hall(tmp_path / "hall", {"a": adds(1.0), "b": adds(1.0)})
    with pytest.raises(RunFailedError, match=r"^round 0, site a: Unlucky\.result\(\) failed in test_unfit_updates"):
        await FedAvg(2, 1, model=np.zeros(2), min_clients=1, filters=(Unlucky(),)).run(hall)
    assert hall.rejected == []


async def test_a_round_that_needs_the_site_fails_with_its_sentence(tmp_path: Path) -> None:
    sites = {"a": adds(1.0), "b": adds(10.0)}
    with pytest.raises(RunFailedError, match=r"^round 0: 1 sites answered, 2 needed; b: Picky\.result\(\) failed"):
        await run(tmp_path, FedAvg(2, 1, model=np.zeros(1), filters=(Picky(),)), sites)


# The whole run.


@pytest.fixture
def fails_on_b(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that the job folder can name fails on what site ``b`` sends in round 1."""
    known = ClipNorm.result

    def result(one: ClipNorm, view: View) -> Change | None:
        if (view.site, view.round) == ("b", 1):
            raise ArithmeticError("no update")
        return known(one, view)

    monkeypatch.setattr(ClipNorm, "result", result)


def clipping(least: int) -> FedAvg:
    return FedAvg(3, 3, model=MODEL, min_clients=least, filters=(ClipNorm(1.0),))


@pytest.mark.usefixtures("fails_on_b")
def test_a_run_goes_on_without_the_site_and_is_verified(tmp_path: Path) -> None:
    folder = Play(tmp_path, workflow=clipping(2), names=("a", "b", "c")).run()
    state = folder.state()
    assert (state.status, state.rounds_done) == (RunStatus.COMPLETED, 3)
    told: list[AnyEvent] = list(read_journal(folder.journal))
    (rejected,) = [event for event in told if isinstance(event, ResultRejected)]
    assert (rejected.round, rejected.site) == (1, "b")
    assert rejected.reason.startswith("ClipNorm.result() failed in test_unfit_updates.py, line ")
    assert rejected.reason.endswith(": ArithmeticError: no update")
    accepted = [event.site for event in told if isinstance(event, ResultAccepted) and event.round == 1]
    assert sorted(accepted) == ["a", "b", "c"]
    weighed = [sorted(event.weights) for event in told if isinstance(event, RoundFinished)]
    assert weighed == [["a", "b", "c"], ["a", "c"], ["a", "b", "c"]]
    found = verify(folder)
    assert (found.recomputed, found.difference) == (3, None)


@pytest.mark.usefixtures("fails_on_b")
def test_a_run_that_needs_the_site_fails_with_its_sentence(tmp_path: Path) -> None:
    state = Play(tmp_path, workflow=clipping(3), names=("a", "b", "c")).run().state()
    assert (state.status, state.rounds_done) == (RunStatus.FAILED, 1)
    assert state.reason.startswith("round 1: 2 of 3 sites answered, 3 needed; b: ClipNorm.result() failed in test_")
