"""Whole runs within one process: the engine is real, the sites answer where the engine looks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fltui.exchange.collect import read_params, read_task
from fltui.exchange.layout import PROTOCOL, ExchangeFolder, SiteFolder
from fltui.exchange.manifest import Result, Task
from fltui.exchange.publish import open_exchange, open_site, put_arrays, put_bytes
from fltui.exchange.signing import NOBODY, Identity
from fltui.job.executors import ScriptExecutor
from fltui.job.folder import load_job, write_job
from fltui.job.job import Job, SiteApp
from fltui.model import NUM_STEPS, Params, ParamsType
from fltui.run.folder import RunFolder, create_run
from fltui.run.options import RunMode, RunOptions
from fltui.server.engine import Engine
from fltui.server.roster import Roster, Wait
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.workflow import Workflow

Train = Callable[[str, int, Params], tuple[Params, ParamsType]]
"""Site, round and model to what the site answers."""

Measure = Callable[[str, int, Params], dict[str, float]]
"""Site, round and model to the metrics of the answer."""

MODEL: Params = {"w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "b": np.zeros(3, np.float64)}


def drift(site: str, number: int, params: Params) -> tuple[Params, ParamsType]:
    """Floats that show every bit of their history, other ones at every site."""
    step = 0.1 * (number + 1) + 0.3 * ord(site[0])
    return {name: (array * 0.9 + step).astype(array.dtype) for name, array in params.items()}, ParamsType.FULL


def loss(site: str, number: int, params: Params) -> dict[str, float]:
    """A metric that is another one at every site and in every round."""
    return {"loss": 1 / (number + ord(site[0]))}


@dataclass
class Players:
    """A fleet without processes.

    Attributes:
        exchange: where they answer.
        names: who they are.
        train: what they answer.
        signs: whom they are, where they sign.
        measure: their metrics; a task ``validate`` is answered with these alone.
        fail_at: the round in which the first of them is lost, before it answers.
    """

    exchange: ExchangeFolder
    names: tuple[str, ...]
    train: Train
    signs: dict[str, Identity]
    fail_at: int | None = None
    measure: Measure = loss
    mode: RunMode = "server"
    same_user: bool = False
    look_every: float = 0.005
    _roster: Roster | None = None

    async def start(self, roster: Roster, wait: Wait, asked: frozenset[str]) -> None:
        """See `Fleet.start`."""
        self._roster = roster
        for name in self.names:
            open_site(self.exchange.site(name), "site")
            roster.join(name)

    def look(self) -> None:
        """Answer every task that has no answer yet."""
        for name in self.names:
            site = self.exchange.site(name)
            for task_id in site.published():
                if not task_id.is_end and not (site.results / f"{task_id}.json").exists():
                    if task_id.round == self.fail_at and name == self.names[0] and self._roster is not None:
                        self._roster.lose(name, "it had enough")
                    else:
                        self._answer(site, *read_task(site, task_id))

    def _answer(self, site: SiteFolder, task: Task, in_reply_to: str) -> None:
        received = read_params(site, task)
        metrics = self.measure(site.name, task.round, received)
        params: Params = {}
        kind = ParamsType.FULL
        if task.task_name != "validate":
            params, kind = self.train(site.name, task.round, received)
        entries = put_arrays(params, site.results / task.task_id, site.staging("site"))
        result = Result(
            PROTOCOL,
            task.run,
            task.task_id,
            in_reply_to,
            site.name,
            task.round,
            kind,
            entries,
            metrics,
            {NUM_STEPS: ord(site.name[0]) % 7 + 1},
        )
        manifest = self.signs.get(site.name, NOBODY).encode(result)
        put_bytes(manifest, site.results / f"{task.task_id}.json", site.staging("site"))

    def returns(self) -> bool:
        """Nobody comes back."""
        return False

    def drop(self, site: str) -> None:
        """There is no script to end."""

    async def stop(self, *, patient: bool) -> None:
        """There is no script to end."""

    def hurry(self) -> None:
        """There is no script to end."""


@dataclass
class Play:
    """A run that is to be played.

    Attributes:
        root: a folder for all of it.
        rounds: how many.
        options: of the run.
        train: what the sites answer.
        server: who the server is.
        signs: who the sites are.
        workflow: in place of averaging.
        names: of the sites.
        measure: their metrics.
    """

    root: Path
    rounds: int = 3
    options: RunOptions = field(default_factory=lambda: RunOptions(keep_results=True))
    model: Params | None = None
    train: Train = drift
    server: Identity = NOBODY
    signs: dict[str, Identity] = field(default_factory=dict)
    fail_at: int | None = None
    workflow: Workflow | None = None
    names: tuple[str, ...] = ("a", "b")
    measure: Measure = loss

    def run(self) -> RunFolder:
        """From its beginning to its end, whatever that is."""
        model = MODEL if self.model is None else self.model
        workflow = self.workflow or FedAvg(num_clients=2, num_rounds=self.rounds, model=model)
        script = self.root / "train.py"
        script.write_text("print('trains elsewhere')\n")
        apps = {name: SiteApp(ScriptExecutor("train.py"), {"train.py": script}) for name in self.names}
        folder = create_run(self.root / "runs", "test")
        write_job(Job("test", workflow, apps), folder.job)
        return self._run(folder, resumed=False)

    def resume(self, folder: RunFolder) -> RunFolder:
        """From where it stands to its end."""
        return self._run(folder, resumed=True)

    def _run(self, folder: RunFolder, *, resumed: bool) -> RunFolder:
        job, exchange = load_job(folder.job), open_exchange(self.root / "exchange")
        players = Players(exchange, tuple(job.sites), self.train, self.signs, self.fail_at, self.measure)
        engine = Engine(job, folder, exchange, players, self.options, self.server, resumed=resumed)
        asyncio.run(engine.run())
        return folder
