"""Sites that are slow, die, come back or misbehave: nobody waits for ever, nothing counts twice, and it is told why."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fltui.client.session import Session
from fltui.exchange.layout import PROTOCOL, ExchangeFolder
from fltui.exchange.manifest import Status
from fltui.exchange.publish import open_exchange, open_site, put_document
from fltui.exchange.silence import SILENCE
from fltui.model import FLModel
from fltui.run import control
from fltui.run.events import (
    ResultAccepted,
    ResultDiscarded,
    ResultRejected,
    RoundFinished,
    RoundStarted,
    RunFinished,
    SiteJoined,
    SiteLost,
    TaskPublished,
)
from fltui.server.remote import RemoteSites
from fltui.server.roster import SCRIPT_ENDED, Roster
from tests.faults.clockwork import current
from tests.faults.outages.shared_run import RUN, SITES, Script, Shared, answer, train
from tests.jobs import GOOD, HELLO, events_until, fltui, processes_of, started, write_job

SILENT = f"not heard of for {SILENCE:g} s"


def slow(*seconds: float) -> Script:
    """A script whose trainings last so long, one after the other; later ones last as long as anybody's."""

    def run(shared: Shared, site: str, session: Session) -> None:
        for many in seconds:
            if session.is_running():
                train(shared, site, session, many)
        answer(shared, site, session)

    return run


def ended(run: Shared) -> RunFinished:
    """How a run ended."""
    assert run.end is not None
    return run.end


def failed(run: Shared, reason: str) -> None:
    """It has failed with this sentence, and every script has heard of it and ended."""
    assert (ended(run).state, ended(run).reason) == ("FINISHED:FAILED", reason)
    assert run.log.splitlines()[-1].endswith(f": {reason}")


