"""The simulator with real scripts: the tutorial, and everything that scripts do wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fltui.exchange.keys import Keys
from fltui.exchange.layout import SERVER
from fltui.exchange.publish import open_exchange, open_site
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.run.folder import create_run
from fltui.run.options import RunOptions
from fltui.run.seal import write_seal
from fltui.server.roster import Roster
from fltui.simulator.launch import Ended
from fltui.simulator.local import LocalSites, _second_name
from fltui.workflows.fedavg import FedAvg
from tests.jobs import GOOD, HEAD, HELLO, HELLO_JOB, Done, fltui, processes_of, script, write_job

FINAL = np.arange(4, 13, dtype=np.float32).reshape(3, 3)


def test_the_tutorial_by_fltui_run(tmp_path: Path) -> None:
    done = fltui(tmp_path, "run", HELLO, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.last["event"] == "run_finished"
    assert done.last["state"] == "FINISHED:COMPLETED"
    assert done.last["rounds"] == 3
    assert done.model().dtype == np.float32
    np.testing.assert_array_equal(done.model(), FINAL)
    assert [event["metrics"] for event in done.of("round_finished")] == [{"accuracy": a} for a in (5.0, 6.0, 7.0)]
    assert [event["round"] for event in done.of("round_started")] == [0, 1, 2]
    log = (Path(done.last["run_dir"]) / "logs" / "site-1.log").read_text()
    assert "received weights: {}" in log
    assert log.index("[[ 2.,  3.,  4.]") < log.index("[[ 3.,  4.,  5.]")
    assert processes_of(tmp_path) == []


def test_the_tutorial_by_its_job_script_from_any_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    text = HELLO_JOB.read_text().replace("/tmp/fltui/jobs/workdir", str(work))
    (tmp_path / "src").mkdir()
    (tmp_path / "job.py").write_text(text)
    (tmp_path / "src" / "hello-numpy_fl.py").write_text((HELLO / "src" / "hello-numpy_fl.py").read_text())
    done = subprocess.run([sys.executable, tmp_path / "job.py"], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (model,) = work.glob("runs/*/models/final/numpy_key.npy")
    np.testing.assert_array_equal(np.load(model), FINAL)
    assert str(model) in done.stdout
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(("sent", "told"), [(signal.SIGKILL, "is gone"), (signal.SIGTERM, "is gone")])
def test_the_run_ends_with_the_job_script_that_started_it(tmp_path: Path, sent: signal.Signals, told: str) -> None:
    path = write_job(tmp_path / "job", {"a": script("import threading; threading.Event().wait()")})
    path.write_text(path.read_text().replace("nowhere", str(tmp_path / "work")))
    with subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any("round 0 started" in line for line in process.stdout)
        process.send_signal(sent)
        assert told in process.stderr.read()  # until the run has closed it
    assert processes_of(tmp_path) == []


def test_the_exported_job_gives_the_same_bits(tmp_path: Path) -> None:
    by_script = fltui(tmp_path, "run", HELLO, "--json")
    assert fltui(tmp_path, "export", HELLO, tmp_path / "jobs").code == 0
    exported = fltui(tmp_path, "run", tmp_path / "jobs" / "hello-fedavg-numpy", "--json")
    first, second = (Path(done.last["final_model"]["numpy_key"]).read_bytes() for done in (by_script, exported))
    assert first == second


def test_results_are_weighted_by_their_steps(tmp_path: Path) -> None:
    scripts = {
        site: script(
            f"params = {{'numpy_key': weights + np.float32({delta})}}",
            f"flare.send(flare.FLModel(params=params, meta={{'NUM_STEPS_CURRENT_ROUND': {steps}}}))",
        )
        for site, delta, steps in (("a", 1, 3), ("b", 5, 1))
    }
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", scripts), "--json")
    np.testing.assert_array_equal(done.model(), np.full((3, 3), 4, np.float32))


@pytest.mark.parametrize("kinds", [("DIFF", "DIFF"), ("FULL", "DIFF"), ("DIFF", "FULL")])
def test_differences_are_added_and_mix_with_whole_models(tmp_path: Path, kinds: tuple[str, str]) -> None:
    scripts = {}
    for site, delta, kind in (("a", 1, kinds[0]), ("b", 3, kinds[1])):
        sent = f"np.full((3, 3), {delta}, np.float32)" + (" + weights" if kind == "FULL" else "")
        scripts[site] = script(f"flare.send(flare.FLModel(params_type='{kind}', params={{'numpy_key': {sent}}}))")
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", scripts, "num_rounds=3"), "--json")
    np.testing.assert_array_equal(done.model(), np.full((3, 3), 6, np.float32))


def test_transfer_type_diff_sends_differences_of_whole_models(tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", {"a": GOOD})
    path.write_text(path.read_text().replace("'a.py')", "'a.py', params_transfer_type='DIFF')"))
    done = fltui(tmp_path, "run", path, "--json")
    assert {event["params_type"] for event in done.of("result_accepted")} == {"DIFF"}
    np.testing.assert_array_equal(done.model(), np.full((3, 3), 2, np.float32))


SEND = "flare.send(flare.FLModel(params={'numpy_key': %s}, metrics={'loss': %s}))"
FAULTS = {
    "raises": (script("raise ValueError('boom')"), "ValueError: boom (b.py, line 10)"),
    "exits": (script("import sys; sys.exit(3)"), "the script called sys.exit(3)"),
    "import": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module' (b.py, line 1)"),
    "syntax": ("def broken(:\n", "SyntaxError"),
    "returns": (HEAD + "flare.receive()\n", "its script ended before the run did"),
    "killed": (script("import os; os.kill(os.getpid(), 9)"), "killed by SIGKILL"),
    "shape": (script(SEND % ("np.zeros((1, 3), np.float32)", "1.0")), "is <f4 (1, 3), expected <f4 (3, 3)"),
    "dtype": (script(SEND % ("np.zeros((3, 3))", "1.0")), "is <f8 (3, 3), expected <f4 (3, 3)"),
    "nan": (script(SEND % ("weights * np.nan", "1.0")), "'numpy_key' holds NaN or Inf"),
    "extra": (
        script("flare.send(flare.FLModel(params={'numpy_key': weights, 'more': weights}))"),
        "has the parameter 'more', which the model does not have",
    ),
    "text": (script(SEND % ("weights", "'high'")), "metric 'loss' is 'high' (str), expected a finite number"),
    "missing": ("", "its script b.py does not exist"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_site_fails_the_run_with_one_line(tmp_path: Path, fault: str) -> None:
    text, cause = FAULTS[fault]
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": GOOD, "b": text}), "--json")
    assert done.code == 1
    assert done.last["state"] == "FINISHED:FAILED"
    (line,) = done.err.splitlines()
    assert "round 0" in line
    assert "b: " in line
    assert cause in line
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_the_round_goes_on_without_a_faulty_site_where_the_quorum_allows(tmp_path: Path, fault: str) -> None:
    text, cause = FAULTS[fault]
    path = write_job(tmp_path / "job", {"a": GOOD, "b": text}, "num_rounds=2, min_clients=1")
    done = fltui(tmp_path, "run", path, "--json")
    assert (done.code, done.last["state"]) == (0, "FINISHED:COMPLETED")
    np.testing.assert_array_equal(done.model(), np.full((3, 3), 2, np.float32))
    told = [event["reason"] for event in done.events if event["event"] in ("site_lost", "result_rejected")]
    assert any(cause in reason for reason in told)
    assert all(event["weights"] == {"a": 1.0} for event in done.of("round_finished"))


def test_a_mandatory_site_must_answer(tmp_path: Path) -> None:
    scripts = {"a": GOOD, "b": FAULTS["raises"][0]}
    path = write_job(tmp_path / "job", scripts, "min_clients=1", "mandatory_clients=['b']")
    done = fltui(tmp_path, "run", path)
    assert done.code == 1
    assert "b is mandatory" in done.err


def test_a_round_ends_at_its_deadline(tmp_path: Path) -> None:
    ends = f"__import__('pathlib').Path({str(tmp_path)!r}, 'exchange', 'b', 'tasks').glob('*.end.*')"
    slow = script("import threading", f"while not any({ends}): threading.Event().wait(0.01)")
    # The seconds begin before the scripts do, which takes a while where much else is done.
    path = write_job(tmp_path / "job", {"a": GOOD, "b": slow}, "num_rounds=1, min_clients=1, round_timeout=3")
    done = fltui(tmp_path, "run", path, "--json")
    assert done.code == 0
    (finished,) = done.of("round_finished")
    assert finished["weights"] == {"a": 1.0}
    assert finished["seconds"] >= 3
    assert processes_of(tmp_path) == []


def test_without_a_model_the_sites_must_agree(tmp_path: Path) -> None:
    scripts = {"a": GOOD, "b": FAULTS["shape"][0]}
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", scripts, "model=None"))
    assert done.code == 1
    assert "a sent 'numpy_key' <f4 (3, 3); b sent 'numpy_key' <f4 (1, 3)" in done.err


def test_without_a_model_it_looks_like_most_answers_do(tmp_path: Path) -> None:
    scripts = {"a": FAULTS["shape"][0], "b": GOOD, "c": GOOD}
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", scripts, "model=None, min_clients=2"), "--json")
    assert done.code == 0
    assert done.model().shape == (3, 3)
    assert {event["site"] for event in done.of("result_rejected")} == {"a"}


def test_weights_of_zero_have_no_mean(tmp_path: Path) -> None:
    text = script("flare.send(flare.FLModel(params={'numpy_key': weights}, meta={'NUM_STEPS_CURRENT_ROUND': 0}))")
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text}))
    assert done.code == 1
    assert "add up to 0" in done.err


def test_what_a_script_started_goes_with_it(tmp_path: Path) -> None:
    text = script("import subprocess; subprocess.Popen(['sleep', '1000'])", "raise ValueError('boom')")
    assert fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text})).code == 1
    assert processes_of(tmp_path) == []


def test_a_thread_does_not_hide_a_failure(tmp_path: Path) -> None:
    text = script(
        "import threading; threading.Thread(target=threading.Event().wait).start()", "raise ValueError('boom')"
    )
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text}))
    assert (done.code, "a: ValueError: boom" in done.err) == (1, True)


def test_a_script_that_never_answers_fails(tmp_path: Path) -> None:
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": script("continue")}))
    assert (done.code, "round 0 was received and not answered" in done.err) == (1, True)


def test_threads_bound_how_many_sites_work_at_once(tmp_path: Path) -> None:
    done = fltui(tmp_path, "run", HELLO, "--sites", "4", "--threads", "1", "--json")
    assert done.code == 0
    kinds = [event["event"] for event in done.events if event["event"] in ("task_published", "result_accepted")]
    assert kinds == ["task_published", "result_accepted"] * 12


def test_more_sites_and_rounds_than_the_job_says(tmp_path: Path) -> None:
    done = fltui(tmp_path, "run", HELLO, "--sites", "3", "--rounds", "2", "--json")
    assert [event["sites"] for event in done.of("round_started")] == [["site-0", "site-1", "site-2"]] * 2


def test_logged_values_reach_the_journal(tmp_path: Path) -> None:
    text = script(
        "flare.log('lr', 0.1 * (round + 1), step=round)", "flare.send(flare.FLModel(params={'numpy_key': weights}))"
    )
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text}), "--json")
    logged = [(event["site"], event["key"], event["value"], event["step"]) for event in done.of("metric_logged")]
    assert logged == [("a", "lr", 0.1, 0), ("a", "lr", 0.2, 1)]


def test_modules_beside_the_script_go_along(tmp_path: Path) -> None:
    text = GOOD.replace("import numpy as np", "import numpy as np\nfrom steps import STEP").replace(
        "float32(1)", "float32(STEP)"
    )
    path = write_job(tmp_path / "job", {"a": text})
    (tmp_path / "job" / "steps.py").write_text("STEP = 7\n")
    done = fltui(tmp_path, "run", path, "--json")
    np.testing.assert_array_equal(done.model(), np.full((3, 3), 14, np.float32))


def test_a_script_may_change_what_it_received(tmp_path: Path) -> None:
    text = script("weights += 1", "flare.send(flare.FLModel(params={'numpy_key': weights}))")
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text, "b": text}), "--json")
    np.testing.assert_array_equal(done.model(), np.full((3, 3), 2, np.float32))
    tasks = sorted((tmp_path / "exchange" / "a" / "tasks").glob("*/numpy_key.npy"))
    assert [float(np.load(path)[0, 0]) for path in tasks] == [0.0, 1.0]


def test_nobody_s_own_keys_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key of a site of that name signs, nor does a folder that would be refused matter."""
    keys = Keys(tmp_path / "keys")
    keys.trust(SERVER, keys.create("a"))
    (keys.root / "trusted").chmod(0o777)
    monkeypatch.setenv("FLTUI_KEYS", str(keys.root))
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": GOOD}), "--json")
    assert (done.code, done.err) == (0, "")
    results = list((tmp_path / "exchange" / "a" / "results").glob("*.json"))
    assert results
    assert not [path for path in results if "signature" in path.read_text()]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm as another file system than that of temporary files")
    with tempfile.TemporaryDirectory(prefix="fltui-test-", dir=shm) as folder:
        yield Path(folder)


