"""Who is counted as a worker; the scheduler is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from fltui.simulator.cluster.connection import Connection
from fltui.simulator.cluster.look import Sight
from fltui.simulator.cluster.workers import Workers
from fltui.simulator.needs import Needs


class _Cluster:
    """A connection, its client and the scheduler in one, with two workers.

    Args:
        looking: called while the workers look.
    """

    name = "the cluster"

    def __init__(self, looking: Callable[[Callable[[Any], None]], None]) -> None:
        self.client = self.scheduler = self
        self._looking = looking
        self._tell: Callable[[Any], None]

    def subscribe_topic(self, _: str, handler: Callable[[Any], None]) -> None:
        self._tell = handler

    async def identity(self) -> dict[str, Any]:
        """It is always that of the beginning: events may be faster."""
        return {"workers": {name: {"nthreads": 1, "resources": {}} for name in ("tcp://a:1", "tcp://b:1")}}

    async def run(self, *_: Any, workers: list[str], **__: Any) -> dict[str, Sight]:
        await asyncio.sleep(0)
        self._looking(self._tell)
        return {workers[0]: Sight()}


async def test_a_worker_that_goes_while_it_is_looked_at_gets_no_seat() -> None:
    def looking(tell: Callable[[Any], None]) -> None:
        tell((0.0, {"action": "remove-worker", "worker": "tcp://a:1"}))

    workers = Workers(cast("Connection", _Cluster(looking)), 1.0)
    await workers.check({"x": Needs("x")}, {})
    assert ("tcp://a:1" in workers, "tcp://b:1" in workers) == (False, True)
    workers._event((0.0, {"action": "remove-worker", "worker": "tcp://b:1"}))
    assert "tcp://b:1" not in workers
