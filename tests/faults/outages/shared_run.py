"""One run of a real engine and real client sessions that share one exchange folder, in the time of a `Clockwork`."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from fltui.client.config import ClientConfig, Durability
from fltui.client.output import LogFile
from fltui.client.session import Session
from fltui.errors import RunFailedError
from fltui.exchange.publish import open_exchange
from fltui.exchange.watch import Backoff, WatchMode
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.model import FLModel
from fltui.run.events import (
    AnyEvent,
    Event,
    MetricLogged,
    ResultAccepted,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStatus,
    TaskPublished,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from fltui.run.options import RunOptions
from fltui.server.engine import Engine
from fltui.server.remote import RemoteSites
from fltui.workflows.fedavg import FedAvg
from tests.faults.clockwork import Clockwork, Lane, current
from tests.faults.outages.broken_disk import BrokenDisk

RUN = "shared-20260102T000000Z-beef"
SITES = ("a", "b")
ROUNDS = 2
LIMIT = 2000.0
WAIT = 600.0
MODEL = np.arange(9, dtype=np.float32).reshape(3, 3) / 7
TRAINING = 0.2
"""Seconds that a site trains."""


E = TypeVar("E", bound=Event)

Script = Callable[["Shared", str, Session], object]
"""What a script does after `init`."""


class _Deaf:
    """`Hints` that gives none: whoever waits looks for itself."""

    def __init__(self, *_: object) -> None:
        pass

    def add(self, folder: Path) -> bool:
        """See `Hints.add`."""
        return False

    are_sure = False

    def backoff(self, *, trusted: bool) -> Backoff:
        """See `Hints.backoff`."""
        return Backoff()

    def fileno(self) -> None:
        """See `Hints.fileno`."""

    def renew(self) -> None:
        """See `Hints.renew`."""

    def follow(self, *_: object) -> None:
        """See `Hints.follow`."""

    def close(self) -> None:
        """See `Hints.close`."""


@dataclass
class Shared:
    """A run and its sites.

    Args:
        root: for ``exchange`` and ``runs``.
        named: the job names its sites.
        arguments: further arguments of FedAvg.
        scripts: what sites do that do not just answer.
        wait: seconds of ``--wait``.

    Attributes:
        end: how it ended.
        ready: the sites whose scripts have begun.
        sessions: by site.
        disk: below all of it.
        trained: by site: the rounds, in order.
        said: by site: what it printed, for its person and its log.
        errors: by site: what ended its script.
        failures: why the server could not even tell that the run had ended; it was resumed.
        on_training: called in a site's lane with the site and the round, when it trains.
        plans: what happens besides, by the second after the start.
    """

    root: Path
    named: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    wait: float = WAIT
    end: RunFinished | None = None
    trained: dict[str, list[int]] = field(default_factory=lambda: {site: [] for site in SITES})
    said: dict[str, list[str]] = field(default_factory=lambda: {site: [] for site in SITES})
    errors: dict[str, Exception] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    on_training: Callable[[str, int], object] = lambda *_: None
    plans: dict[float, Callable[[], object]] = field(default_factory=dict)
    clock: Clockwork = field(default_factory=lambda: Clockwork(LIMIT))
    ready: set[str] = field(default_factory=set)
    sessions: dict[str, Session] = field(default_factory=dict)
    lanes: dict[Any, str] = field(default_factory=dict)
    disk: BrokenDisk | None = None
    engine: Engine | None = None

    @property
    def exchange(self) -> Path:
        """The exchange folder."""
        return self.root / "exchange"

    @property
    def runs(self) -> Path:
        """The folder of run folders."""
        return self.root / "runs"

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.runs / RUN)

    @property
    def side(self) -> str:
        """Whose turn it is: ``server`` or ``site``; empty until all have begun, for who begins in vain just ends."""
        if len(self.ready) < len(SITES) or not self.begun:
            return ""
        return "server" if self.clock.current is None else "site"

    @property
    def begun(self) -> bool:
        """Whether the server has begun the run, so that its end is told in the journal."""
        return self.engine is not None and bool(self.engine.state.run)

    @property
    def events(self) -> list[AnyEvent]:
        """The journal."""
        return list(read_journal(self.folder.journal))

    @property
    def paused(self) -> list[str]:
        """Why the run was paused, each time."""
        return [event.reason for event in self.events if isinstance(event, RunPaused)]

    @property
    def model(self) -> bytes:
        """The final model's file."""
        return (self.folder.models / "final" / "numpy_key.npy").read_bytes()

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def log(self) -> str:
        """The server's log."""
        return (self.folder.logs / "server.log").read_text()

    def play(self) -> Shared:
        """Run it to the end of the last script."""
        for part in (self.folder.models, self.folder.store, self.folder.logs, self.folder.control):
            part.mkdir(parents=True)
        open_exchange(self.exchange)
        with self._patched():
            for site in SITES:
                self.start(site)
            for second, plan in self.plans.items():
                self.clock.loop.call_later(second, plan)
            self.end = self.clock.loop.run_until_complete(self._serve())
        return self

    def start(self, site: str) -> None:
        """Start a site's script."""
        lane = Lane(self.clock, lambda: self._script(site))
        lane.start()
        self.lanes[lane._thread] = site

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen after some seconds."""
        self.clock.loop.call_later(seconds, what)

    def check(self, calm: Shared) -> None:
        """It has completed as if nothing had happened, and what its journal tells is consistent."""
        assert self.end is not None
        assert (self.end.state, self.end.reason) == (RunStatus.COMPLETED, "")
        assert self.errors == {}
        assert self.model == calm.model
        assert self.folder.metrics.read_text() == calm.folder.metrics.read_text()
        assert self.trained == calm.trained
        check_journal(self.events)
        assert list(self.folder.store.iterdir()) == []

    def check_tidy(self) -> None:
        """Nothing that was tried again and again lies about."""
        left = [path.name for path in self.exchange.glob("*/.syncthing.*/*") if path.suffix != ".lock"]
        assert left == []

    @contextmanager
    def _patched(self) -> Iterator[None]:
        with self.clock.running(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("fltui.client.session.Hints", _Deaf)
            patch.setattr("fltui.server.arrivals.Hints", _Deaf)
            patch.setattr("fltui.client.session.print", self._print, raising=False)
            patch.setattr(Session, "_pause", lambda _, seconds: current(self.clock).sleep(max(seconds, 0)))
            if self.disk is None:
                yield
            else:
                with self.disk.installed():
                    yield

    def _print(self, text: str, **_: object) -> None:
        lane = current(self.clock)
        self.said[self.lanes[lane._thread]].append(text)

    def _engine(self, *, resumed: bool) -> Engine:
        workflow = FedAvg(num_clients=len(SITES), num_rounds=ROUNDS, model=MODEL, **self.arguments)
        app = SiteApp(ScriptExecutor("train.py"))
        job = Job("shared", workflow, dict.fromkeys(SITES, app) if self.named else {}, None if self.named else app)
        exchange = open_exchange(self.exchange)
        fleet = RemoteSites(exchange, RUN, list(job.sites), wanted=len(SITES), at_least=workflow.quorum, wait=self.wait)
        options = RunOptions(watch=WatchMode.POLL, durable=True, wanted=len(SITES), wait=self.wait)
        return Engine(job, self.folder, exchange, fleet, options, resumed=resumed)

    async def _serve(self) -> RunFinished:
        self.engine = self._engine(resumed=False)
        try:
            end = await self.engine.run()
        except RunFailedError as error:
            self.failures.append(str(error))
            await asyncio.sleep(60)
            end = await self._engine(resumed=True).run()
        while not all(lane.done for lane in self.clock.lanes):
            await asyncio.sleep(0.25)
        return end

    def _script(self, site: str) -> None:
        try:
            session = Session(ClientConfig(site, str(self.exchange), durability=Durability.POWER), LogFile())
        except Exception as error:  # noqa: BLE001 - a test looks at it
            self.errors[site] = error
            return
        try:
            session.ready()
            self.ready.add(site)
            self.sessions[site] = session
            self.scripts.get(site, answer)(self, site, session)
        except Exception as error:  # noqa: BLE001 - a test looks at it
            self.errors[site] = error
            session.close("failed", str(error))
        else:
            session.close()
        if session._log._fd is not None:
            os.close(session._log._fd)

    def kill(self, site: str) -> None:
        """Kill a site's script with all its threads, as SIGKILL would."""
        session = self.sessions.pop(site)
        for lane in [lane for lane in self.clock.lanes if self.lanes.get(lane._thread) == site]:
            lane.kill()
        heart: Any = session._heartbeat._thread
        heart.kill()
        for fd in (session._lock, session._log._fd):
            if fd is not None:
                os.close(fd)