def test_a_run_whose_exchange_lies_on_another_disk_is_sealed_however_it_ends(tmp_path: Path, elsewhere: Path) -> None:
    """The logs of its sites cannot have a second name there."""
    mended = tmp_path / "mended"
    text = script(
        "print('at round', round, flush=True)",
        f"if round == 1 and not __import__('os').path.exists({str(mended)!r}): raise ValueError('boom')",
        "flare.send(flare.FLModel(params={'numpy_key': weights}))",
    )
    exchange = ("--exchange", elsewhere / "exchange")
    failed = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text}), "--json", *exchange)
    assert (failed.code, failed.last["state"]) == (1, "FINISHED:FAILED")
    log = Path(failed.last["run_dir"]) / "logs" / "a.log"
    _check_sealed(tmp_path, failed, log, [0, 1])
    mended.touch()
    resumed = fltui(tmp_path, "resume", "last", "--json")
    assert (resumed.code, resumed.err) == (0, "")
    _check_sealed(tmp_path, resumed, log, [0, 1, 1])


def _check_sealed(folder: Path, done: Done, log: Path, rounds: list[int]) -> None:
    assert done.last["seal"]
    assert [int(line.split()[-1]) for line in log.read_text().splitlines() if "at round" in line] == rounds
    assert stat.S_ISREG(log.lstat().st_mode)
    assert {path.name for path in log.parent.iterdir()} == {"server.log", "a.log"}
    verified = fltui(folder, "verify", "last")
    assert (verified.code, verified.err, "not sealed" in verified.out) == (0, "", False)


