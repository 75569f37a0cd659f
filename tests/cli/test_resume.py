"""``fltui resume``: runs that failed, were aborted or lost their server end with the bits of one undisturbed."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from fltui.run.events import ResultAccepted, RoundFinished, RunPaused, TaskPublished
from fltui.run.folder import RunFolder, find_run
from fltui.run.journal import read_journal
from tests.cli.shell import Shell
from tests.jobs import Done, Gate, command, drifting, environment, events_until, fltui, processes_of, started, write_job
from tests.run.journals import started as started_event
from tests.tracking.runs import write_run

LOGS = "print('round', round); flare.log('round', round, step=round)"
FAILS = "if round == 2 and not __import__('os').path.exists('mended'): raise ValueError('boom')"
CALM = {"a": drifting(0.3, LOGS), "b": drifting(0.7)}
ROUNDS = "num_rounds=4"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = fltui(folder, "run", write_job(folder / "job", CALM, ROUNDS), "--json")
    assert done.code == 0, done.err
    return done


def last(folder: Path) -> RunFolder:
    """The newest run."""
    return find_run("last", folder / "runs")


def check(folder: Path, undisturbed: Done) -> None:
    """The newest run has completed as if nothing had happened."""
    run, model = last(folder), Path(undisturbed.last["final_model"]["numpy_key"])
    events = list(read_journal(run.journal))
    assert [event.seq for event in events] == list(range(len(events)))
    assert (run.models / "final" / "numpy_key.npy").read_bytes() == model.read_bytes()
    assert run.metrics.read_text() == (Path(undisturbed.last["run_dir"]) / "metrics.csv").read_text()
    assert [event.round for event in events if isinstance(event, RoundFinished)] == [0, 1, 2, 3]
    tasks = Counter(event.task_id for event in events if isinstance(event, TaskPublished))
    assert set(tasks.values()) <= {1, 2}  # a task of either site; never published again
    state = run.state()
    assert {name: site.results for name, site in state.sites.items()} == {"a": 4, "b": 4}
    assert state.status == "FINISHED:COMPLETED"
    assert json.loads(run.summary.read_text())["state"] == "FINISHED:COMPLETED"
    assert list(run.store.iterdir()) == []
    logged = (folder / "exchange" / "a" / "logs" / f"{run.run}.metrics.jsonl").read_text().splitlines()
    assert state.logged == len(logged)
    rows = [json.loads(line) for line in fltui(folder, "runs", "--json").out.splitlines()]
    assert [(row["run"], row["state"], row["rounds"]) for row in rows] == [(run.run, "FINISHED:COMPLETED", 4)]
    assert processes_of(folder) == []


def attempts(folder: Path) -> dict[int, set[str]]:
    """Round to the attempts whose results were accepted."""
    found: dict[int, set[str]] = {}
    for event in read_journal(last(folder).journal):
        if isinstance(event, ResultAccepted):
            found.setdefault(event.round, set()).add(event.task_id.rpartition(".")[2])
    return found


def failed(folder: Path) -> RunFolder:
    """A run whose site ``b`` failed in round 2."""
    job = write_job(folder / "job", {"a": drifting(0.3, LOGS), "b": drifting(0.7, FAILS)}, ROUNDS)
    done = fltui(folder, "run", job)
    assert (done.code, "b: ValueError: boom" in done.err) == (1, True)
    return last(folder)


@pytest.mark.parametrize("how", ["what was missing is there", "the script is mended"])
def test_a_run_goes_on_after_a_script_failed(tmp_path: Path, undisturbed: Done, how: str) -> None:
    run = failed(tmp_path)
    if how == "the script is mended":
        (run.job / "app_b" / "custom" / "b.py").write_text(drifting(0.7))
    else:
        (tmp_path / "mended").touch()
    before = run.state().seconds
    done = fltui(tmp_path, "resume", "last", "--json")
    assert done.code == 0, done.err
    assert [event["event"] for event in done.events][:2] == ["run_resumed", "site_joined"]
    assert (done.events[0]["restarted"], done.events[0]["run"]) == (True, run.run)
    assert [event["attempt"] for event in done.of("round_started")] == [2, 1]
    assert done.last["seconds"] > before
    assert {event["task_id"][-4:] for event in done.of("task_published") if event["round"] == 2} == {".a02"}
    check(tmp_path, undisturbed)


def test_a_run_fails_again_where_nothing_is_mended(tmp_path: Path) -> None:
    failed(tmp_path)
    done = fltui(tmp_path, "resume", "last")
    assert (done.code, "b: ValueError: boom" in done.err) == (1, True)
    assert "run resumed by another server" in done.out
    assert "round 2 started again, attempt 2" in done.out


@pytest.mark.parametrize("torn", ["", '{"event":"run_paused","seq":', '{"event":"run_paused"}'])
def test_a_run_goes_on_after_the_simulator_was_killed(tmp_path: Path, undisturbed: Done, torn: str) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, LOGS, gate.line(1)), "b": drifting(0.7)}, ROUNDS)
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "round_finished")
        events_until(process, "result_accepted")  # of b in round 1, while a is at the gate
        process.kill()
    gate.remove()
    with last(tmp_path).journal.open("a") as file:
        file.write(torn)
    assert "(server gone)" in fltui(tmp_path, "runs").out
    done = fltui(tmp_path, "resume", "last")
    assert done.code == 0, done.err
    assert f"run {last(tmp_path).run} completed: 4 rounds" in done.out
    check(tmp_path, undisturbed)
    assert attempts(tmp_path) == {0: {"a01"}, 1: {"a01"}, 2: {"a01"}, 3: {"a01"}}


def test_a_run_goes_on_after_it_was_aborted(tmp_path: Path, undisturbed: Done) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, LOGS, gate.line(1)), "b": drifting(0.7)}, ROUNDS)
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "round_finished")
        events_until(process, "result_accepted")
        assert fltui(tmp_path, "abort", "last").code == 0
    gate.remove()
    assert fltui(tmp_path, "resume", "last").code == 0
    check(tmp_path, undisturbed)


def test_clients_go_on_after_their_server_was_killed(tmp_path: Path, undisturbed: Done) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, LOGS, gate.line(1)), "b": drifting(0.7)}, ROUNDS)
    clients = [("client", tmp_path / "job" / f"{site}.py", "--site", site) for site in ("a", "b")]
    with (
        started(tmp_path, *clients[0]) as a,
        started(tmp_path, *clients[1]) as b,
        started(tmp_path, "server", job, "--json", "--wait", "30", "--durability", "process") as server,
    ):
        events_until(server, "round_finished")
        events_until(server, "result_accepted")
        server.kill()
        server.wait()
        with started(tmp_path, "resume", "last", "--json") as resumed:
            events_until(resumed, "site_joined")
            gate.open()
            end = events_until(resumed, "run_finished")[-1]
            assert end["state"] == "FINISHED:COMPLETED", end["reason"]
            assert [process.wait() for process in (resumed, a, b)] == [0, 0, 0]
    check(tmp_path, undisturbed)
    assert attempts(tmp_path) == {0: {"a01"}, 1: {"a01"}, 2: {"a01"}, 3: {"a01"}}
    theirs = tmp_path / "exchange" / "a" / "logs" / f"{last(tmp_path).run}.log"
    assert (last(tmp_path).logs / "a.log").read_bytes() == theirs.read_bytes()


def test_clients_of_a_failed_run_are_started_again(tmp_path: Path, undisturbed: Done) -> None:
    job = write_job(tmp_path / "job", {"a": drifting(0.3, LOGS), "b": drifting(0.7, FAILS)}, ROUNDS)
    clients = [("client", tmp_path / "job" / f"{site}.py", "--site", site) for site in ("a", "b")]
    serve = ("server", job, "--json", "--wait", "30", "--durability", "process")
    with started(tmp_path, *clients[0]) as a, started(tmp_path, *clients[1]) as b, started(tmp_path, *serve) as server:
        assert [process.wait() for process in (server, a, b)] == [1, 1, 1]
    (tmp_path / "mended").touch()
    resume = ("resume", "last", "--json")
    with started(tmp_path, *clients[0]) as a, started(tmp_path, *clients[1]) as b, started(tmp_path, *resume) as server:
        assert [process.wait() for process in (server, a, b)] == [0, 0, 0]
    check(tmp_path, undisturbed)


def cut(folder: Path, kind: str) -> RunFolder:
    """A run that completed, with a journal that ends before the last event of a kind: the server died there."""
    assert fltui(folder, "run", write_job(folder / "job", CALM, ROUNDS)).code == 0
    run = last(folder)
    lines = run.journal.read_text().splitlines(keepends=True)
    place = max(place for place, line in enumerate(lines) if line.startswith(f'{{"event":"{kind}"'))
    run.journal.write_text("".join(lines[:place]))
    return run


@pytest.mark.parametrize("kind", ["result_accepted", "model_saved", "round_finished"])
def test_a_round_that_is_not_in_the_journal_is_made_again(tmp_path: Path, undisturbed: Done, kind: str) -> None:
    cut(tmp_path, kind)
    done = fltui(tmp_path, "resume", "last", "--json")
    assert done.code == 0, done.err
    assert [(event["round"], event["attempt"]) for event in done.of("round_started")] == [(3, 2)]
    check(tmp_path, undisturbed)


def test_a_run_whose_rounds_are_finished_needs_no_site(tmp_path: Path, undisturbed: Done) -> None:
    cut(tmp_path, "run_finished")
    done = fltui(tmp_path, "resume", "last", "--json")
    assert done.code == 0, done.err
    assert [event["event"] for event in done.events] == ["run_resumed", "run_finished"]
    check(tmp_path, undisturbed)


def test_a_run_that_failed_before_its_first_round_was_finished_begins_again(tmp_path: Path) -> None:
    fails = "if not __import__('os').path.exists('mended'): raise ValueError('boom')"
    job = write_job(tmp_path / "job", {"a": drifting(0.5, fails)}, "num_rounds=2, model=None")
    assert fltui(tmp_path, "run", job).code == 1
    (tmp_path / "mended").touch()
    done = fltui(tmp_path, "resume", "last", "--json")
    assert [(event["round"], event["attempt"]) for event in done.of("round_started")] == [(0, 2), (1, 1)]
    np.testing.assert_array_equal(done.model(), np.full((3, 3), np.float32(0.5) * np.float32(0.9) + np.float32(0.5)))


def test_results_are_kept_where_asked(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", {"a": drifting(0.3), "b": drifting(0.7, FAILS)}, ROUNDS)
    assert fltui(tmp_path, "run", job, "--keep-results").code == 1
    (tmp_path / "mended").touch()
    assert fltui(tmp_path, "resume", "last").code == 0
    run = last(tmp_path)
    finished = [found for found in run.state().rounds.values() if found.finished]
    accepted = {entry.blake3 for found in finished for one in found.accepted.values() for entry in one.arrays}
    assert len(accepted) == 8
    assert {path.stem for path in run.store.glob("*.npy")} == accepted


def test_only_the_first_and_the_newest_models_stay_where_asked(tmp_path: Path, undisturbed: Done) -> None:
    job = write_job(tmp_path / "job", {"a": drifting(0.3, LOGS), "b": drifting(0.7, FAILS)}, ROUNDS)
    assert fltui(tmp_path, "run", job, "--keep-models", "2").code == 1
    models = last(tmp_path).models
    assert sorted(path.name for path in models.glob("round-*")) == ["round-0000", "round-0001", "round-0002"]
    (models / "round-0001" / "model.json").unlink()  # killed while it removed a model
    (tmp_path / "mended").touch()
    assert fltui(tmp_path, "resume", "last").code == 0
    assert sorted(path.name for path in models.glob("round-*")) == ["round-0000", "round-0003", "round-0004"]
    check(tmp_path, undisturbed)


def test_a_dropped_site_stays_dropped(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    scripts = {"a": drifting(0.3, gate.line(1)), "b": drifting(0.7)}
    with started(
        tmp_path, "run", write_job(tmp_path / "job", scripts, "num_rounds=3, min_clients=1"), "--json"
    ) as process:
        events_until(process, "round_finished")
        assert fltui(tmp_path, "drop", "last", "b").code == 0
        process.kill()
    gate.remove()
    done = fltui(tmp_path, "resume", "last", "--json")
    assert (done.code, [event["site"] for event in done.of("site_joined")]) == (0, ["a"])
    assert [list(event["weights"]) for event in done.of("round_finished")][-1] == ["a"]
    assert last(tmp_path).state().sites["b"].reason == "dropped: asked for"


def refused(folder: Path, told: str, *arguments: str) -> None:
    """A resume that is bad input."""
    done = fltui(folder, "resume", "last", *arguments)
    assert (done.code, told in done.err, len(done.err.splitlines())) == (2, True, 1), done.err


def test_a_run_that_completed_cannot_be_resumed(tmp_path: Path) -> None:
    assert fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": drifting(0.3)})).code == 0
    refused(tmp_path, "has completed, so there is nothing to resume")


def test_a_live_run_cannot_be_taken_over(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    job = write_job(tmp_path / "job", {"a": drifting(0.3, gate.line(0))})
    with started(tmp_path, "run", job, "--json") as process:
        events_until(process, "task_published")
        refused(tmp_path, "is live and not paused")
        process.kill()
    gate.remove()


@pytest.mark.parametrize(
    ("option", "told"),
    [(["--engine", "dask"], "so --engine is not for it"), (["--track", "tensorboard:tb"], "'fltui track hello")],
)
def test_what_a_live_run_cannot_be_told_is_refused(shell: Shell, tmp_path: Path, option: list[str], told: str) -> None:
    folder = write_run(tmp_path, [started_event(), RunPaused()])
    with folder.held():
        code, _, err = shell("resume", folder.root, *option)
    assert (code, "is live and goes on as it began" in err, told in err) == (2, True, True), err


def test_a_served_run_has_no_engine_for_scripts(shell: Shell, tmp_path: Path) -> None:
    folder = write_run(tmp_path, [replace(started_event(), mode="server")])
    code, _, err = shell("resume", folder.root, "--engine", "local")
    assert (code, "is served, and people start its scripts" in err) == (2, True), err


def _other_rounds(run: RunFolder) -> None:
    path = run.job / "app_server" / "config" / "config_fed_server.json"
    path.write_text(path.read_text().replace('"num_rounds": 4', '"num_rounds": 9'))


def _no_job(run: RunFolder) -> None:
    (run.job / "meta.json").unlink()


def _broken_journal(run: RunFolder) -> None:
    lines: list[Any] = run.journal.read_text().splitlines()
    run.journal.write_text("\n".join([*lines[:3], "{}", *lines[3:]]) + "\n")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_other_rounds, "began with the rounds 0 to 3, and the job in its folder now says 0 to 8"),
        (_no_job, "meta.json cannot be read"),
        (_broken_journal, "that is not an event"),
    ],
)
def test_a_run_folder_that_was_spoilt_is_bad_input(tmp_path: Path, spoil: Any, told: str) -> None:
    run = failed(tmp_path)
    journal = run.journal.read_bytes()
    spoil(run)
    spoilt = run.journal.read_bytes()
    refused(tmp_path, told)
    assert run.journal.read_bytes() in (journal, spoilt)


def _no_place_for_metrics(run: RunFolder) -> None:
    run.metrics.unlink()
    run.metrics.mkdir()


def _no_place_for_the_log(run: RunFolder) -> None:
    (run.logs / "server.log").unlink()
    (run.logs / "server.log").mkdir()


@pytest.mark.parametrize("spoil", [_no_place_for_metrics, _no_place_for_the_log])
def test_the_sites_hear_nothing_of_a_resume_that_fails_at_the_run_folder(tmp_path: Path, spoil: Any) -> None:
    run = failed(tmp_path)
    spoil(run)
    journal = run.journal.read_bytes()
    tasks = {path: path.read_bytes() for path in (tmp_path / "exchange").glob("*/tasks/*.json")}
    assert any(".end." in path.name for path in tasks)
    assert any(".r0002." in path.name for path in tasks)
    refused(tmp_path, f"run {run.run} cannot be resumed: Is a directory")
    assert {path: path.read_bytes() for path in (tmp_path / "exchange").glob("*/tasks/*.json")} == tasks
    assert run.journal.read_bytes() == journal


def test_a_run_goes_on_after_the_disk_was_full(tmp_path: Path, undisturbed: Done) -> None:
    job = write_job(tmp_path / "job", CALM, ROUNDS)
    limited = ["bash", "-c", 'ulimit -S -f 5; exec "$@"', "bash", *command("run", job)]
    done = subprocess.run(limited, env=environment(tmp_path), capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "the server cannot go on: File too large" in done.stderr
    assert last(tmp_path).journal.read_bytes().endswith(b"}\n")
    assert last(tmp_path).state().events > 0
    resumed = fltui(tmp_path, "resume", "last", "--json")
    assert resumed.code == 0, resumed.err
    check(tmp_path, undisturbed)


def _other_array(run: RunFolder) -> None:
    model = run.models / "round-0002" / "numpy_key.npy"
    model.write_bytes(model.read_bytes()[:-1] + b"\x7f")


def _other_text(run: RunFolder) -> None:
    about = run.models / "round-0002" / "model.json"
    about.write_bytes(about.read_bytes().replace(b"numpy_key", b"numpy_\xff", 1))


@pytest.mark.parametrize("spoil", [_other_array, _other_text])
def test_a_damaged_model_is_not_trained_on(tmp_path: Path, spoil: Any) -> None:
    run = failed(tmp_path)
    spoil(run)
    done = fltui(tmp_path, "resume", "last")
    assert (done.code, "models/round-0002, is damaged" in done.err) == (1, True), done.err


def test_a_resume_that_was_killed_before_its_first_round_changes_nothing_for_the_next(
    tmp_path: Path, undisturbed: Done
) -> None:
    gates = Gate(tmp_path / "gate-a"), Gate(tmp_path / "gate-b")
    scripts = {"a": drifting(0.3, gates[0].line(1), LOGS), "b": drifting(0.7, gates[1].line(1))}
    job = write_job(tmp_path / "job", scripts, ROUNDS)
    clients = [("client", tmp_path / "job" / f"{site}.py", "--site", site) for site in "ab"]
    with (
        started(tmp_path, "server", job, "--json") as server,
        started(tmp_path, *clients[0]) as a,
        started(tmp_path, *clients[1]) as b,
    ):
        events_until(server, "round_finished")
        for _ in "ab":
            events_until(server, "task_published")
        assert fltui(tmp_path, "abort", "last").code == 0
        for gate in gates:
            gate.open()
        assert (server.wait(), a.wait(), b.wait()) == (3, 3, 3)
    with started(tmp_path, "resume", "last", "--json") as server:
        events_until(server, "run_resumed")
        server.kill()
    for end in (tmp_path / "exchange").glob("*/tasks/*.end.*"):
        end.unlink()  # what it does next
    with started(tmp_path, "resume", "last", "--json") as server:
        events_until(server, "run_resumed")
        with started(tmp_path, *clients[0]) as a, started(tmp_path, *clients[1]) as b:
            assert (server.wait(), a.wait(), b.wait()) == (0, 0, 0)
    check(tmp_path, undisturbed)
    assert attempts(tmp_path) == {0: {"a01"}, 1: {"a02"}, 2: {"a01"}, 3: {"a01"}}