def weights(run: Shared) -> list[list[str]]:
    """Who counted, by round."""
    return [sorted(event.weights) for event in run.of(RoundFinished)]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The run that nothing happens to."""
    return Shared(tmp_path_factory.mktemp("calm")).play()


# Deadlines.


def test_too_few_answers_at_the_deadline_fail_the_run_and_name_who_is_missing(tmp_path: Path) -> None:
    run = Shared(tmp_path, arguments={"round_timeout": 10}, scripts={"b": slow(100)}).play()
    failed(run, "round 0: 1 of 2 sites answered, 2 needed; b: no answer within 10 s")
    assert run.sessions["b"].exit_code == 1
    assert run.said["b"][-1] == f"run {RUN} ended: FINISHED:FAILED: {ended(run).reason}"


def test_a_round_ends_at_its_deadline_and_a_later_answer_is_discarded(tmp_path: Path) -> None:
    arguments = {"round_timeout": 10, "min_clients": 1}
    run = Shared(tmp_path, arguments=arguments, scripts={"a": slow(1, 9), "b": slow(14)}).play()
    assert ended(run).state == "FINISHED:COMPLETED"
    assert weights(run) == [["a"], ["a", "b"]]
    task = run.of(TaskPublished)[0].task_id
    assert [(event.site, event.round, event.reason) for event in run.of(ResultRejected)] == [
        ("b", 0, "no answer within 10 s")
    ]
    assert [(event.site, event.round, event.task_id) for event in run.of(ResultDiscarded)] == [("b", 0, task)]
    assert f"WARN round 0: result of b came after the round had ended and does not count ({task})" in run.log
    assert [(event.site, event.round) for event in run.of(ResultAccepted)] == [("a", 0), ("b", 1), ("a", 1)]
    assert run.trained == {"a": [0, 1], "b": [0, 1]}


@pytest.mark.parametrize(
    ("grace", "seconds", "who"),
    [(0, 2.5, ["a"]), (2, 2.5, ["a"]), (6, 2.5, ["a", "b"]), (None, 90, ["a", "b"])],
)
def test_enough_answers_end_the_round_after_a_grace(
    tmp_path: Path, grace: float | None, seconds: float, who: list[str]
) -> None:
    arguments = {"min_clients": 1, "wait_time_after_min_received": grace}
    run = Shared(tmp_path, arguments=arguments, scripts={"a": slow(0.1, 10), "b": slow(seconds)}).play()
    assert ended(run).state == "FINISHED:COMPLETED"
    assert weights(run)[0] == who
    first = run.of(RoundFinished)[0]
    if who == ["a"]:
        assert first.seconds - first.first_result == pytest.approx(grace, abs=0.6)
        told = f"no answer within {grace} s after 1 had answered"
        assert (run.of(ResultRejected)[0].site, run.of(ResultRejected)[0].reason) == ("b", told)
        assert (run.of(ResultDiscarded)[0].site, run.of(ResultDiscarded)[0].round) == ("b", 0)
    else:
        assert [event for event in run.of(ResultRejected) if event.round == 0] == []


def test_the_grace_begins_with_the_last_answer_that_is_needed(tmp_path: Path) -> None:
    run = Shared(tmp_path, arguments={"wait_time_after_min_received": 0}, scripts={"b": slow(50)}).play()
    assert weights(run) == [["a", "b"], ["a", "b"]]


def test_who_answers_after_the_end_of_the_run_ends_well(tmp_path: Path) -> None:
    arguments = {"round_timeout": 5, "min_clients": 1}
    run = Shared(tmp_path, arguments=arguments, scripts={"b": slow(200)}).play()
    assert ended(run).state == "FINISHED:COMPLETED"
    assert (weights(run), run.errors, run.sessions["b"].exit_code) == ([["a"], ["a"]], {}, 0)
    assert (run.exchange / "b" / "results" / f"{run.of(TaskPublished)[0].task_id}.json").exists()
    assert run.events[-1] == ended(run)


# Deaths.


def killed(run: Shared, back: float | None, *sites: str) -> Callable[[str, int], None]:
    """Kill sites while they train for round 0, and start them again after some seconds."""
    left = set(sites)

    def kill(site: str, number: int) -> None:
        if number == 0 and site in left:
            left.remove(site)
            run.later(0.05, lambda: run.kill(site))
            if back is not None:
                run.later(back, lambda: run.start(site))

    return kill


@pytest.mark.parametrize("back", [1, SILENCE + 10, 300])
def test_a_site_that_dies_answers_the_same_task_when_it_is_back(tmp_path: Path, calm: Shared, back: float) -> None:
    run = Shared(tmp_path)
    run.on_training = killed(run, back, "b")
    run.play()
    assert ended(run).state == "FINISHED:COMPLETED"
    assert run.model == calm.model
    assert run.trained == {"a": [0, 1], "b": [0, 0, 1]}
    assert [event.site for event in run.of(TaskPublished)] == ["a", "b", "a", "b"]
    assert len(run.of(ResultAccepted)) == 4
    gone = back > SILENCE
    assert [(event.site, event.reason) for event in run.of(SiteLost)] == [("b", SILENT)] * gone
    assert [event.site for event in run.of(SiteJoined)] == ["a", "b"] + ["b"] * gone


def test_both_sites_may_die_and_come_back(tmp_path: Path, calm: Shared) -> None:
    run = Shared(tmp_path)
    run.on_training = killed(run, 50, "a", "b")
    run.play()
    assert (ended(run).state, run.model == calm.model) == ("FINISHED:COMPLETED", True)


@pytest.mark.parametrize(
    ("sites", "reason"),
    [
        (("b",), f"round 0: 1 of 2 sites answered, 2 needed; b: {SILENT}"),
        (("a", "b"), f"round 0: 0 of 2 sites answered, 2 needed; a: {SILENT}; b: {SILENT}"),
    ],
)
def test_sites_that_do_not_come_back_fail_the_run_after_its_patience(
    tmp_path: Path, sites: tuple[str, ...], reason: str
) -> None:
    run = Shared(tmp_path, wait=120)
    run.on_training = killed(run, None, *sites)
    run.play()
    failed(run, reason)
    assert SILENCE + 120 < ended(run).seconds < SILENCE + 125


def test_nobody_waits_for_a_dead_site_that_is_not_needed(tmp_path: Path) -> None:
    run = Shared(tmp_path, arguments={"min_clients": 1})
    run.on_training = killed(run, None, "b")
    run.play()
    assert (ended(run).state, weights(run)) == ("FINISHED:COMPLETED", [["a"], ["a"]])
    assert SILENCE < ended(run).seconds < SILENCE + 5


# Scripts that do not do what they should.


def receives_and_returns(_: Shared, site: str, session: Session) -> None:
    """A script that exits early."""
    session.receive()


def never_receives(run: Shared, site: str, session: Session) -> None:
    """A script that asks whether to go on, and does nothing."""
    while session.is_running():
        current(run.clock).sleep(5)


def sends_twice(run: Shared, site: str, session: Session) -> None:
    """A script that answers a task again."""
    model = session.receive()
    assert model is not None
    for add in (0, 7):
        session.send(FLModel(params={"numpy_key": model.params["numpy_key"] + add}), clear_cache=bool(add))  # type: ignore[index]
    answer(run, site, session)


def sends_after_its_answer(run: Shared, site: str, session: Session) -> None:
    """A script that sends without having received."""
    train(run, site, session)
    session.send(FLModel(params={}))


def test_a_script_that_leaves_before_it_answers_fails_the_round(tmp_path: Path) -> None:
    run = Shared(tmp_path, scripts={"b": receives_and_returns}).play()
    failed(run, f"round 0: 1 of 2 sites answered, 2 needed; b: {SCRIPT_ENDED}")


def test_a_script_that_never_receives_is_not_waited_for_beyond_the_deadline(tmp_path: Path) -> None:
    run = Shared(tmp_path, arguments={"round_timeout": 30}, scripts={"b": never_receives}).play()
    failed(run, "round 0: 1 of 2 sites answered, 2 needed; b: no answer within 30 s")
    assert run.errors == {}


def test_a_script_that_sends_twice_counts_once(tmp_path: Path) -> None:
    run = Shared(tmp_path, scripts={"b": sends_twice}).play()
    assert ended(run).state == "FINISHED:COMPLETED"
    assert sorted((event.site, event.round) for event in run.of(ResultAccepted)) == [
        (site, number) for site in SITES for number in range(2)
    ]


def test_a_script_that_sends_without_a_task_is_lost_with_its_reason(tmp_path: Path) -> None:
    run = Shared(tmp_path, scripts={"b": sends_after_its_answer}, wait=20).play()
    told = "send() answers a task, but none was received: call receive() first"
    assert str(run.errors["b"]) == told
    assert ended(run).reason in (
        f"round 1 cannot start: 1 of 2 sites needed are there; b: {told}",
        f"round 1: 0 of 2 sites answered, 2 needed; b: {told}",  # where the server began it before that
    )


# Liveness.


def test_life_is_a_change_of_the_status_and_no_time_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [1000.0], list[str]()
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    exchange = open_exchange(tmp_path / "exchange")
    site = exchange.site("a")
    open_site(site, "site")
    roster = Roster(lambda name: told.append("joined"), lambda name, why: told.append(why), lambda: None)
    fleet = RemoteSites(ExchangeFolder(exchange.root), RUN, ["a"], wanted=1, at_least=1, wait=0)
    fleet._roster = roster

    def look(seconds: float) -> list[str]:
        told.clear()
        for _ in range(int(seconds)):
            now[0] += 1
            fleet.look()
        return list(told)

    def say(counter: int, session: str = "s", modified: float = 2.0**32) -> None:
        put_document(Status(PROTOCOL, "a", "training", counter, session), site.status, site.staging("site"))
        os.utime(site.status, (modified, modified))

    assert look(1) == []
    say(1)
    assert look(2) == ["joined"]
    lost = []
    for day in range(1, int(SILENCE) + 2):  # its time stamp goes on, and nothing else does
        os.utime(site.status, (86400 * day, 86400 * day))
        lost += look(1)
    assert lost == [SILENT]
    say(2, modified=0)  # a clock that stands in 1970 and a status that changes
    assert look(2) == ["joined"]
    say(1, "t")  # another script, whose counter begins anew
    assert look(SILENCE - 1) == []
    say(2**53 - 1, "t")  # a counter that jumps
    assert look(SILENCE - 1) == []
    now[0] += 1000  # who does not listen hears nobody, and that is not the sites' doing
    assert look(2) == []
    monkeypatch.setattr("time.time", lambda: 0.0)  # this computer's own clock does not matter either
    assert look(5) == [SILENT]


# Whole commands.


@pytest.mark.skipif(sys.platform != "linux", reason="process ids of Linux")
@pytest.mark.parametrize("sites", [("site-1",), ("site-0", "site-1")])
def test_the_hello_job_ends_with_a_sentence_when_its_sites_are_killed(tmp_path: Path, sites: tuple[str, ...]) -> None:
    with started(tmp_path, "run", HELLO, "--rounds", "1000000", "--json") as run:
        events_until(run, "round_finished")
        for site in sites:
            status = (tmp_path / "exchange" / site / "status.json").read_bytes()
            os.kill(msgspec.json.decode(status, type=Status).pid, signal.SIGKILL)
        end = events_until(run, "run_finished")[-1]
        assert run.wait() == 1
        assert run.stderr is not None
        (line,) = run.stderr.read().splitlines()
    assert line == f"error: run {end['run']} failed: {end['reason']}"
    told = "its script was killed by SIGKILL"
    assert end["reason"].startswith("round ")
    assert any(f"{site}: {told}" in end["reason"] for site in sites)
    assert "2 sites answered, 2 needed; " in end["reason"] or " sites needed are there; " in end["reason"]
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("command", ["run", "server"])
def test_more_answers_than_there_are_sites_are_bad_input(tmp_path: Path, command: str) -> None:
    job = write_job(tmp_path / "job", {"a": GOOD, "b": GOOD}, "min_clients=3")
    done = fltui(tmp_path, command, job)
    told = "FedAvg: min_clients is 3, expected 1 to num_clients, which is 2"
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].endswith(told), done.err


# Noise.


def test_a_site_that_touches_its_files_without_end_keeps_nobody_from_the_run(tmp_path: Path) -> None:
    run = Shared(tmp_path)

    def touch() -> None:
        """An event of a result of ``b``, before the engine has looked at the last one."""
        if run.begun and run.engine is not None:
            run.engine._arrivals._arrived({run.exchange / "b" / "results"})
        if run.clock.now < begun + 5:
            run.later(0.005, touch)

    begun = run.clock.now
    run.plans = {
        0.0: touch,
        4.0: lambda: seen.extend(run.paused),
        10.0: lambda: control.ask(run.folder, control.Resume()),
    }
    run.on_training = lambda *training: (
        control.ask(run.folder, control.Pause("lunch")) if training == ("b", 0) else None
    )
    seen: list[str] = []
    run.play()
    assert ended(run).state == "FINISHED:COMPLETED"
    assert seen == ["lunch"]
    assert [event.round for event in run.of(RoundStarted) if event.monotonic < begun + 10] == [0]
