from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.errors import BadInputError
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelChosen,
    RoundFinished,
    RoundNoted,
    RunPaused,
    RunResumed,
    RunStatus,
    SiteJoined,
    SiteLost,
    WorkflowFinished,
)
from fltui.run.options import RunOptions
from fltui.run.state import RoundState, RunState, apply, fold
from tests.run.journals import accepted, asked, finished, rejected, round_finished, round_started, started, whole_run


def closed(number: int = 0) -> RoundFinished:
    """The end of a round, without the weights of results."""
    return round_finished(number, sites=())


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
    state = fold([started(), round_started(0), closed(0), round_started(1), closed(1), round_started(2)])
    assert state.metrics == {"accuracy": 0.6}
    assert state.rounds_done == 2


def test_a_run_pauses_and_goes_on() -> None:
    paused: list[AnyEvent] = [started(), RunPaused(reason="lunch")]
    assert (fold(paused).status, fold(paused).reason) == (RunStatus.PAUSED, "lunch")
    assert fold([*paused, RunResumed()]).status is RunStatus.RUNNING


def test_a_round_that_begins_again_counts_only_what_comes_then() -> None:
    again = msgspec.structs.replace(round_started(), attempt=2)
    interrupted: list[AnyEvent] = [started(), round_started(), accepted("site-1"), RunResumed(restarted=True), again]
    state = fold(interrupted)
    assert (state.site("site-1").results, state.rounds[0].accepted, state.rounds[0].started.attempt) == (0, {}, 2)
    assert fold([*interrupted, accepted("site-1")]).site("site-1").results == 1


def test_the_next_round_is_the_first_that_is_not_finished() -> None:
    assert fold([started()]).next_round == 0
    assert fold([started(), round_started(0), closed(0), round_started(1)]).next_round == 1


def test_a_run_that_failed_and_is_resumed_runs() -> None:
    state = fold([started(), finished(RunStatus.FAILED, "no quorum"), RunResumed(restarted=True)])
    assert (state.status, state.reason, state.final_model) == (RunStatus.RUNNING, "", {})


def test_nobody_is_there_when_another_server_takes_over_but_who_was_dropped_stays_away() -> None:
    lost = [SiteLost(site="site-1", reason="exit code 1"), SiteLost(site="site-2", reason="dropped: x", dropped=True)]
    sites = fold([started(), *lost, RunResumed(restarted=True)]).sites
    assert (sites["site-1"].state, sites["site-1"].reason) == ("expected", "")
    assert (sites["site-2"].state, sites["site-2"].reason, sites["site-2"].dropped) == ("lost", "dropped: x", True)


def at(event: AnyEvent, monotonic: float, time: float) -> AnyEvent:
    """An event at a moment by both clocks."""
    return msgspec.structs.replace(event, monotonic=monotonic, time=time)


@pytest.mark.parametrize("boot", [0.0, 5.0, 103.0, 1e9])
def test_seconds_go_on_by_the_clock_of_the_server_that_takes_over(boot: float) -> None:
    events: list[AnyEvent] = [
        at(started(), 100.0, 1000.0),
        at(round_started(), 101.0, 1001.0),
        at(closed(), 103.0, 1003.0),
        at(RunResumed(restarted=True), boot, 5000.0),
        at(round_started(1), boot + 1, 5001.0),
        at(closed(1), boot + 3, 5003.0),
        at(RunResumed(restarted=True), boot / 2, 9000.0),
        at(round_started(2), boot / 2 + 1, 9001.0),
    ]
    states = [fold(events[: count + 1]) for count in range(len(events))]
    assert [state.seconds for state in states] == [0, 1, 3, 3, 4, 6, 6, 7]
    assert [state.since for state in states][2:] == [1000, 4997, 4997, 4997, 8994, 8994]
    assert {state.started for state in states} == {1000}


def test_a_pause_counts_as_time_of_the_run() -> None:
    events = [at(started(), 100.0, 1000.0), at(RunPaused(), 101.0, 1001.0), at(RunResumed(), 131.0, 1031.0)]
    assert (fold(events).seconds, fold(events).since) == (31.0, 1000.0)


def test_a_run_knows_how_it_is_run() -> None:
    options = RunOptions(threads=2, keep_results=True, wait=5.0)
    state = fold([msgspec.structs.replace(started(), mode="server", options=options)])
    assert (state.mode, state.options) == ("server", options)


def test_logged_values_are_counted() -> None:
    state = fold([started(), *[MetricLogged(site="site-1", key="loss", value=0.5, round=0, step=n) for n in range(3)]])
    assert (state.logged, state.sites["site-1"].logged) == (3, 3)


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.FAILED])
def test_a_finished_run_has_its_outcome(status: RunStatus) -> None:
    state = fold([started(), finished(status, "because")])
    assert (state.status, state.reason) == (status, "because")
    assert state.status.is_finished


@pytest.mark.parametrize("status", [RunStatus.SUBMITTED, RunStatus.RUNNING, RunStatus.PAUSED])
def test_other_states_are_not_the_end(status: RunStatus) -> None:
    assert not status.is_finished


