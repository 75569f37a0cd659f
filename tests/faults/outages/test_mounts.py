"""Outages of real disks under real processes: full, unmounted, mounted read-only; and a process out of descriptors."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fltui.run.events import ResultAccepted
from fltui.run.folder import RunFolder, find_run
from fltui.run.journal import read_journal
from tests.faults.outages.mounted import Ballast, bound, mount, tmpfs, unmount
from tests.jobs import Done, Gate, drifting, events_until, fltui, started, write_job

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts of Linux")

SCRIPTS = {"a": drifting(0.3), "b": drifting(0.7)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = fltui(folder, "run", write_job(folder / "job", SCRIPTS), "--json")
    assert done.code == 0, done.err
    return done


@dataclass
class Served:
    """A server and two clients; the script of ``a`` is held in round 1 until a test lets it go on."""

    folder: Path
    server: subprocess.Popen[str]
    clients: dict[str, subprocess.Popen[str]]
    gate: Gate

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return find_run("last", self.folder / "runs")

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of a kind."""
        return events_until(self.server, kind)[-1]

    def hears(self, site: str, said: str) -> None:
        """Wait until a client says something."""
        stderr = self.clients[site].stderr
        assert stderr is not None
        assert any(said in line for line in stderr), f"{site} did not say {said!r}"

    def completes(self, undisturbed: Done) -> None:
        """It ends as if nothing had happened."""
        assert_same(self.until("run_finished"), undisturbed)
        assert [process.wait() for process in (self.server, *self.clients.values())] == [0, 0, 0]
        accepted = [event for event in read_journal(self.run.journal) if isinstance(event, ResultAccepted)]
        assert sorted((event.site, event.round) for event in accepted) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def assert_same(end: dict[str, Any], undisturbed: Done) -> None:
    """A run has completed with the bits of the one that nobody disturbed."""
    assert (end["state"], end["reason"]) == ("FINISHED:COMPLETED", "")
    files = [Path(found["final_model"]["numpy_key"]).read_bytes() for found in (end, undisturbed.last)]
    assert files[0] == files[1]


