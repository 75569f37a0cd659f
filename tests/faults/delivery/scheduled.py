"""One run of a real engine and real client sessions, each with a folder of its own, over a layer full of mischief.

All of it happens in one process and in the time of a `Clockwork`, so a schedule is the same whenever it is played.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from fltui.client.config import ClientConfig, Durability, TransferType
from fltui.client.output import LogFile
from fltui.client.session import Session
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ExchangeFolder, running
from fltui.exchange.lock import let_go
from fltui.exchange.manifest import digest
from fltui.exchange.npy import header
from fltui.exchange.publish import open_exchange, site_lock
from fltui.exchange.watch import FIRST_DOUBT, LONGEST_WAIT, Backoff, WatchMode
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.model import NUM_STEPS, FLModel, Params
from fltui.run.events import (
    ModelSaved,
    RunFinished,
    RunStatus,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from fltui.run.models import Models
from fltui.run.options import RunOptions
from fltui.server.engine import Engine
from fltui.server.remote import RemoteSites
from fltui.workflows.fedavg import FedAvg
from tests.faults.clockwork import Clockwork, Lane, StuckError, current
from tests.faults.delivery.courier import Courier
from tests.faults.delivery.relics import MODEL, RUN, earlier_files, ghost_files
from tests.faults.delivery.schedules import Schedule

_MEMORY = Path("/dev/shm")
PATIENCE = 200.0
LIMIT = 600.0


@dataclass
class Played:
    """What a run came to.

    Attributes:
        trained: by site: round and model of every training, by start of the script.
        meant: by site and round: digest of each array that was sent.
        logged: by site and round: the value that was logged.
        events: the journal.
        models: parameters of the model that enters each round, as bytes.
        logs: by site: its log as it is in the run folder, and as the site wrote it.
    """

    trained: dict[str, list[list[tuple[int, dict[str, bytes]]]]] = field(default_factory=dict)
    meant: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    logged: dict[tuple[str, int], float] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    models: dict[int, dict[str, bytes]] = field(default_factory=dict)
    logs: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)

    def of(self, *kinds: type[Any]) -> list[Any]:
        """Events of these kinds."""
        return [event for event in self.events if isinstance(event, kinds)]


class _Ears:
    """`Hints`: what it hears is what the sync layer lets it hear."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.heard: set[Path] = set()
        self._follower: tuple[AbstractEventLoop, Callable[[set[Path]], None]] | None = None

    def add(self, folder: Path) -> None:
        """See `Hints.add`."""
        self.folders.add(str(folder))

    are_sure = True

    def backoff(self, *, trusted: bool) -> Backoff:
        """See `Hints.backoff`: what it hears should be all there is."""
        return Backoff(LONGEST_WAIT if trusted else FIRST_DOUBT)

    def fileno(self) -> int:
        """See `Hints.fileno`: there may be hints."""
        return -1

    def renew(self) -> None:
        """See `Hints.renew`."""

    def follow(self, loop: AbstractEventLoop, arrived: Callable[[set[Path]], None]) -> None:
        """See `Hints.follow`."""
        self._follower = loop, arrived

    def take(self) -> set[Path]:
        """See `Hints.take`."""
        heard, self.heard = self.heard, set()
        return heard

    def hear(self, folder: str) -> None:
        """Something has arrived."""
        self.heard.add(Path(folder))
        if self._follower is not None:
            loop, arrived = self._follower
            loop.call_soon(lambda: arrived(self.take()))

    def close(self) -> None:
        """See `Hints.close`."""
        self.folders.clear()
        self._follower = None


class _Session(Session):
    """A session whose waiting is that of its lane."""

    clock: Clockwork
    pausing: dict[Lane, _Session]

    def _pause(self, seconds: float) -> bool:
        lane = current(self.clock)
        ears = cast(_Ears, self._hints)
        if not ears.heard:
            self.pausing[lane] = self
            lane.sleep(max(seconds, 0))
            self.pausing.pop(lane, None)
        return bool(ears.take())


