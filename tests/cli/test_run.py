"""``fltui run`` with bad input, signals, kills and company; ``fltui server`` with clients in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.cli.prepare import Places, prepare
from fltui.cli.running import say_outcome
from fltui.errors import BadInputError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.publish import open_site
from fltui.job.find import open_job
from fltui.job.job import Job
from fltui.run.events import RunFinished, RunStatus
from fltui.run.folder import RunFolder, create_run
from tests.cli.test_verify import call
from tests.job.own_code import FILTER, put
from tests.jobs import (
    GOOD,
    HELLO,
    HELLO_SCRIPT,
    command,
    environment,
    events_until,
    fltui,
    processes_of,
    script,
    started,
    write_job,
)

ENDLESS = script("import threading; threading.Event().wait()")
FINAL = np.arange(4, 13, dtype=np.float32).reshape(3, 3)


def broken(folder: Path, file: str, text: str) -> Path:
    """The hello job as a folder with one file replaced."""
    assert fltui(folder, "export", HELLO, folder / "jobs").code == 0
    path = folder / "jobs" / "hello-fedavg-numpy"
    (path / file).write_text(text)
    return path


def test_an_unknown_path_is_bad_input(tmp_path: Path) -> None:
    done = fltui(tmp_path, "run", "no-such-job")
    assert (done.code, done.err) == (2, "error: job no-such-job does not exist\n")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("meta.json", "{", "meta.json is malformed"),
        ("meta.json", '{"name": "x"}', "missing required field `deploy_map`"),
        (
            "meta.json",
            '{"name": "x", "deploy_map": {"app_server": ["server"], "../y": ["a"]}}',
            "'../y' cannot be used",
        ),
        (
            "meta.json",
            '{"name": "x", "deploy_map": {"app_server": ["server"], "app_site-0": ["../x"]}}',
            "'../x' cannot",
        ),
        ("meta.json", '{"name": "x", "deploy_map": {"app_site-0": ["site-0"]}}', "no app for 'server'"),
        (
            "app_server/config/config_fed_server.json",
            '{"workflows": [{"path": "os.system"}]}',
            "'os.system', which is not",
        ),
        (
            "app_server/config/config_fed_server.json",
            '{"workflows": [{"path": "fltui.workflows.fedavg.FedAvg", "args": {"num_rounds": -1}}]}',
            "num_rounds is -1, expected a whole number of at least 1",
        ),
        (
            "app_server/config/config_fed_server.json",
            '{"workflows": [{"path": "fltui.workflows.fedavg.FedAvg", "args": {"rounds": 1}}]}',
            "FedAvg has no argument 'rounds'",
        ),
    ],
)
def test_a_malformed_job_folder_is_bad_input(tmp_path: Path, file: str, text: str, told: str) -> None:
    done = fltui(tmp_path, "run", broken(tmp_path, file, text))
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert told in line
    assert line.startswith("error: ")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("'b')", "'../x')", "site name '../x' cannot be used"),
        ("num_rounds=2", "num_rounds=-3", "num_rounds is -3"),
        ("num_rounds=2", "num_rounds=2, min_clients=9", "min_clients is 9, expected 1 to num_clients, which is 2"),
        ("job.simulator_run", "# ", "called neither simulator_run() nor export_job()"),
        ("FedJob('test'", "FedJob('a/b'", "job name 'a/b' cannot be used"),
        ("job.simulator_run", "1 / 0 #", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_wrong_job_script_is_bad_input(tmp_path: Path, before: str, after: str, told: str) -> None:
    path = write_job(tmp_path / "job", {"a": GOOD, "b": GOOD})
    path.write_text(path.read_text().replace(before, after))
    done = fltui(tmp_path, "run", path)
    assert done.code == 2
    assert told in done.err.splitlines()[-1]
    assert "fltui/" not in done.err


@pytest.mark.parametrize("option", [("--rounds", "-1"), ("--rounds", "0"), ("--sites", "0"), ("--threads", "0")])
def test_numbers_that_make_no_sense_are_bad_input(tmp_path: Path, option: tuple[str, str]) -> None:
    done = fltui(tmp_path, "run", HELLO, *option)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_an_exchange_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    # Root may write anywhere, so the folders are made unusable in a way that holds for root, too.
    (tmp_path / "file").write_text("")
    done = fltui(tmp_path, "run", HELLO, "--exchange", tmp_path / "file" / "exchange")
    assert done.code == 2
    assert done.err.startswith(f"error: exchange folder {tmp_path}/file/exchange cannot be used: Not a directory")
    done = fltui(tmp_path, "run", HELLO, "--exchange", "/proc/fltui")
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_an_exchange_that_others_use_meanwhile_keeps_its_identity(tmp_path: Path) -> None:
    job, exchange = write_job(tmp_path / "job", {"a": GOOD}), tmp_path / "exchange"

    def fail(_: Job, __: RunFolder, place: ExchangeFolder) -> None:
        if others:
            open_site(place.site("b"), "server", durable=False)
        raise BadInputError("it cannot begin")

    for others in (False, True):
        with open_job(job, job_code=True) as (loaded, _), pytest.raises(BadInputError, match="cannot begin"):
            prepare(loaded, Places(tmp_path / "runs", exchange), check=fail)
        assert exchange.exists() == others
        assert not (tmp_path / "runs").exists()
    assert (exchange / "exchange.json").is_file()


def test_a_run_that_cannot_be_prepared_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = fltui(tmp_path, "run", HELLO, "--runs", tmp_path / "file" / "runs")
    assert done.code == 2
    assert (
        done.err == f"error: runs folder {tmp_path}/file/runs cannot be used: Not a directory ({tmp_path}/file/runs)\n"
    )
    assert not (tmp_path / "exchange").exists()
    assert fltui(tmp_path, "run", HELLO, "--exchange", tmp_path / "file" / "exchange").code == 2
    assert not (tmp_path / "runs").exists()


def test_two_runs_share_an_exchange(tmp_path: Path) -> None:
    arguments = ("run", HELLO, "--rounds", "20", "--json")
    with started(tmp_path, *arguments) as one, started(tmp_path, *arguments) as two:
        ends = [events_until(process, "run_finished")[-1] for process in (one, two)]
        assert (one.wait(), two.wait()) == (0, 0)
    assert ends[0]["run"] != ends[1]["run"]
    for end in ends:
        np.testing.assert_array_equal(np.load(end["final_model"]["numpy_key"]), FINAL + 17)
    assert processes_of(tmp_path) == []


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        process.send_signal(signal.SIGINT)
        assert events_until(process, "run_finished")[-1]["state"] == "FINISHED:ABORTED"
        assert process.wait() == 130
    assert processes_of(tmp_path) == []


def test_a_signal_to_end_ends_everything(tmp_path: Path) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        process.terminate()
        assert process.wait() == 3
    assert processes_of(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_simulator_leaves_no_script(tmp_path: Path) -> None:
    child = script("import subprocess; subprocess.run(['sleep', '1000'])")
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": child}), "--json") as process:
        events_until(process, "task_published")
        process.kill()
        process.wait()
        # Listed now, not before: what is just being started has no environment for a moment.
        pids = [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_of(entry, tmp_path)
        ]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                _wait_for_end(os.pidfd_open(pid))
    assert processes_of(tmp_path) == []


def _is_of(entry: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in (entry / "environ").read_bytes()
    except OSError:
        return False


def _wait_for_end(pidfd: int) -> None:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(10_000), "a process outlived the simulator by 10 s"
    os.close(pidfd)


def test_abort_ends_a_run_from_another_shell(tmp_path: Path) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        done = fltui(tmp_path, "abort", "last", "--reason", "wrong data")
        assert (done.code, "FINISHED:ABORTED" in done.out) == (0, True)
        assert process.wait() == 3
        assert process.stderr is not None
        assert "wrong data" in process.stderr.read()
    again = fltui(tmp_path, "abort", "last")
    assert (again.code, "has ended already" in again.err) == (2, True)


def test_abort_is_heard_while_the_server_waits_for_sites_without_file_events(tmp_path: Path) -> None:
    serve = ("server", HELLO, "--json", "--watch", "poll", "--durability", "process")
    with started(tmp_path, *serve) as process:
        events_until(process, "run_started")
        done = fltui(tmp_path, "abort", "last")
        assert (done.code, process.wait()) == (0, 3)


def client(folder: Path, site: str) -> tuple[str | Path, ...]:
    """Arguments of a client of the hello job."""
    return ("client", HELLO_SCRIPT, "--site", site, "--durability", "process")


@pytest.mark.parametrize("first", ["clients", "server"])
def test_the_tutorial_by_server_and_two_clients(tmp_path: Path, first: str) -> None:
    serve = ("server", HELLO, "--json", "--wait", "30", "--durability", "process")
    both = [client(tmp_path, "site-0"), client(tmp_path, "site-1")]
    order = [*both, serve] if first == "clients" else [serve, *both]
    with started(tmp_path, *order[0]) as a, started(tmp_path, *order[1]) as b, started(tmp_path, *order[2]) as c:
        server, *clients = (c, a, b) if first == "clients" else (a, b, c)
        end = events_until(server, "run_finished")[-1]
        assert end["state"] == "FINISHED:COMPLETED", end["reason"]
        assert [process.wait() for process in (server, *clients)] == [0, 0, 0]
        assert clients[0].stdout is not None
        assert "received weights: {}" in clients[0].stdout.read()
    np.testing.assert_array_equal(np.load(end["final_model"]["numpy_key"]), FINAL)
    assert "received weights: {}" in (Path(end["run_dir"]) / "logs" / "site-0.log").read_text()
    assert processes_of(tmp_path) == []


def test_a_script_serves_by_its_environment_alone(tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", {"a": GOOD})
    with started(tmp_path, "server", path, "--json", "--wait", "30", "--durability", "process") as server:
        run = subprocess.run(
            [sys.executable, tmp_path / "job" / "a.py"],
            env={**environment(tmp_path), "FLTUI_SITE": "a"},
            check=False,
            capture_output=True,
        )
        end = events_until(server, "run_finished")[-1]
    assert (run.returncode, end["state"]) == (0, "FINISHED:COMPLETED")


def test_a_client_that_fails_before_the_start_ends_the_run(tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", {"a": "import no_such_module\n", "b": GOOD})
    with started(tmp_path, "server", path, "--json", "--wait", "60", "--durability", "process") as server:
        events_until(server, "run_started")
        assert fltui(tmp_path, "client", tmp_path / "job" / "a.py", "--site", "a").code == 1
        end = events_until(server, "run_finished")[-1]
    assert "a: ModuleNotFoundError: No module named 'no_such_module' (a.py, line 1)" in end["reason"]


def test_a_client_tells_how_the_run_ended(tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", {"a": script("flare.send(flare.FLModel(params={'numpy_key': weights[:1]}))")})
    with started(tmp_path, "server", path, "--json", "--wait", "30", "--durability", "process") as server:
        client = fltui(tmp_path, "client", tmp_path / "job" / "a.py", "--site", "a")
        events_until(server, "run_finished")
    assert client.code == 1
    assert "ended: FINISHED:FAILED: round 0: 0 of 1 sites answered" in client.err


def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path: Path) -> None:
    with started(tmp_path, "run", HELLO, "--rounds", "30", "--json") as process:
        events_until(process, "round_finished")
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
    (row,) = (json.loads(line) for line in fltui(tmp_path, "runs", "--json").out.splitlines())
    assert (row["state"], row["rounds"]) == ("FINISHED:COMPLETED", 30)


@pytest.mark.parametrize("how", ["client", "environment"])
def test_a_client_that_raises_fails_the_round_at_once(tmp_path: Path, how: str) -> None:
    path = write_job(tmp_path / "job", {"a": script("raise ValueError('boom')")})
    faulty = tmp_path / "job" / "a.py"
    with started(tmp_path, "server", path, "--json", "--wait", "30", "--durability", "process") as server:
        process = subprocess.run(
            command("client", faulty, "--site", "a") if how == "client" else [sys.executable, str(faulty)],
            env={**environment(tmp_path), "FLTUI_SITE": "a"},
            check=False,
            capture_output=True,
            text=True,
        )
        end = events_until(server, "run_finished")[-1]
        assert server.wait() == 1
    assert process.returncode == 1
    assert "ValueError: boom" in process.stderr
    assert "a: ValueError: boom (a.py, line 10)" in end["reason"]


def test_a_late_client_joins_the_next_round(tmp_path: Path) -> None:
    text = script("flare.send(flare.FLModel(params={'numpy_key': weights + np.float32(1)}))")
    held = script(
        "import pathlib, time",
        "path = pathlib.Path('joined')",
        "while round == 1 and not path.exists(): flare.log('waiting', 1); __import__('threading').Event().wait(0.01)",
        "flare.send(flare.FLModel(params={'numpy_key': weights + np.float32(1)}))",
    )
    path = write_job(tmp_path / "job", {"a": held, "b": text}, "num_rounds=4, min_clients=1")
    serve = ("server", path, "--json", "--sites", "1", "--wait", "30", "--durability", "process")
    with (
        started(tmp_path, *serve) as server,
        started(tmp_path, "client", tmp_path / "job" / "a.py", "--site", "a"),
    ):
        events = events_until(server, "round_finished")
        with started(tmp_path, "client", tmp_path / "job" / "b.py", "--site", "b"):
            joined = events_until_site(server, "b")
            (tmp_path / "joined").touch()
            events += joined + events_until(server, "run_finished")
    weights = [event["weights"].keys() for event in events if event["event"] == "round_finished"]
    assert events[-1]["state"] == "FINISHED:COMPLETED"
    assert weights[0] == {"a"}
    assert weights[-1] == {"a", "b"}


def events_until_site(process: subprocess.Popen[str], site: str) -> list[dict[str, Any]]:
    """Read events until a site joins."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["site"] != site:
        found += events_until(process, "site_joined")
    return found


