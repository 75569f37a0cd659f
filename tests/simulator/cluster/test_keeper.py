"""What a worker does with sites that are not wanted any more; the worker is a stand-in."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fltui.exchange.lock import hold, let_go
from fltui.exchange.publish import open_exchange, site_lock
from fltui.simulator.cluster.keeper import Keeper, Order
from tests.simulator.launches import RUN, launch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no locks")


class _Worker:
    def __init__(self) -> None:
        self.plugins: dict[str, Any] = {}

    async def plugin_remove(self, name: str) -> None:
        await self.plugins.pop(name).teardown(self)


@pytest.mark.parametrize("how", ["killed", "taken back"])
async def test_a_site_that_is_killed_while_it_waits_for_its_lock_is_not_started(tmp_path: Path, how: str) -> None:
    order, worker = Order(launch(tmp_path, "a", "open('begun', 'w')")), _Worker()
    lock = site_lock(open_exchange(tmp_path / "exchange").site("a"), RUN)
    lock.parent.mkdir(parents=True, exist_ok=True)
    fd = hold(lock)
    assert fd is not None
    keeper = worker.plugins["fltui"] = Keeper(worker, "fltui")
    running = asyncio.create_task(keeper.run("key", order))
    await asyncio.sleep(0)
    keeper.send(["a"], signal.SIGTERM)
    if how == "killed":
        keeper.send(["a", "b"], signal.SIGKILL)
    else:
        keeper.transition("key", "long-running", "released")
    ended = await running
    assert (ended.site, ended.pid, ended.code, worker.plugins) == ("a", 0, -signal.SIGKILL, {})
    assert keeper._processes is None
    let_go(lock, fd)