def answer(run: Shared, site: str, session: Session) -> None:
    """Answer every task."""
    while session.is_running():
        train(run, site, session)


def train(run: Shared, site: str, session: Session, seconds: float = TRAINING) -> None:
    """Answer one task, after some time."""
    model = session.receive()
    if model is None:
        return
    assert model.params is not None
    assert model.current_round is not None
    run.trained[site].append(model.current_round)
    run.on_training(site, model.current_round)
    current(run.clock).sleep(seconds)
    sent = model.params["numpy_key"] * np.float32(0.9) + np.float32(SITES.index(site) + 1) / np.float32(3)
    for number in range(3):
        session.log_value("value", float(sent[0, number]), "SCALAR", step=model.current_round * 3 + number)
    session.send(FLModel(params={"numpy_key": sent}, metrics={"value": float(sent[0, 0])}))


def check_journal(events: list[AnyEvent]) -> None:
    """Nothing is lost or counted twice, and pauses and rounds come in pairs."""
    assert [event.seq for event in events] == list(range(len(events)))
    accepted = [(event.site, event.round) for event in events if isinstance(event, ResultAccepted)]
    assert sorted(accepted) == [(site, number) for site in SITES for number in range(ROUNDS)]
    tasks = Counter(event.task_id for event in events if isinstance(event, TaskPublished))
    assert set(tasks.values()) == {len(SITES)}
    assert [event.round for event in events if isinstance(event, RoundFinished)] == list(range(ROUNDS))
    assert {event.attempt for event in events if isinstance(event, RoundStarted)} == {1}
    pauses = [
        type(event)
        for event in events
        if isinstance(event, RunPaused) or (isinstance(event, RunResumed) and not event.restarted)
    ]
    assert not pauses or (pauses[0], pauses[-1]) == (RunPaused, RunResumed)
    assert (RunResumed, RunResumed) not in pairwise(pauses)
    logged = Counter((event.site, event.step) for event in events if isinstance(event, MetricLogged))
    assert logged == {(site, step): 1 for site in SITES for step in range(3 * ROUNDS)}
    assert [event for event in events if isinstance(event, RunFinished)] == events[-1:]
