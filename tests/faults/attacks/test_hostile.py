"""One hostile site beside an honest one: what it tries costs itself at most, and is told in one line."""

from __future__ import annotations

import asyncio
import os
import re
import select
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.publish import open_exchange
from fltui.exchange.visible import visible
from fltui.exchange.watch import FIRST_LOOK
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.run.events import ResultAccepted, RunFinished, RunStatus
from fltui.run.folder import RunFolder, create_run
from fltui.run.journal import read_journal
from fltui.run.options import RunOptions
from fltui.server.engine import Engine
from fltui.server.remote import RemoteSites
from fltui.workflows.fedavg import FedAvg
from tests import jobs
from tests.faults.attacks.crimes import ACTING, CRIMES
from tests.faults.attacks.hostility import HONEST, HOSTILE, NAME, Crime, Pair, Scene, plan_of
from tests.faults.attacks.pranks import PRANKS

PATIENCE = 0.3
"""Seconds that a server waits for a result of which nothing more comes."""


class PlayedSites(RemoteSites):
    """The fleet of ``fltui server``, whose sites act where the server looks for them."""

    look_every = 0.01
    pair: Pair
    then: Callable[[Pair], None]

    def look(self) -> None:
        """Let the sites act, then look at them."""
        self.pair.look()
        self.then(self.pair)
        super().look()

    async def stop(self, *, patient: bool) -> None:
        """Nobody says goodbye."""


@dataclass
class Run:
    """A run of two sites that is over."""

    folder: RunFolder
    finished: RunFinished

    @property
    def log(self) -> list[str]:
        """The server's log."""
        return (self.folder.logs / "server.log").read_text().removesuffix("\n").split("\n")

    @property
    def accepted(self) -> set[tuple[int, str]]:
        """Round and site of every result that counts."""
        return {
            (event.round, event.site)
            for event in read_journal(self.folder.journal)
            if isinstance(event, ResultAccepted)
        }

    def model(self) -> list[float]:
        """All elements of the final model."""
        found: list[float] = np.load(self.folder.models / "final" / f"{NAME}.npy").reshape(-1).tolist()
        return found


def run(folder: Path, crime: Crime, then: Callable[[Pair], None] = lambda _: None, start: float = 0.0) -> Run:
    """A run in this process; `then` is done at every look after what is due, `start` is every element at first."""
    exchange = open_exchange(folder / "exchange")
    place = create_run(folder / "runs", "test")
    (folder / "outside").mkdir()
    model = {NAME: np.full((3, 3), start, np.float32)}
    plan = plan_of([crime])
    workflow = FedAvg(num_clients=2, num_rounds=len(plan), min_clients=1, model=model)
    job = Job("test", workflow, {name: SiteApp(ScriptExecutor("a.py")) for name in (HONEST, HOSTILE)})
    fleet = PlayedSites(exchange, place.run, list(job.sites), wanted=2, at_least=2, wait=20)
    fleet.pair, fleet.then = Pair(exchange, folder / "outside", plan), then
    engine = Engine(job, place, exchange, fleet, RunOptions(wait=PATIENCE))
    return Run(place, asyncio.run(asyncio.wait_for(engine.run(), 30)))


@pytest.mark.parametrize("crime", [*CRIMES, *PRANKS], ids=lambda crime: crime.name)
def test_a_crime_costs_its_site_one_answer_and_the_others_nothing(crime: Crime, tmp_path: Path) -> None:
    if crime.unmet:
        pytest.skip(crime.unmet)
    done = run(tmp_path, crime)
    assert done.finished.state is RunStatus.COMPLETED
    rounds = len(plan_of([crime]))
    assert done.model() == [float(rounds)] * 9
    everything = {(number, site) for number in range(rounds) for site in (HONEST, HOSTILE)}
    told = [line for line in done.log if re.search(f"{HOSTILE} (is lost|rejected)", line)]
    if crime.reason:
        (line,) = told
        assert re.search(crime.line(done.folder.run, 1), line), line
        everything.remove((1 + (crime.told == "lost"), HOSTILE))
    else:
        assert told == []
    assert done.accepted == everything
    assert all(visible(line) == line for line in done.log)