def test_a_server_without_sites_says_who_is_missing(tmp_path: Path) -> None:
    done = fltui(tmp_path, "server", HELLO, "--wait", "0.1")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "0 of 2 sites appeared within 0.1 s; missing: site-0, site-1" in line
    assert f"fltui client {HELLO_SCRIPT.name}" not in line
    assert "--site site-0 --exchange" in done.out


def test_whose_folder_could_not_be_written_is_said_of_these_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = create_run(tmp_path / "runs", "test")
    folder.journal.touch()
    end = RunFinished(
        run=folder.run,
        state=RunStatus.COMPLETED,
        reason="",
        rounds=1,
        final_model={},
        metrics={},
        seconds=1.0,
        untold=["a", "b"],
    )
    say_outcome(end, folder)
    assert "not told that the run is over: a, b; their folders could not be written" in capsys.readouterr().out


OWN_JOB = """
import numpy as np
from fltui import FedAvg, FedJob, ScriptExecutor
from own_run import Scaled
job = FedJob("own")
job.to(FedAvg(2, 2, model=np.zeros((3, 3), np.float32), filters=[Scaled(0.5)]), "server")
job.to_clients(ScriptExecutor("train.py"))
job.to_clients(Scaled(0.25))
job.simulator_run("nowhere", n_clients=2)
"""


