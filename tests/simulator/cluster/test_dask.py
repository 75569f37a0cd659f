"""Runs on a cluster of real processes: what is lost starts elsewhere, what fails says so, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.simulator import engines
from tests.jobs import (
    GOOD,
    Done,
    Gate,
    drifting,
    events_until,
    fltui,
    processes_of,
    script,
    started,
    write_job,
)
from tests.simulator.cluster.clusters import cluster, left_on, refused, same_bits, scripts_of, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the cluster of these tests is forked")

ENDLESS = script("import subprocess; subprocess.run(['sleep', '1000'])")


def _log(done: Done, site: str) -> str:
    return (Path(done.last["run_dir"]) / "logs" / f"{site}.log").read_text()


def test_a_worker_lost_in_the_midst_of_a_round_changes_no_bit(tmp_path: Path) -> None:
    gate, sites = Gate(tmp_path / "gate"), [f"site-{number}" for number in range(6)]
    scripts = {site: drifting(number / 7, *[gate.line(1)][: number % 2]) for number, site in enumerate(sites)}
    path = write_job(tmp_path / "job", scripts, "num_rounds=3")
    with cluster(tmp_path, {}, {}, {}) as live:
        with started(tmp_path, "run", path, "--engine", live.address, "--threads", "4", "--json") as process:
            events = events_until(process, "round_finished")
            events += [event for _ in range(2) for event in events_until(process, "result_accepted")]
            os.kill(next(iter(live.workers.values())), signal.SIGKILL)
            until(lambda: len(_again(tmp_path)) == 2)
            gate.open()
            events += events_until(process, "run_finished")
            assert process.wait() == 0
        lost = Done(0, "", "", events)
        assert (lost.of("site_lost"), lost.of("result_rejected"), _most_at_once(lost)) == ([], [], 4)
    assert same_bits(lost, fltui(tmp_path, "run", path, "--json"))
    assert processes_of(tmp_path) == []


def test_what_fails_or_is_ended_tells_why_and_leaves_nothing(tmp_path: Path) -> None:
    scripts = {"a": GOOD, "b": script("raise ValueError('boom')"), "c": script("import os; os.kill(os.getpid(), 9)")}
    fails = write_job(tmp_path / "fails", scripts, "min_clients=1, num_rounds=1")
    endless = write_job(tmp_path / "endless", {"a": ENDLESS, "b": ENDLESS})
    greedy = write_job(tmp_path / "greedy", {"a": GOOD})
    spec = "job.add_resource_spec('a', {'GPU': 1})\n"
    greedy.write_text(greedy.read_text().replace("job.simulator_run", f"{spec}job.simulator_run"))
    with cluster(tmp_path, {}) as live:
        refused(tmp_path, greedy, live.address, told="site a needs GPU=1, and no worker of the cluster at tcp://")
        done = fltui(tmp_path, "run", fails, "--engine", live.address, "--json")
        assert {event["site"]: event["reason"] for event in done.of("site_lost")} == {
            "b": "ValueError: boom (b.py, line 10)",
            "c": "its script was killed by SIGKILL",
        }
        assert "WARN     raise ValueError('boom')" in _log(done, "b")
        with started(tmp_path, "run", endless, "--engine", live.address, "--json") as process:
            until(lambda: sum("sleep" in line for line in scripts_of(tmp_path)) == 2)
            process.kill()
        until(lambda: scripts_of(tmp_path) == [])
        assert left_on(live.address) == []
    assert processes_of(tmp_path) == []


def _again(folder: Path) -> list[str]:
    """The sites that were started again, as their logs say."""
    told = "WARN its worker is gone; started again by tcp://"
    return [log.parent.parent.name for log in folder.glob("exchange/*/logs/*.log") if told in log.read_text()]


def _most_at_once(done: Done) -> int:
    """How many sites had a task at the same time."""
    most, now = 0, 0
    for event in done.events:
        now += {"task_published": 1, "result_accepted": -1}.get(event["event"], 0)
        most = max(most, now)
    return most


@pytest.mark.parametrize("engine", ["spark", "tcp://here", "http://127.0.0.1:1"])
def test_an_engine_that_there_is_not(tmp_path: Path, engine: str) -> None:
    with pytest.raises(BadInputError, match=f"--engine is '{engine}', expected local, dask, or the address"):
        _opened(engine)


def test_without_the_extra_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"--engine dask needs Dask: pip install 'fltui\[dask\]'"):
        _opened("dask")


def _opened(engine: str) -> None:
    with engines.processes_of(engine):
        raise AssertionError


def test_a_scheduler_that_says_nothing_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fltui.simulator.cluster.connection._CONNECT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with (
            pytest.raises(BadInputError, match=f"no Dask scheduler answers at {address}"),
            engines.processes_of(address) as there,
        ):
            there.check([], {})


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(8)])
def test_what_is_no_scheduler_is_one_sentence(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fltui.simulator.cluster.connection._CONNECT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        answering = threading.Thread(target=_answer, args=(stranger, said))
        answering.start()
        address = f"tcp://127.0.0.1:{stranger.getsockname()[1]}"
        with (
            pytest.raises(BadInputError, match=f"no Dask scheduler answers at {address}"),
            engines.processes_of(address) as there,
        ):
            there.check([], {})
        stranger.shutdown(socket.SHUT_RDWR)
        answering.join()


def _answer(server: socket.socket, said: bytes) -> None:
    """Say the same to everybody who comes."""
    held = []
    with contextlib.suppress(OSError):  # it is shut
        while True:
            held.append(server.accept()[0])
            held[-1].sendall(said)
    for one in held:
        one.close()


def test_on_one_machine_dask_is_not_loaded(tmp_path: Path) -> None:
    lines = [
        "import sys, fltui.cli.run, fltui.cli.resume, fltui.simulator.local, fltui.simulator.engines",
        "fltui.simulator.processes.start_processes().abandon()",
        "print('distributed' in sys.modules or 'dask' in sys.modules)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_script_is_told_where_its_data_lies(tmp_path: Path) -> None:
    told = "print('data:', os.environ['FLTUI_DATA'], flare.get_data_path())"
    send = "flare.send(flare.FLModel(params={'numpy_key': weights}))"
    path = write_job(tmp_path / "job", {"a": script("import os", told, send), "b": GOOD}, "num_rounds=1")
    (tmp_path / "data").mkdir()
    done = fltui(tmp_path, "run", path, "--site-data", "a=data", "--json")
    assert f"INFO data: {tmp_path / 'data'} {tmp_path / 'data'}" in _log(done, "a")
    missing = fltui(tmp_path, "run", path, "--site-data", "a=none")
    assert (missing.code, f"the data of site a, {tmp_path / 'none'}, is not there" in missing.err) == (2, True)