def test_a_difference_that_overflows_the_model_is_refused(tmp_path: Path) -> None:
    difference = np.full((3, 3), 1e38, np.float32)
    reason = "is a difference that, added to the model, is beyond what float32 may hold"

    def send(scene: Scene) -> None:
        scene.send(difference, params_type="DIFF")

    crime = Crime("overflow", send, reason)
    done = run(tmp_path, crime, start=3e38)
    (line,) = (line for line in done.log if "rejected" in line)
    assert re.search(crime.line(done.folder.run, 1), line), line
    assert done.finished.state is RunStatus.COMPLETED
    assert done.model() == [float(np.float32(3e38))] * 9


def test_a_reason_that_acts_is_shown_and_stays_on_its_line(tmp_path: Path) -> None:
    asked: list[Scene] = []

    def fail(pair: Pair) -> None:
        if asked and not list(asked[0].other.tasks.glob("*.r0002.*.json")):
            pair.say(HOSTILE, "failed", ACTING)

    done = run(tmp_path, Crime("failed", asked.append, "", told="lost", mutes=True), then=fail)
    (line,) = (line for line in done.log if "is lost" in line)
    assert line.endswith(f"WARN site {HOSTILE} is lost: {visible(ACTING)}")
    assert done.finished.state is RunStatus.COMPLETED


def peak_memory(process: int) -> int:
    """Peak of the resident memory of a process, KiB; what `resource` says counts that of its parent, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) if found else 0  # it has ended, and waits for its parent


def serve(folder: Path, plan: list[Crime | None]) -> tuple[int, str, list[str]]:
    """A run of ``fltui server`` as a process of its own, and its peak memory in KiB, what it printed, and its log."""
    scripts = {HONEST: jobs.GOOD, HOSTILE: jobs.GOOD}
    job = jobs.write_job(folder, scripts, f"num_rounds={len(plan)}, min_clients=1")
    arguments = ("server", job, "--wait", "1", "--durability", "process", "--keep-models", "1")
    (folder / "outside").mkdir()
    pair = Pair(ExchangeFolder(folder / "exchange"), folder / "outside", plan)
    with (folder / "printed").open("wb") as out:
        server = subprocess.Popen(
            jobs.command(*arguments), env=jobs.environment(folder), cwd=folder, stdout=out, stderr=subprocess.STDOUT
        )
        gone, peak = os.pidfd_open(server.pid), 0
        try:
            while not select.select([gone], [], [], FIRST_LOOK)[0]:
                pair.look()
                peak = max(peak, peak_memory(server.pid))
        finally:
            server.kill()
            server.wait()
            os.close(gone)
    (log,) = folder.glob("runs/*/logs/server.log")
    printed = (folder / "printed").read_bytes().decode()
    assert server.returncode == 0, printed[-2000:]
    return peak, printed, log.read_bytes().decode().removesuffix("\n").split("\n")


@pytest.mark.timeout(300)  # two whole runs, on a machine that may be busy
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs the peak memory that Linux tells")
def test_all_crimes_in_one_run_take_no_memory(tmp_path: Path) -> None:
    tried = [crime for crime in (*CRIMES, *PRANKS) if not (crime.unmet or crime.inside)]
    for name in ("usual", "attacked"):
        (tmp_path / name).mkdir()
    plan = plan_of(tried)
    usual, _, _ = serve(tmp_path / "usual", [None for _ in plan])
    peak, printed, log = serve(tmp_path / "attacked", plan)
    print(f"peak memory of the server: {usual} KiB, under {len(tried)} attacks {peak} KiB")  # noqa: T201
    assert peak - usual <= 64 * 1024
    (run,) = {path.name for path in tmp_path.glob("attacked/runs/*")}
    for number, crime in enumerate(plan):
        if crime and crime.reason:
            line = crime.line(run, number)
            assert [each for each in printed.split("\n") if re.search(line, each)], crime.name
            assert [each for each in log if re.search(line, each)], crime.name
    assert visible(printed.replace("\n", " ")) == printed.replace("\n", " ")
    assert all(visible(line) == line for line in log)
    for arguments in (("show", "last"), ("logs", "last"), ("show", "last", "--json"), ("runs", "--json")):
        shown = jobs.fltui(tmp_path / "attacked", *arguments).out.replace("\n", " ")
        assert visible(shown) == shown
