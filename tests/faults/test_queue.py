"""A queue whose server is killed: every job ends once, whatever was going on. Sites stay up, and are killed, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pytest

from fltui.queue.entries import Listing, read_queue
from fltui.queue.folder import QueueFolder
from fltui.run.events import RunResumed, RunStarted, RunStatus
from fltui.run.folder import list_runs
from fltui.run.journal import read_journal
from tests.jobs import Gate, command, drifting, environment, fltui, processes_of, write_job

SITES = ("a", "b")


@dataclass
class Hall:
    """A queue, its server, and sites that stay up."""

    folder: Path
    sites: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    server: subprocess.Popen[str] | None = None

    @property
    def queue(self) -> QueueFolder:
        return QueueFolder(self.folder / "queue")

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        with (self.folder / "said").open("a") as said:
            return subprocess.Popen(
                command(*arguments), env=environment(self.folder), cwd=self.folder, stdout=said, stderr=said, text=True
            )

    def start_site(self, site: str) -> None:
        jobs = self.folder / "jobs"
        self.sites[site] = self.start("client", "--jobs", jobs, "--site", site, "--durability", "process")

    def serve(self, *options: str) -> None:
        queue = ("--queue", self.queue.root, "--wait", "60", "--durability", "process")
        self.server = self.start("server", *queue, *options)

    def kill(self, sent: signal.Signals = signal.SIGKILL) -> int:
        assert self.server is not None
        self.server.send_signal(sent)
        return self.server.wait(30)

    def until(self, true: Callable[[Listing], bool], seconds: float = 90) -> Listing:
        """Wait until something can be said of the queue."""
        deadline = time.monotonic() + seconds
        while not true(listing := read_queue(self.queue)):
            assert time.monotonic() < deadline, (listing, (self.folder / "said").read_text())
            time.sleep(0.02)  # what is looked at is in files of others, as a person would
        return listing

    def drain(self) -> None:
        self.serve("--drain")
        assert self.server is not None
        assert self.server.wait(300) == 0, (self.folder / "said").read_text()

    def check(self, count: int) -> int:
        """All entries have completed, each once, with the same model; how often runs were resumed."""
        entries = read_queue(self.queue).entries
        assert [entry.status for entry in entries] == [RunStatus.COMPLETED] * count
        claimed = [entry.claim.run for entry in entries if entry.claim]
        assert sorted(path.name for path in (self.folder / "runs").iterdir()) == sorted(claimed)
        runs = list(list_runs(self.folder / "runs"))
        models, resumes = set(), 0
        for run in runs:
            assert run.state().status is RunStatus.COMPLETED
            events = list(read_journal(run.journal))
            assert sum(isinstance(event, RunStarted) for event in events) == 1
            resumes += sum(isinstance(event, RunResumed) for event in events)
            models.add(np.load(run.models / "final" / "numpy_key.npy").tobytes())
        assert (len(runs), len(models)) == (count, 1)
        return resumes


@contextmanager
def hall(folder: Path, *lines: str, groups: dict[str, list[str]] | None = None) -> Iterator[Hall]:
    """A job for two sites, or for whoever comes, which sites that stay up agree to run; `lines` are the script's."""
    found = Hall(folder)
    names = SITES if groups is None else sorted(name for named in groups.values() for name in named)
    scripts = {site: drifting(0.3, *lines) for site in names}
    job = write_job(folder / "made", scripts, "num_rounds=2, num_clients=2")
    assert fltui(folder, "export", job, folder / "jobs").code == 0
    found.queue.make()
    if groups is not None:
        found.queue.groups.write_text(json.dumps(groups))
    with ExitStack() as started:
        started.callback(_end_all, found)
        for site in names:
            found.start_site(site)
        yield found
    assert processes_of(folder) == []


def _end_all(found: Hall) -> None:
    for process in (found.server, *found.sites.values()):
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()


def submit(found: Hall, count: int, *options: str) -> None:
    """Submit the job, and let its copies wait, too."""
    for _ in range(count):
        done = fltui(found.folder, "queue", "submit", found.folder / "jobs" / "test", "--queue", "queue", *options)
        assert done.code == 0, done.err


def test_every_job_ends_once_though_server_and_site_are_killed(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    with hall(tmp_path, gate.line(1)) as found:
        submit(found, 2)
        found.serve()
        found.until(lambda listing: _in_round(listing, 1))
        assert found.kill() == -signal.SIGKILL
        found.sites["b"].kill()
        found.sites["b"].wait()
        found.start_site("b")
        found.serve()
        found.until(_is_resumed)
        gate.open()
        found.until(lambda listing: listing.entries[1].claim is not None)
        assert found.kill(signal.SIGTERM) == 128 + signal.SIGTERM
        assert "stopped; 1 run goes on when" in (tmp_path / "said").read_text()
        found.drain()
        assert found.check(2) >= 1


def _in_round(listing: Listing, number: int) -> bool:
    state = listing.entries[0].run_state
    return state is not None and number in state.rounds


def _is_resumed(listing: Listing) -> bool:
    run = listing.entries[0].run
    return run is not None and any(isinstance(event, RunResumed) for event in read_journal(run.journal))


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("parallel", [1, 3])
def test_twenty_jobs_end_once_though_the_server_is_killed_twice(tmp_path: Path, parallel: int) -> None:
    random = Random(os.environ.get("FLTUI_SOAK_SEED", parallel))
    groups = {f"group-{number}": [f"site-{number}a", f"site-{number}b"] for number in range(parallel)}
    with hall(tmp_path, groups=groups) as found:
        for number in range(20):
            submit(found, 1, "--sites", f"group-{number % parallel}")
        for over in (random.randrange(2, 9), random.randrange(10, 17)):
            found.serve("--parallel", str(parallel))
            found.until(lambda listing, over=over: sum(e.end is not None for e in listing.entries) >= over)  # type: ignore[misc]
            time.sleep(random.random() * 3)
            found.kill()
        found.serve("--drain", "--parallel", str(parallel))
        assert found.server is not None
        assert found.server.wait(500) == 0
        found.check(20)
