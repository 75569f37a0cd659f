"""The same answers in any order give the same bits: the engine is real, the sites answer one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fltui.exchange.collect import read_task
from fltui.exchange.layout import PROTOCOL, ExchangeFolder
from fltui.exchange.manifest import Result
from fltui.exchange.publish import open_exchange, open_site, put_arrays, put_document
from fltui.exchange.watch import WatchMode
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.model import NUM_STEPS, Params, ParamsType
from fltui.run.events import ResultAccepted, RunStatus
from fltui.run.folder import create_run
from fltui.run.journal import read_journal
from fltui.run.options import RunMode, RunOptions
from fltui.server.engine import Engine
from fltui.server.roster import Roster, Wait
from fltui.workflows.fedavg import FedAvg

WEIGHTS = {f"site-{number}": weight for number, weight in enumerate((0.1, 0.2, 0.3, 0.4, 0.15, 0.25, 0.35, 0.25))}
"""The first four weigh as much as the others, and only nearly so in float64."""

SIZE = 2000
SHUFFLES = 20
KINDS = {
    "full": [ParamsType.FULL] * 8,
    "diff": [ParamsType.DIFF] * 8,
    "mixed": [ParamsType.FULL, ParamsType.DIFF] * 4,
}


class Queue:
    """A fleet whose sites answer in an order, one at every look."""

    mode: RunMode = "server"
    same_user = False
    look_every = 0.005

    def __init__(
        self, exchange: ExchangeFolder, order: Sequence[str], answers: Params, kinds: list[ParamsType]
    ) -> None:
        self._exchange = exchange
        self._left = list(order)
        self._answers = answers
        self._kinds = dict(zip(WEIGHTS, kinds, strict=True))

    async def start(self, roster: Roster, wait: Wait, asked: frozenset[str]) -> None:
        """Everybody is there."""
        for name in WEIGHTS:
            roster.join(name)

    def look(self) -> None:
        """The next site answers."""
        site = self._exchange.site(self._left[0]) if self._left else None
        found = site.published() if site is not None else []
        if site is None or not found:
            return
        self._left.pop(0)
        task, digest = read_task(site, found[0])
        kind, params = self._kinds[site.name], {"w": self._answers[site.name]}
        open_site(site, "site")
        entries = put_arrays(params, site.results / task.task_id, site.staging("site"))
        meta = {NUM_STEPS: WEIGHTS[site.name]}
        result = Result(PROTOCOL, task.run, task.task_id, digest, site.name, task.round, kind, entries, {}, meta)
        put_document(result, site.result(found[0]), site.staging("site"))

    def returns(self) -> bool:
        """Nobody comes back."""
        return False

    def drop(self, site: str) -> None:
        """There is no script to end."""

    async def stop(self, *, patient: bool) -> None:
        """There is no script to end."""

    def hurry(self) -> None:
        """There is no script to end."""


def halves(dtype: str, base: NDArray[Any], kinds: list[ParamsType]) -> Params:
    """What the sites answer so that every mean is half way between two floats: the last bit of the sum decides."""
    step = float(np.finfo(dtype).eps)
    whole = 1 + step * np.random.default_rng(7).integers(0, round(0.4 / step), SIZE)
    answers = {}
    for number, (name, kind) in enumerate(zip(WEIGHTS, kinds, strict=True)):
        model = whole + step * (number >= len(WEIGHTS) // 2)
        answers[name] = (model - base if kind is ParamsType.DIFF else model).astype(dtype)
    return answers


def final_model(
    folder: Path, order: Sequence[str], base: NDArray[Any], answers: Params, kinds: list[ParamsType]
) -> bytes:
    """The bits that a round makes of the answers that come in an order."""
    exchange, place = open_exchange(folder / "exchange"), create_run(folder / "runs", "test")
    job = Job(
        "test",
        FedAvg(num_clients=len(WEIGHTS), num_rounds=1, model={"w": base}),
        {name: SiteApp(ScriptExecutor("a.py")) for name in WEIGHTS},
    )
    engine = Engine(job, place, exchange, Queue(exchange, order, answers, kinds), RunOptions(watch=WatchMode.POLL))
    finished = asyncio.run(asyncio.wait_for(engine.run(), 30))
    assert finished.state is RunStatus.COMPLETED, finished.reason
    came = [event.site for event in read_journal(place.journal) if isinstance(event, ResultAccepted)]
    assert came == list(order)
    return (place.models / "final" / "w.npy").read_bytes()


def mean_in(order: Sequence[str], base: NDArray[Any], answers: Params, kinds: list[ParamsType]) -> bytes:
    """What a server would make that adds up as the answers come."""
    total = np.zeros(SIZE)
    for name, kind in sorted(zip(WEIGHTS, kinds, strict=True), key=lambda each: order.index(each[0])):
        added = base.astype(np.float64) if kind is ParamsType.DIFF else 0.0
        total = total + (answers[name].astype(np.float64) + added) * WEIGHTS[name]
    return (total / sum(WEIGHTS.values())).astype(base.dtype).tobytes()


@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_the_order_of_arrival_changes_no_bit(tmp_path: Path, dtype: str, kinds: list[ParamsType]) -> None:
    step = float(np.finfo(dtype).eps)
    base = (step * np.random.default_rng(3).integers(0, round(0.25 / step), SIZE)).astype(dtype)
    answers = halves(dtype, base, kinds)
    orders = [random.Random(seed).sample(list(WEIGHTS), len(WEIGHTS)) for seed in range(SHUFFLES)]
    assert len({mean_in(order, base, answers, kinds) for order in orders}) > 1  # the order would tell
    found = set()
    for number, order in enumerate(orders):
        (tmp_path / str(number)).mkdir()
        found.add(final_model(tmp_path / str(number), order, base, answers, kinds))
    assert len(found) == 1


@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
@pytest.mark.parametrize("kind", [ParamsType.FULL, ParamsType.DIFF])
def test_signed_zeros_and_subnormals_pass_bit_for_bit(tmp_path: Path, dtype: str, kind: ParamsType) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    array = np.array([-0.0, 0.0, tiny, -tiny, 5 * tiny, np.finfo(dtype).max], dtype)
    base = np.full(array.shape, -0.0, dtype)
    found = final_model(tmp_path, list(WEIGHTS), base, dict.fromkeys(WEIGHTS, array), [kind] * len(WEIGHTS))
    assert found.endswith(array.tobytes())
