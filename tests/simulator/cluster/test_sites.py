"""The sites of a run as tasks; the cluster is a stand-in whose tasks never end."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from fltui.simulator.cluster import sites as module
from fltui.simulator.cluster.connection import Connection
from fltui.simulator.cluster.look import Sight
from fltui.simulator.cluster.sites import Sites
from fltui.simulator.cluster.worker import send
from fltui.simulator.cluster.workers import Workers
from fltui.simulator.launch import Ended
from fltui.simulator.needs import Needs
from tests.simulator.launches import launch


class _Task:
    def __init__(self) -> None:
        self.end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.releases = 0

    def __await__(self) -> Any:
        return self.end.__await__()

    def release(self) -> None:
        self.releases += 1


class _Cluster:
    """A connection, its client and the scheduler in one, with a worker."""

    name = "the cluster"

    def __init__(self) -> None:
        self.client = self.scheduler = self
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.tasks: list[_Task] = []
        self.sent: list[tuple[Any, ...]] = []

    async def check_versions(self) -> None:
        pass

    def subscribe_topic(self, *_: Any) -> None:
        pass

    async def identity(self) -> dict[str, Any]:
        return {"workers": {"tcp://a:1": {"nthreads": 1, "resources": {}}}}

    async def run(self, function: Any, *arguments: Any, workers: list[str], **_: Any) -> dict[str, Sight]:
        if function is send:
            self.sent.append((*arguments[1:], workers))
        return {workers[0]: Sight()}

    def submit(self, *_: Any, **__: Any) -> _Task:
        self.tasks.append(_Task())
        return self.tasks[-1]


async def _sites(cluster: _Cluster) -> Sites:
    sites = Sites(cast("Connection", cluster), 1.0)
    await sites.check([Needs("a")], {})
    return sites


async def test_the_task_of_a_site_that_is_killed_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NOTICE", 0.01)
    cluster = _Cluster()
    sites = await _sites(cluster)
    serving = asyncio.create_task(sites.serve(launch(tmp_path, "a", ""), None))
    while not cluster.tasks:
        await asyncio.sleep(0)
    await sites.signal(["a"], signal.SIGTERM)
    for _ in range(10):
        await asyncio.sleep(0)
    assert cluster.tasks[0].releases == 0  # it was asked to end, and has its time
    await sites.signal(["a"], signal.SIGKILL)
    assert await serving == Ended("a", 0, -signal.SIGKILL)
    assert cluster.tasks[0].releases == 1
    assert cluster.sent == [(["a"], sent, ["tcp://a:1"]) for sent in (signal.SIGTERM, signal.SIGKILL)]


async def test_one_that_has_a_process_tells_how_it_ended(tmp_path: Path) -> None:
    cluster = _Cluster()
    sites = await _sites(cluster)
    serving = asyncio.create_task(sites.serve(launch(tmp_path, "a", ""), None))
    while not cluster.tasks:
        await asyncio.sleep(0)
    await sites.signal(["a"], signal.SIGKILL)
    cluster.tasks[0].end.set_result(Ended("a", 7, -9))
    assert await serving == Ended("a", 7, -9)


async def test_whatever_goes_wrong_is_the_end_of_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def seat(self: Workers, site: str, *, alone: bool) -> None:
        raise KeyError(site, alone)

    sites = await _sites(_Cluster())
    monkeypatch.setattr(Workers, "seat", seat)
    ended = await sites.serve(launch(tmp_path, "a", ""), None)
    assert ended == Ended("a", 0, 0, "the cluster could not run it: KeyError: ('a', False)")


async def test_a_signal_that_cannot_be_sent_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = _Cluster()
    sites = await _sites(cluster)
    serving = asyncio.create_task(sites.serve(launch(tmp_path, "a", ""), None))
    while not cluster.tasks:
        await asyncio.sleep(0)

    async def run(*_: Any, **__: Any) -> None:
        raise TypeError("no")

    monkeypatch.setattr(cluster, "run", run)
    await sites.signal(["a"], signal.SIGTERM)
    assert capsys.readouterr().err == "warning: the cluster: SIGTERM cannot be sent to sites: no\n"
    serving.cancel()
    await asyncio.wait([serving])