class _Play:
    def __init__(self, schedule: Schedule, root: Path) -> None:
        self.schedule = schedule
        self.root = root
        self.rng = random.Random(schedule.seed)
        self.clock = Clockwork(LIMIT)
        self.played = Played()
        self.server = root / "exchange"
        self.ears: list[_Ears] = []
        self.pausing: dict[Lane, _Session] = {}
        self.scripts: dict[str, Lane] = {}
        self.sessions: dict[str, _Session] = {}
        self.couriers: list[Courier] = []
        self.over = False

    @contextmanager
    def patched(self) -> Iterator[None]:
        """The seams: time, watching and the sessions' pauses."""

        def ears(*_: object) -> _Ears:
            self.ears.append(_Ears())
            return self.ears[-1]

        with self.clock.running(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("fltui.client.session.Hints", ears)
            patch.setattr("fltui.server.arrivals.Hints", ears)
            # A status is of the same length in every process: where it is cut is drawn from its length.
            patch.setattr("fltui.client.heartbeat.os", SimpleNamespace(getpid=lambda: 4711))
            patch.setattr("fltui.client.heartbeat.socket", SimpleNamespace(gethostname=lambda: "host"))
            patch.setattr(_Session, "clock", self.clock, raising=False)
            patch.setattr(_Session, "pausing", self.pausing, raising=False)
            yield

    def told(self, path: str) -> None:
        """An event for whoever watches the folder."""
        folder = os.path.dirname(path)  # noqa: PTH120 - called for every file
        for ears in self.ears:
            if folder in ears.folders:
                ears.hear(folder)
        for lane, session in list(self.pausing.items()):
            if cast(_Ears, session._hints).heard:
                lane.wake()

    # The server.

    def engine(self, *, resumed: bool) -> Engine:
        """The server of the run, or of its second part."""
        schedule = self.schedule
        app = SiteApp(ScriptExecutor("train.py"))
        sites = dict.fromkeys(schedule.names, app) if schedule.named else {}
        quorum = schedule.sites - schedule.ghost
        workflow = FedAvg(num_clients=schedule.sites, num_rounds=schedule.rounds, model=MODEL, min_clients=quorum)
        job = Job("sync", workflow, sites, None if sites else app)
        folder, exchange = RunFolder(self.root / "runs" / RUN), open_exchange(self.server)
        if not resumed:
            for part in (folder.models, folder.store, folder.logs, folder.control):
                part.mkdir(parents=True)
        fleet = RemoteSites(exchange, RUN, list(sites), wanted=schedule.sites, at_least=schedule.sites, wait=PATIENCE)
        options = RunOptions(watch=WatchMode.EVENTS, keep_rounds=1, wanted=schedule.sites, wait=PATIENCE)
        return Engine(job, folder, exchange, fleet, options, resumed=resumed)

    async def serve(self) -> RunFinished:
        """The run from its start to its last end."""
        engine = self.engine(resumed=False)
        if self.schedule.aborted:
            self.clock.loop.call_later(self.rng.uniform(0.2, 4), engine.abort, "enough")
        end = await engine.run()
        if end.state is RunStatus.ABORTED:
            # Whoever goes on with a run looks first whether all have heard of its end.
            await asyncio.sleep(0.5)
            while not all(map(self.has_left, self.schedule.names, self.couriers)):
                await asyncio.sleep(0.25)
            await asyncio.sleep(self.rng.uniform(0, 1))
            end = await self.engine(resumed=True).run()
        return end

    def has_left(self, site: str, courier: Courier) -> bool:
        """Whether the server can see that a site's script has ended; or it will find no task to begin with."""
        folder = ExchangeFolder(self.root / site).site(site)
        own, seen = read_status(folder), read_status(ExchangeFolder(self.server).site(site))
        if own is None or not own.run:
            return courier.to_site.is_done and (own is None or not running(folder.published()))
        return seen is not None and (seen.session, seen.state) == (own.session, "finished")

    # The sites.

    def start(self, site: str) -> None:
        """Start a site's script."""
        self.scripts[site] = Lane(self.clock, lambda: self.script(site))
        self.scripts[site].start()

    def kill(self, site: str) -> None:
        """Kill a site's script with all its threads, and start it again some time later."""
        session = self.sessions.get(site)
        if session is None or self.scripts[site].done or self.clock.current is not None:
            return
        for lane in (self.scripts[site], session._heartbeat._thread):
            assert isinstance(lane, Lane)
            lane.kill()
            self.pausing.pop(lane, None)
        self.close(session)
        self.clock.loop.call_later(self.rng.uniform(0.1, 1), self.start, site)

    def close(self, session: _Session) -> None:
        """What the end of a process closes."""
        if session._lock is not None:
            with suppress(OSError):
                let_go(site_lock(session.site, session.config.run), session._lock)
            session._lock = None
        if session._log._fd is not None:
            os.close(session._log._fd)
            session._log._fd = None
        self.sessions.pop(session.site.name, None)

    def script(self, site: str) -> None:
        """What a person's script does, whose training takes some time."""
        schedule, played, lane = self.schedule, self.played, current(self.clock)
        rng = random.Random(f"{schedule.seed} {site} {self.clock.now}")
        trained: list[tuple[int, dict[str, bytes]]] = []
        played.trained.setdefault(site, []).append(trained)
        config = ClientConfig(
            site,
            str(self.root / site),
            RUN if schedule.bound and not schedule.aborted else "",
            schedule.transfer,
            durability=Durability.PROCESS,
        )
        session = self.sessions[site] = _Session(config, LogFile())
        session.ready()
        place = schedule.names.index(site)
        while session.is_running():
            model = session.receive()
            if model is None:
                break
            assert model.params is not None
            assert model.current_round is not None
            trained.append((model.current_round, as_bytes(model.params)))
            lane.sleep(rng.uniform(0.005, 0.1))
            sent = {name: value * np.float32(0.9) + np.float32(place + 1) / 3 for name, value in model.params.items()}
            value = float(sent["numpy_key"][0, 0])
            if (site, model.current_round) not in played.logged:
                played.logged[site, model.current_round] = value
                session.log_value("first", value, "SCALAR")
            session._log.feed("INFO", f"round {model.current_round}\n")
            received = model.params if schedule.transfer is TransferType.DIFF else None
            played.meant[site, model.current_round] = digests(sent, received)
            session.send(FLModel(params=sent, metrics={"value": value}, meta={NUM_STEPS: place + 1}))
        session.close()
        session._lock = None
        self.close(session)
        if not self.over and schedule.aborted:
            self.clock.loop.call_later(rng.uniform(0.1, 1), self.start, site)

    def is_served(self, site: str) -> bool:
        """Whether a script has ended, or knows of the end and waits for another run, which is not to come."""
        lane, session = self.scripts[site], self.sessions.get(site)
        if lane.done:
            return lane.error is not None or session is None
        if session is None or session.run:
            return False
        return self.knows_the_end(site)

    def knows_the_end(self, site: str) -> bool:
        """Whether the run has ended as far as can be seen in a site's folder."""
        found = ExchangeFolder(self.root / site).site(site).published()
        return not running(found) and any(one.is_end and one.run == RUN for one in found)

    # What lies there from before.

    def earlier(self) -> None:
        """An earlier run has left its end and last tasks; others of its files come back."""
        for courier, site in zip(self.couriers, self.schedule.names, strict=True):
            for name, data in earlier_files(site).items():
                down = "/tasks/" in name
                if ".end." in name or self.rng.random() < 0.4:
                    path = (self.root / site if down else self.server) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                else:
                    way = courier.to_site if down else courier.to_server
                    way.raise_up({name: data}, self.clock.now)

    def ghost(self) -> None:
        """An answer to another task of the same name."""
        number = self.rng.randrange(self.schedule.rounds)
        self.couriers[0].to_server.raise_up(ghost_files(self.schedule.names[0], number), self.clock.now)

    # All of it.

    async def play(self) -> RunFinished:
        """From the start of the server to the end of the last script."""
        schedule, loop = self.schedule, self.clock.loop
        for site in schedule.names:
            (self.root / site).mkdir()
            seed = random.Random(f"{schedule.seed} {site}")
            self.couriers.append(Courier(self.server, self.root / site, site, seed, schedule.kinds, self.told))
            loop.call_later(self.rng.uniform(0, 0.2), self.start, site)
        self.server.mkdir()
        if schedule.earlier:
            self.earlier()
        if schedule.ghost:
            self.ghost()
        if schedule.killed:
            for _ in range(self.rng.randrange(1, 3)):
                loop.call_later(self.rng.uniform(0.3, 2), self.kill, self.rng.choice(schedule.names))
        for courier in self.couriers:
            self.carry(courier)
        end = await self.serve()
        self.over = True
        while not all(site in self.scripts and self.is_served(site) for site in schedule.names):
            await asyncio.sleep(0.25)
        return end

    def carry(self, courier: Courier) -> None:
        """Let the sync layer work, again and again."""
        now = self.clock.now
        self.clock.loop.call_at(max(courier.step(now), now + 0.001), self.carry, courier)


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def as_bytes(params: Params) -> dict[str, bytes]:
    """The elements of each array."""
    return {name: array.tobytes() for name, array in params.items()}


def digests(sent: Params, received: Params | None) -> dict[str, str]:
    """Digest of each array's file as it is meant to travel, the difference if there is something to differ from."""
    found = {}
    for name, array in sent.items():
        travels = array if received is None else (array - received[name]).astype(array.dtype)
        found[name] = digest(header(travels.dtype.str, travels.shape) + travels.tobytes())
    return found


def play(schedule: Schedule) -> Played:
    """Play a schedule to its end.

    Raises:
        StuckError: it has none.
        Exception: what ended a script.
    """
    root = Path(tempfile.mkdtemp(prefix="fltui-", dir=_MEMORY if _MEMORY.is_dir() else None))
    playing = _Play(schedule, root)
    try:
        with playing.patched():
            main = playing.clock.loop.create_task(playing.play())
            try:
                playing.clock.loop.run_until_complete(main)
            except StuckError:
                playing.clock.limit += LIMIT
                main.cancel()
                with suppress(asyncio.CancelledError):
                    playing.clock.loop.run_until_complete(main)
                raise
            finally:
                for lane in playing.scripts.values():
                    if lane.error is not None:
                        raise lane.error
        played, folder = playing.played, RunFolder(root / "runs" / RUN)
        played.events = list(read_journal(folder.journal))
        for number in sorted({event.round for event in played.of(ModelSaved)}):
            model = Models(folder.models, durable=False).load(number)
            played.models[number] = as_bytes(
                {name: np.load(model.folder / e.file) for name, e in model.entries.items()}
            )
        for site in schedule.names:
            own = ExchangeFolder(root / site).site(site).log(RUN)
            copy = folder.logs / f"{site}.log"
            played.logs[site] = (_read(copy), _read(own))
        return played
    finally:
        for session in list(playing.sessions.values()):
            playing.close(session)
        shutil.rmtree(root)