@pytest.mark.parametrize("spoiled", ["", "gone", "a FIFO"])
def test_a_log_without_a_second_name_is_copied_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoiled: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    job = Job("test", FedAvg(num_clients=1, num_rounds=1), {"a": SiteApp(ScriptExecutor("a.py"), {})})
    folder, site = create_run(tmp_path / "runs", "test"), open_exchange(tmp_path / "exchange").site("a")
    open_site(site, "server")
    open_site(site, "site")
    log, second = site.log(folder.run), folder.logs / "a.log"
    log.write_text("one\n")
    for text in ("one\n", "one\ntwo\n"):  # the run begins, and is resumed
        log.write_text(text)
        _second_name(log, second)
        assert second.samefile(log)
        asyncio.run(LocalSites(job, folder, open_exchange(tmp_path / "exchange")).stop(patient=False))
        assert (second.is_symlink(), second.read_text()) == (False, text)
        assert write_seal(folder)
    if spoiled:
        _second_name(log, second)
        log.unlink()
        if spoiled == "a FIFO":
            os.mkfifo(log)
        asyncio.run(LocalSites(job, folder, open_exchange(tmp_path / "exchange")).stop(patient=False))
        assert second.is_symlink()
    assert [path.name for path in folder.logs.iterdir()] == ["a.log"]