def test_a_job_runs_with_filters_that_its_author_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.py").write_text(OWN_JOB)
    (tmp_path / "train.py").write_text(GOOD)
    put(tmp_path / "own_run.py", FILTER)
    done = fltui(tmp_path, "run", tmp_path / "job.py", "--keep-results", "--json")
    assert (done.code, done.err) == (0, "")
    assert (done.model() == 2 * 0.5 * 0.25).all()  # each of two rounds adds 1 at every site
    folder = Path(done.last["run_dir"]) / "job"
    for app in ("app_server", "app_site-1"):
        assert (folder / app / "custom" / "own_run.py").is_file()

    again = fltui(tmp_path, "run", folder, "--json")
    assert (again.code, again.model().tolist()) == (0, done.model().tolist())

    told = "'own_run.Scaled', which is not registered: it is code of the job's own and would run with your rights; "
    for arguments in (("server", folder), ("export", folder, tmp_path / "out")):
        code, out, err = call(capsys, *arguments)
        assert (code, out) == (2, "")
        assert f"{told}--job-code lets it, if you trust it" in err
    assert fltui(tmp_path, "export", folder, tmp_path / "out", "--job-code").code == 0
    assert (tmp_path / "out" / "own" / "app_server" / "custom" / "own_run.py").is_file()

    code, out, err = call(capsys, "verify", done.last["run_dir"])
    assert (code, err) == (0, "")
    assert f"rounds: 0 of 2 recomputed\n  note: no round was recomputed: {folder}" in out
    assert told in out
    assert "own_run" not in sys.modules
    verified = fltui(tmp_path, "verify", done.last["run_dir"], "--job-code")
    assert (verified.code, verified.err) == (0, "")
    assert "rounds: 2 of 2 recomputed" in verified.out
    assert not list(folder.rglob("app_server/**/*.pyc"))