@contextmanager
def clients(folder: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Both sites' scripts."""
    with ExitStack() as running:
        yield {
            site: running.enter_context(
                started(folder, "client", folder / "job" / f"{site}.py", "--site", site, "--durability", "process")
            )
            for site in SCRIPTS
        }


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Everybody is at work, and ``a`` is held in round 1, which ``b`` has answered."""
    gate = Gate(folder / "gate")
    job = write_job(folder / "job", {**SCRIPTS, "a": drifting(0.3, "print('round', round)", gate.line(1))})
    serve = ("server", job, "--json", "--wait", "60", "--durability", "process")
    with started(folder, *serve) as server, clients(folder) as both:
        events_until(server, "round_finished")
        assert events_until(server, "result_accepted")[-1]["site"] == "b"
        yield Served(folder, server, both, gate)


def test_a_full_disk_under_the_runs_pauses_the_run_until_there_is_room(tmp_path: Path, undisturbed: Done) -> None:
    with tmpfs(tmp_path / "runs", "2m"), served(tmp_path) as run:
        ballast, reserve = Ballast(tmp_path / "runs"), run.run.root / ".reserve"
        assert reserve.stat().st_blocks * 512 >= 1 << 16  # for the words that follow
        ballast.fill()
        run.gate.open()
        reason = run.until("run_paused")["reason"]
        assert not reserve.exists()
        places = f"{tmp_path}/exchange and {run.run.root}"
        assert re.fullmatch(
            rf"No space left on device.*; the run goes on by itself when 256\.\d KiB are free in {places}", reason
        )
        assert (run.run.state().status, run.run.state().reason) == ("PAUSED", reason)
        ballast.clear()
        run.until("run_resumed")
        run.completes(undisturbed)


@pytest.mark.parametrize("both", [False, True])
def test_a_full_disk_under_the_exchange_holds_a_site_up_until_there_is_room(
    tmp_path: Path, undisturbed: Done, both: bool
) -> None:
    with ExitStack() as mounted:
        folders = [tmp_path / name for name in (("exchange", "runs") if both else ("exchange",))]
        for folder in folders:
            mounted.enter_context(tmpfs(folder, "2m"))
        run = mounted.enter_context(served(tmp_path))
        ballast = [Ballast(folder) for folder in folders]
        for one in ballast:
            one.fill()
        run.gate.open()
        run.hears("a", "site a: the result of round 1 cannot be written: No space left on device (")
        for one in ballast:
            one.clear()
        run.completes(undisturbed)


def test_a_command_on_a_full_disk_says_so(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", SCRIPTS)
    with tmpfs(tmp_path / "exchange", "1m"), tmpfs(tmp_path / "runs", "1m"):
        for folder in (tmp_path / "exchange", tmp_path / "runs"):
            Ballast(folder).fill()
        done = fltui(tmp_path, "run", job)
        assert (done.code, done.out) == (2, "")
        told = rf"error: exchange folder {tmp_path}/exchange cannot be used: No space left on device \({tmp_path}.*\)\n"
        assert re.fullmatch(told, done.err)
        (tmp_path / "exchange" / "ballast").unlink()
        done = fltui(tmp_path, "server", job)
        assert done.code == 2
        assert re.fullmatch(
            rf"error: job test cannot be exported to {tmp_path}/runs/.*: .*No space left on device\n", done.err
        )


def test_an_exchange_that_is_unmounted_is_waited_for(tmp_path: Path, undisturbed: Done) -> None:
    source, exchange = tmp_path / "source", tmp_path / "exchange"
    with bound(source, exchange), served(tmp_path) as run:
        unmount(exchange)
        assert run.until("run_paused")["reason"] == (
            f"the exchange folder {exchange} is away: there is no exchange.json that can be read; the run goes on by "
            "itself when its own is back"
        )
        run.hears("b", "site b: the exchange folder is away: No such file or directory (")
        run.gate.open()
        run.hears("a", "site a: the result of round 1 cannot be written: No such file or directory (")
        assert list(exchange.iterdir()) == []
        mount("--bind", source, exchange)
        run.until("run_resumed")
        run.completes(undisturbed)


def test_an_exchange_that_is_mounted_read_only_is_waited_for(tmp_path: Path, undisturbed: Done) -> None:
    source, exchange = tmp_path / "source", tmp_path / "exchange"
    with bound(source, exchange), served(tmp_path) as run:
        mount("--bind", source, exchange)
        mount("-o", "remount,bind,ro", exchange)
        run.gate.open()
        run.hears("a", "site a: the result of round 1 cannot be written: Read-only file system (")
        unmount(exchange)
        run.completes(undisturbed)


def test_a_run_whose_disk_is_away_ends_with_a_sentence_and_can_be_resumed(tmp_path: Path, undisturbed: Done) -> None:
    source, runs = tmp_path / "source", tmp_path / "runs"
    with bound(source, runs):
        with served(tmp_path) as run:
            folder = run.run.root
            unmount(runs)
            run.gate.open()
            assert run.server.wait() == 1
            assert run.server.stderr is not None
            (line,) = run.server.stderr.read().splitlines()
            assert line.startswith(
                f"error: run {folder.name} failed: the server cannot go on: No such file or directory ({folder}/"
            )
            assert [process.wait() for process in run.clients.values()] == [1, 1]
        mount("--bind", source, runs)
        with clients(tmp_path), started(tmp_path, "resume", "last", "--json") as resumed:
            assert_same(events_until(resumed, "run_finished")[-1], undisturbed)
            assert resumed.wait() == 0


def test_a_server_that_may_open_no_more_files_ends_with_a_sentence_and_can_be_resumed(
    tmp_path: Path, undisturbed: Done
) -> None:
    with served(tmp_path) as run:
        resource.prlimit(run.server.pid, resource.RLIMIT_NOFILE, (3, 3))
        assert run.server.wait() == 1
        assert run.server.stderr is not None
        (line,) = run.server.stderr.read().splitlines()
        assert line.startswith(f"error: run {run.run.run} failed: the server cannot go on: Too many open files (")
        with started(tmp_path, "resume", "last", "--json") as resumed:
            events_until(resumed, "site_joined")
            run.gate.open()
            assert_same(events_until(resumed, "run_finished")[-1], undisturbed)
            assert [process.wait() for process in (resumed, *run.clients.values())] == [0, 0, 0]