def test_what_a_hangup_ends_was_killed_by_it(tmp_path: Path) -> None:
    text = script("import os, signal; os.kill(os.getpid(), signal.SIGHUP)")
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text}))
    assert (done.code, "a: its script was killed by SIGHUP" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("sites", "threads", "size", "kept"),
    [(8, None, 10, 160), (9, None, 10, 0), (3, 3, 10, 160), (3, 2, 10, 0), (3, None, 9, 0), (3, None, 0, 0)],
)
def test_sites_keep_memory_for_a_large_model_where_all_work_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sites: int, threads: int | None, size: int, kept: int
) -> None:
    monkeypatch.setattr("fltui.simulator.local._LARGE", 80)
    model = np.zeros(size) if size else None
    apps = {f"s{number}": SiteApp(ScriptExecutor("a.py"), {}) for number in range(sites)}
    job = Job("test", FedAvg(num_clients=1, num_rounds=1, model=model), apps)
    folder, exchange = create_run(tmp_path / "runs", "test"), open_exchange(tmp_path / "exchange")
    open_site(exchange.site("s0"), "server")
    local = LocalSites(job, folder, exchange, RunOptions(threads=threads))
    assert local._launch("s0", Path("a.py"), ScriptExecutor("a.py")).keeps_memory == kept


async def test_a_site_whose_process_nobody_knows_of_is_lost(tmp_path: Path) -> None:
    job = Job("test", FedAvg(num_clients=1, num_rounds=1), {"a": SiteApp(ScriptExecutor("a.py"), {})})
    lost: list[tuple[str, str]] = []
    roster = Roster(lambda site: None, lambda *told: lost.append(told), lambda: None)
    local = LocalSites(job, create_run(tmp_path / "runs", "test"), open_exchange(tmp_path / "exchange"))
    roster.join("a")
    ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    ended.set_exception(RuntimeError("the loop is closed\nindeed"))
    local._attend_end("a", roster, ended)
    told = "its script could not be started, or nobody knows how it ended: RuntimeError: the loop is closed"
    assert lost == [("a", told)]
