"""``fltui pause``, ``resume``, ``drop`` and ``abort`` against live runs of other processes."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fltui.cli import steer
from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.manifest import End
from fltui.run import control
from fltui.run.events import MetricLogged, RunPaused, RunStatus
from fltui.run.folder import RunFolder, create_run, find_run
from fltui.run.journal import Journal
from fltui.run.state import RunState
from tests.jobs import Done, Gate, drifting, events_until, fltui, processes_of, script, started, write_job
from tests.run import journals

ENDLESS = script("import threading; threading.Event().wait()")


def last(folder: Path) -> RunFolder:
    """The newest run."""
    return find_run("last", folder / "runs")


def state_of(folder: Path) -> RunState:
    """Where the newest run stands."""
    return last(folder).state()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """What happened."""
    return [event["event"] for event in events]


def undisturbed(folder: Path, scripts: dict[str, str], arguments: str) -> bytes:
    """The final model of a job that nobody disturbs."""
    done = fltui(folder, "run", write_job(folder / "undisturbed", scripts, arguments), "--json")
    assert done.code == 0, done.err
    return Path(done.last["final_model"]["numpy_key"]).read_bytes()


def end_of(folder: Path, site: str) -> End:
    """How the newest run ended for a site."""
    (path,) = (folder / "exchange" / site / "tasks").glob(f"{last(folder).run}.r*.end.a*.json")
    return msgspec.json.decode(path.read_bytes(), type=End)


def test_a_paused_run_begins_no_round_and_gives_the_same_bits(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, gate.line(0)), "b": drifting(0.7)}, "num_rounds=3")
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "result_accepted")
        assert "not paused" in fltui(tmp_path, "resume", "last").err
        done = fltui(tmp_path, "pause", "last", "--reason", "lunch", "--json")
        assert (done.code, done.events[0]["state"], done.events[0]["reason"]) == (0, "PAUSED", "lunch")
        gate.open()
        assert "round_started" not in kinds(events_until(process, "round_finished"))
        assert fltui(tmp_path, "pause", "last", "--reason", "again").code == 0
        assert state_of(tmp_path).reason == "lunch"
        assert fltui(tmp_path, "resume", "last").out == f"run {last(tmp_path).run} is resumed\n"
        events = events_until(process, "run_finished")
        assert process.wait() == 0
    assert kinds(events).index("run_resumed") < kinds(events).index("round_started")
    assert kinds(events).count("run_resumed") == 1
    assert Path(events[-1]["final_model"]["numpy_key"]).read_bytes() == undisturbed(
        tmp_path, {"a": drifting(0.3), "b": drifting(0.7)}, "num_rounds=3"
    )


def test_a_paused_run_can_be_aborted(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, gate.line(0))})
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "task_published")
        assert fltui(tmp_path, "pause", "last").code == 0
        gate.open()
        events_until(process, "round_finished")
        assert fltui(tmp_path, "abort", "last").code == 0
        assert process.wait() == 3
    assert state_of(tmp_path).rounds_done == 1
    assert processes_of(tmp_path) == []


def test_a_server_that_waits_for_its_sites_can_be_paused(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", {"a": drifting(0.3)})
    serve = ("server", job, "--json", "--wait", "30", "--durability", "process")
    with started(tmp_path, *serve) as process:
        events_until(process, "run_started")
        assert fltui(tmp_path, "pause", "last").code == 0
        with started(tmp_path, "client", tmp_path / "job" / "a.py", "--site", "a"):
            events_until(process, "model_saved")
            assert fltui(tmp_path, "resume", "last").code == 0
            events = events_until(process, "run_finished")
    assert kinds(events)[0] == "run_resumed"
    assert events[-1]["state"] == "FINISHED:COMPLETED"


def test_requests_are_heard_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, gate.line(0))})
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "task_published")
        requests: list[control.AnyRequest] = [control.Pause("one"), control.Resume(), control.Pause("two")]
        for request in [*requests, control.Resume()]:
            control.ask(last(tmp_path), request)
        events = events_until(process, "run_paused") + events_until(process, "run_resumed")
        events += events_until(process, "run_paused") + events_until(process, "run_resumed")
        gate.open()
        assert process.wait() == 0
    assert [event.get("reason") for event in events] == ["one", None, "two", None]


def test_a_round_goes_on_without_a_dropped_site(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    endless = script("flare.log('pid', __import__('os').getpid())", "__import__('threading').Event().wait()")
    scripts = {"a": drifting(0.3, gate.line(1)), "b": drifting(0.7), "c": endless}
    job = write_job(tmp_path / "job", scripts, "num_rounds=2, min_clients=2")
    with started(tmp_path, "run", job, "--json") as process:
        gone = os.pidfd_open(int(events_until(process, "metric_logged")[-1]["value"]))
        done = fltui(tmp_path, "drop", "last", "c", "--reason", "wrong data", "--json")
        assert (done.code, done.events[0]["run"]) == (0, last(tmp_path).run)
        assert events_until(process, "site_lost")[-1]["dropped"] is True
        assert select.select([gone], [], [], 10)[0], "the script of the dropped site lives on"
        os.close(gone)
        assert fltui(tmp_path, "drop", "last", "c").code == 0
        gate.open()
        events = events_until(process, "run_finished")
        assert process.wait() == 0
    assert [list(event["weights"]) for event in events if event["event"] == "round_finished"] == [["a", "b"]] * 2
    site = state_of(tmp_path).sites["c"]
    assert (site.state, site.reason, site.dropped) == ("lost", "dropped: wrong data", True)
    assert end_of(tmp_path, "c").reason == "dropped: wrong data"
    assert end_of(tmp_path, "a").state == "FINISHED:COMPLETED"
    assert processes_of(tmp_path) == []


def test_a_dropped_site_that_is_needed_fails_the_run(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", {"a": drifting(0.3), "b": ENDLESS})
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "result_accepted")
        assert fltui(tmp_path, "drop", "last", "b", "--reason", "wrong data").code == 0
        end = events_until(process, "run_finished")[-1]
        assert process.wait() == 1
    assert end["reason"] == "round 0: 1 of 2 sites answered, 2 needed; b: dropped: wrong data"


def test_nobody_waits_for_the_return_of_a_dropped_site(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, gate.line(0)), "b": drifting(0.7)})
    with (
        started(tmp_path, "server", job, "--json", "--wait", "1000", "--durability", "process") as server,
        started(tmp_path, "client", tmp_path / "job" / "a.py", "--site", "a"),
        started(tmp_path, "client", tmp_path / "job" / "b.py", "--site", "b"),
    ):
        events_until(server, "result_accepted")
        assert fltui(tmp_path, "drop", "last", "b").code == 0
        gate.open()
        end = events_until(server, "run_finished")[-1]
    assert end["reason"] == "round 1 cannot start: 1 of 2 sites needed are there; b: dropped: asked for"
    assert end["rounds"] == 1


def test_a_client_whose_site_is_dropped_ends(tmp_path: Path) -> None:
    gates = Gate(tmp_path / "gate-a"), Gate(tmp_path / "gate-b")
    scripts = {"a": drifting(0.3, gates[0].line(1)), "b": drifting(0.7, gates[1].line(0))}
    job = write_job(tmp_path / "job", scripts, "min_clients=1")
    with (
        started(tmp_path, "server", job, "--json", "--wait", "30", "--durability", "process") as server,
        started(tmp_path, "client", tmp_path / "job" / "a.py", "--site", "a") as a,
        started(tmp_path, "client", tmp_path / "job" / "b.py", "--site", "b") as b,
    ):
        events_until(server, "result_accepted")
        assert fltui(tmp_path, "drop", "last", "b", "--reason", "wrong data").code == 0
        gates[1].open()
        assert b.wait() == 3
        assert b.stderr is not None
        assert "ended: FINISHED:ABORTED: dropped: wrong data" in b.stderr.read()
        gates[0].open()
        end = events_until(server, "run_finished")[-1]
        assert (end["state"], server.wait(), a.wait()) == ("FINISHED:COMPLETED", 0, 0)
    assert state_of(tmp_path).sites["b"].results == 0


@pytest.mark.parametrize(
    ("site", "told"), [("nobody", "has no site 'nobody'; its sites: a"), ("../a", "site name '../a' cannot be used")]
)
def test_a_site_that_is_none_cannot_be_dropped(tmp_path: Path, site: str, told: str) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        done = fltui(tmp_path, "drop", "last", site)
    assert (done.code, told in done.err) == (2, True), done.err


def test_a_request_that_cannot_be_carried_out_is_in_the_journal(tmp_path: Path) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        control.ask(last(tmp_path), control.Drop("nobody"))
        refused = events_until(process, "request_refused")[-1]
    assert (refused["request"], refused["reason"]) == ("drop", "there is no site 'nobody', only a")
    assert "WARN request to drop was not carried out: " in (last(tmp_path).logs / "server.log").read_text()


@pytest.mark.parametrize("command", ["pause", "abort"])
def test_a_run_that_is_over_hears_nothing(tmp_path: Path, command: str) -> None:
    done: Done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": drifting(0.3)}), "--json")
    assert done.code == 0
    asked = fltui(tmp_path, command, "last")
    assert (asked.code, "has ended already" in asked.err) == (2, True)


def test_a_reason_has_its_bounds(tmp_path: Path) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        done = fltui(tmp_path, "pause", "last", "--reason", "x" * 401)
    assert (done.code, "the reason has 401 characters; 400 are the most" in done.err) == (2, True)


class Busy:
    """A watcher of a run that never rests: it wakes whoever waits, at once and again and again."""

    def __init__(self, arrived: Callable[[str], None], root: Path, *, writes: bool) -> None:
        for _ in range(1000):
            arrived("journal.jsonl")

    def add(self, folder: Path) -> None:
        """It watches everything."""

    def close(self) -> None:
        """It has no threads."""


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RunFolder, Journal]]:
    """A run that has begun and its journal; a request waits for it with a `Busy` watcher."""
    monkeypatch.setattr(steer, "Watcher", Busy)
    folder = create_run(tmp_path, "busy")
    journal = Journal(folder.journal)
    journal.append(journals.started())
    yield folder, journal
    journal.close()


def test_patience_is_a_time_and_not_a_number_of_looks(busy: tuple[RunFolder, Journal]) -> None:
    folder, journal = busy

    def heard(state: RunState) -> bool:
        with folder.journal.open("r+b") as file:
            file.write(b"not to be read again")
        late = state.logged == 500
        journal.append(RunPaused() if late else MetricLogged(site="site-1", key="loss", value=0.5, round=0))
        return state.status is RunStatus.PAUSED

    assert steer.ask_and_wait(folder, control.Pause(), heard).logged == 500


def test_patience_ends(busy: tuple[RunFolder, Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steer, "_PATIENCE", 0.05)
    with pytest.raises(RunFailedError, match=r"did not hear the request within 0\.05 s"):
        steer.ask_and_wait(busy[0], control.Pause(), lambda _: False)
    assert not list(busy[0].control.iterdir())


def test_a_request_without_room_on_the_disk_is_one_sentence(
    busy: tuple[RunFolder, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(control, "put_document", full)
    with pytest.raises(BadInputError, match=r"cannot be laid into .*control: No space left on device; Ctrl-C"):
        steer.ask_and_wait(busy[0], control.Pause(), lambda _: False)


def test_a_run_that_waits_for_its_exchange_is_steered_by_what_people_wish_afterwards(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", {"a": ENDLESS})
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "task_published")
        (tmp_path / "exchange").rename(tmp_path / "away")
        assert events_until(process, "run_paused")[-1]["outage"] is True
        done = fltui(tmp_path, "resume", "last")
        assert (done.code, "cannot be resumed now: the exchange folder" in done.err) == (2, True), done.err
        assert fltui(tmp_path, "pause", "last").code == 0
        assert state_of(tmp_path).is_held
        done = fltui(tmp_path, "resume", "last")
        assert (done.code, "is resumed when it can: the exchange folder" in done.out) == (0, True), done.err
        assert not state_of(tmp_path).is_held
        assert fltui(tmp_path, "abort", "last").code == 0
        end = events_until(process, "run_finished")[-1]
        assert (process.wait(), end["untold"]) == (3, ["a"])
    assert processes_of(tmp_path) == []
