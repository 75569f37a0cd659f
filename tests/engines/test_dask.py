"""Runs on clusters of Dask's, with what takes longer: fifty sites, workers that die in a row, the scheduler."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.jobs import GOOD, HEAD, Done, Gate, drifting, events_until, fltui, processes_of, script, started, write_job
from tests.simulator.cluster.clusters import cluster, left_on, refused, same_bits, scripts_of, tasks_on, until

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(sys.platform != "linux", reason="the cluster of these tests is forked"),
]

DIGITS = Path(__file__).parents[2] / "sample_jobs" / "digits-softmax"

ENDLESS = script("import subprocess; subprocess.run(['sleep', '1000'])")

KILLER = (
    HEAD
    + '''
import os
def _worker():
    """The parent of the fork server, which is this script's."""
    with open(f"/proc/{os.getppid()}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
'''
)


def test_fifty_sites_on_three_workers_of_which_one_is_lost(tmp_path: Path) -> None:
    asked = ("run", DIGITS, "--sites", "50", "--rounds", "4", "--json")
    with cluster(tmp_path, {}, {}, {}) as live:
        with started(tmp_path, *asked, "--engine", live.address) as process:
            events = events_until(process, "round_finished")
            events += [event for _ in range(10) for event in events_until(process, "result_accepted")]
            os.kill(list(live.workers.values())[1], signal.SIGKILL)
            events += events_until(process, "run_finished")
            assert process.wait() == 0
        lost = Done(0, "", "", events)
        assert (lost.of("site_lost"), lost.of("result_rejected")) == ([], [])
        assert [len(event["weights"]) for event in lost.of("round_finished")] == [50] * 4
        assert same_bits(lost, fltui(tmp_path, *asked, "--engine", live.address))  # with the two that are left
        assert left_on(live.address) == []
    assert same_bits(lost, fltui(tmp_path, *asked))
    assert same_bits(lost, fltui(tmp_path, *asked, "--engine", "dask", "--workers", "3"))
    assert processes_of(tmp_path) == []


def test_a_script_that_fails_says_so_as_on_one_machine(tmp_path: Path) -> None:
    scripts = {
        "a": GOOD,
        "b": script("raise ValueError('boom')"),
        "c": script("import os; os.kill(os.getpid(), 9)"),
        "d": script("import sys; sys.exit(3)"),
        "e": script("os.kill(_worker(), 9)", head=KILLER),
    }
    path = write_job(tmp_path / "job", scripts, "min_clients=1, num_rounds=1")
    done = fltui(tmp_path, "run", path, "--engine", "dask", "--workers", "2", "--json")
    lost = {event["site"]: event["reason"] for event in done.of("site_lost")}
    assert lost.pop("e", "").startswith("it has lost 5 workers in a row before it had answered; worker tcp://")
    assert lost == {
        "b": "ValueError: boom (b.py, line 10)",
        "c": "its script was killed by SIGKILL",
        "d": "the script called sys.exit(3)",
    }
    log = Path(done.last["run_dir"]) / "logs" / "b.log"
    assert "WARN     raise ValueError('boom')" in log.read_text()
    assert (done.code, list(done.of("round_finished")[0]["weights"])) == (0, ["a"])
    assert processes_of(tmp_path) == []


def test_a_worker_that_does_not_see_the_folder_is_left_out(tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", {"a": GOOD})
    blind = "import fltui.simulator.cluster.worker as w; w.looked = lambda q, _: w.Sight(faults={q.probes[0]: 'no'})"
    told = f"does not share the exchange folder {tmp_path / 'exchange'}: no"
    with cluster(tmp_path, {}, before=blind) as live:
        refused(tmp_path, path, live.address, told)
    second = tmp_path / "second"
    blind = f"import os; os.path.exists({str(second)!r}) and exec({blind!r}, {{}}); open({str(second)!r}, 'w')"
    with cluster(tmp_path, {}, {}, before=blind) as live:
        done = fltui(tmp_path, "run", path, "--engine", live.address)
        assert done.code == 0
        assert told in done.err
        assert "the run goes without, on 1 of its workers" in done.err


@pytest.mark.parametrize("how", ["aborted", "interrupted", "scheduler"])
def test_nothing_is_left_on_the_cluster(tmp_path: Path, how: str) -> None:
    path = write_job(tmp_path / "job", {"a": ENDLESS, "b": ENDLESS})
    with cluster(tmp_path, {}, {}) as live:
        with started(tmp_path, "run", path, "--engine", live.address, "--json") as process:
            events_until(process, "task_published")
            until(lambda: sum("sleep" in line for line in scripts_of(tmp_path)) == 2)
            if how == "scheduler":
                os.kill(live.scheduler, signal.SIGKILL)
                last = events_until(process, "run_finished")[-1]
                told = f": the scheduler of the cluster at {live.address} is gone"
                assert last["state"] == "FINISHED:FAILED"
                assert told in last["reason"]
            elif how == "aborted":
                assert fltui(tmp_path, "abort", "last").code == 0
            else:
                process.send_signal(signal.SIGINT)
            assert process.wait() == {"aborted": 3, "interrupted": 130, "scheduler": 1}[how]
        until(lambda: scripts_of(tmp_path) == [])
        if how != "scheduler":
            assert left_on(live.address) == []


def test_a_run_is_resumed_on_the_engine_that_it_began_on(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    path = write_job(tmp_path / "job", {"a": drifting(0.1, gate.line(1)), "b": drifting(0.2)}, "num_rounds=3")
    with cluster(tmp_path, {}, {}) as live:
        with started(tmp_path, "run", path, "--engine", live.address, "--json") as process:
            begun = events_until(process, "round_finished")[0]
            events_until(process, "result_accepted")
            process.kill()
        assert (begun["options"]["engine"], begun["options"]["site_data"]) == (live.address, {})
        gate.remove()
        resumed = fltui(tmp_path, "resume", "last", "--json")
        assert (resumed.code, resumed.err) == (0, "")
    assert same_bits(resumed, fltui(tmp_path, "run", path, "--json"))


def test_a_site_that_is_dropped_before_it_could_start_does_not_start(tmp_path: Path) -> None:
    gate, held, begun = Gate(tmp_path / "gate"), tmp_path / "held", tmp_path / "begun"
    held.touch()
    is_held = f"r.is_held = lambda path: 'b' in path.parts and os.path.exists({str(held)!r})"
    scripts = {"a": drifting(0.1, gate.line(0)), "b": script(f"open({str(begun)!r}, 'w')")}
    path = write_job(tmp_path / "job", scripts, "num_rounds=1, min_clients=1")
    with cluster(tmp_path, {}, before=f"import os, fltui.exchange.released as r; {is_held}") as live:
        with started(tmp_path, "run", path, "--engine", live.address, "--json") as process:
            events_until(process, "task_published")
            until(lambda: sum("-b-" in key for key in tasks_on(live.address)) == 1)
            assert fltui(tmp_path, "drop", "last", "b").code == 0
            until(lambda: not any("-b-" in key for key in tasks_on(live.address)))
            held.unlink()
            gate.open()
            last = events_until(process, "run_finished")[-1]
        assert (last["state"], begun.exists()) == ("FINISHED:COMPLETED", False)
        assert left_on(live.address) == []
