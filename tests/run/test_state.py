from __future__ import annotations

import pytest

from fltui.run.events import AnyEvent, MetricLogged, RunPaused, RunResumed, RunStatus, SiteJoined, SiteLost
from fltui.run.state import apply, fold
from tests.run.journals import accepted, asked, finished, rejected, round_finished, round_started, started, whole_run


def test_no_events_are_a_run_that_was_submitted() -> None:
    assert fold([]).status is RunStatus.SUBMITTED


def test_a_run_that_started_knows_what_it_is_about() -> None:
    state = fold([started()])
    assert (state.status, state.job, state.workflow, state.total_rounds) == (RunStatus.RUNNING, "hello", "FedAvg", 2)
    assert {name: site.state for name, site in state.sites.items()} == {"site-1": "expected", "site-2": "expected"}


def test_a_whole_run_is_folded() -> None:
    state = fold(whole_run())
    assert state.status is RunStatus.COMPLETED
    assert state.rounds_done == 1
    assert state.metrics == {"accuracy": 0.5}
    assert state.final_model == {"w": "models/final/w.npy"}
    assert sorted(state.models) == [0, 1]
    assert state.seconds == 3.5
    assert state.events == len(whole_run())


def test_folding_is_applying_one_after_the_other() -> None:
    state = fold([])
    for event in whole_run():
        state = apply(state, event)
    assert state == fold(whole_run())


def test_a_site_goes_from_expected_to_sent() -> None:
    events: list[AnyEvent] = [
        started(),
        SiteJoined(site="site-1"),
        round_started(),
        asked("site-1"),
        accepted("site-1"),
    ]
    states = [fold(events[: count + 1]).site("site-1").state for count in range(len(events))]
    assert states == ["expected", "ready", "ready", "training", "sent"]


def test_a_result_that_counts_is_counted() -> None:
    site = fold([started(), round_started(), asked("site-1"), accepted("site-1")]).site("site-1")
    assert (site.results, site.round, site.metrics) == (1, 0, {"accuracy": 0.5})


def test_a_result_that_is_rejected_says_why() -> None:
    state = fold([started(), round_started(), rejected("site-1", "too late")])
    assert (state.site("site-1").state, state.site("site-1").reason) == ("rejected", "too late")
    assert state.rounds[0].rejected.keys() == {"site-1"}


def test_a_result_that_is_rejected_after_all_does_not_count() -> None:
    state = fold([started(), round_started(), accepted("site-1"), rejected("site-1")])
    assert state.site("site-1").results == 0
    assert state.rounds[0].accepted == {}


def test_a_lost_site_says_why_until_it_is_back() -> None:
    lost: list[AnyEvent] = [started(), SiteLost(site="site-1", reason="exit code 1")]
    assert fold(lost).site("site-1").reason == "exit code 1"
    assert fold([*lost, SiteJoined(site="site-1")]).site("site-1").reason == ""


def test_metrics_are_those_of_the_last_finished_round() -> None:
    state = fold(
        [started(), round_started(0), round_finished(0), round_started(1), round_finished(1), round_started(2)]
    )
    assert state.metrics == {"accuracy": 0.6}
    assert state.rounds_done == 2


def test_a_run_pauses_and_goes_on() -> None:
    paused: list[AnyEvent] = [started(), RunPaused(reason="lunch")]
    assert (fold(paused).status, fold(paused).reason) == (RunStatus.PAUSED, "lunch")
    assert fold([*paused, RunResumed()]).status is RunStatus.RUNNING


def test_logged_values_are_counted() -> None:
    state = fold([started(), *[MetricLogged(site="site-1", key="loss", value=0.5, round=0, step=n) for n in range(3)]])
    assert state.logged == 3


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.FAILED])
def test_a_finished_run_has_its_outcome(status: RunStatus) -> None:
    state = fold([started(), finished(status, "because")])
    assert (state.status, state.reason) == (status, "because")
    assert state.status.is_finished


@pytest.mark.parametrize("status", [RunStatus.SUBMITTED, RunStatus.RUNNING, RunStatus.PAUSED])
def test_other_states_are_not_the_end(status: RunStatus) -> None:
    assert not status.is_finished