class _Untouched(dict[int, RoundState]):
    """Rounds that must not be looked through."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError

    values = items = keys = __reversed__ = __iter__  # type: ignore[assignment]


def test_asking_how_far_a_run_is_looks_through_no_rounds() -> None:
    state = fold([started(), *[event for n in range(3) for event in (round_started(n), closed(n))]])
    state.rounds = _Untouched(state.rounds)
    assert (state.rounds_done, state.next_round, state.metrics) == (3, 3, {"accuracy": 0.7})


def _counted(state: RunState) -> tuple[int, int, dict[str, float]]:
    """What a look through all rounds tells."""
    done = {number: found.finished for number, found in state.rounds.items() if found.finished}
    last = list(done.values())[-1].metrics if done else {}
    return len(done), max(done) + 1 if done else state.start_round, last


@given(st.lists(st.tuples(st.sampled_from(["start", "again", "finish", "reject"]), st.integers(0, 4)), max_size=30))
def test_how_far_a_run_is_does_not_depend_on_the_order_of_its_rounds(steps: list[tuple[str, int]]) -> None:
    state = fold([msgspec.structs.replace(started(), start_round=2)])
    for count, (step, number) in enumerate(steps):
        before = state.rounds.get(number)
        if step == "start" or (step == "again" and before):
            attempt = before.started.attempt + 1 if before and step == "again" else 1
            state = apply(state, msgspec.structs.replace(round_started(number), attempt=attempt))
        elif before:
            metrics = {"accuracy": float(count)}
            finish = msgspec.structs.replace(closed(number), metrics=metrics)
            state = fold([accepted("site-1", number), rejected("site-1", number=number)], state)
            state = apply(state, finish) if step == "finish" else state
        assert (state.rounds_done, state.next_round, state.metrics) == _counted(state)


@pytest.mark.parametrize(
    "before", [[], [accepted("site-1")], [accepted("site-1"), accepted("site-2"), rejected("site-2")]]
)
def test_a_weight_of_a_site_without_an_accepted_result_is_refused(before: list[AnyEvent]) -> None:
    with pytest.raises(
        BadInputError, match=r"round 0 has a weight of site 'site-[12]', of which no result was accepted"
    ):
        fold([started(), round_started(), *before, round_finished()])


def test_a_result_that_a_finished_round_has_counted_stays_counted() -> None:
    counted = round_finished(sites=["site-1"])
    state = fold([started(), round_started(), accepted("site-1"), counted, rejected("site-1")])
    assert (list(state.rounds[0].accepted), state.site("site-1").results) == (["site-1"], 1)


@pytest.mark.parametrize("demanded", [False, True])
def test_a_run_knows_what_was_demanded(demanded: bool) -> None:
    assert fold([msgspec.structs.replace(started(), require_signatures=demanded)]).require_signatures is demanded


def test_a_result_counts_once_however_often_it_is_told() -> None:
    state = fold([started(), round_started(), asked("site-1"), accepted("site-1"), accepted("site-1")])
    assert (state.sites["site-1"].results, len(state.rounds[0].accepted)) == (1, 1)


def test_the_best_model_is_the_one_that_was_chosen_last() -> None:
    events: list[AnyEvent] = [started(), ModelChosen(round=0, metric="auc", value=0.5)]
    assert fold([started()]).best is None
    best = fold([*events, ModelChosen(round=3, metric="auc", value=0.75)]).best
    assert best is not None
    assert (best.round, best.metric, best.value) == (3, "auc", 0.75)


def test_workflows_come_one_after_the_other() -> None:
    events: list[AnyEvent] = [
        msgspec.structs.replace(started(), start_round=4),
        WorkflowFinished(workflow="FedAvg", round=6),
        WorkflowFinished(workflow="Cyclic", round=9, reason="enough"),
    ]
    states = [fold(events[: count + 1]) for count in range(3)]
    assert [(state.stages, state.stage_start) for state in states] == [(0, 4), (1, 6), (2, 9)]
    assert states[-1].status is RunStatus.RUNNING


def test_a_note_changes_nothing() -> None:
    before = fold([started(), round_started()])
    noted = fold([started(), round_started(), RoundNoted(round=0, note="site-1 sent no metric 'auc'")])
    noted.events -= 1
    assert noted == before


def test_a_site_knows_when_it_counted_last() -> None:
    rounds: list[AnyEvent] = [started()]
    for number, sites in enumerate([["site-1", "site-2"], ["site-1"], []]):
        rounds += [round_started(number), *[accepted(site, number) for site in sites]]
        rounds += [round_finished(number, sites=sites)]
    state = fold(rounds)
    assert {name: site.counted for name, site in state.sites.items()} == {"site-1": 1, "site-2": 0}
    state.forget(3)
    assert state.sites["site-1"].counted == 1
    again = fold([started(), round_started(), accepted("site-1")])
    assert again.sites["site-1"].counted is None  # not before its round is finished


def test_a_result_that_is_judged_to_weigh_nothing_counts_as_an_answer() -> None:
    judged = msgspec.structs.replace(round_finished(sites=["site-1"]), weights={"site-1": 0.0}, judged=True)
    state = fold([started(), round_started(), accepted("site-1"), judged])
    assert (state.sites["site-1"].counted, state.rounds_done) == (0, 1)
