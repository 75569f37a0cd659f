"""What starts and ends the processes of one run's sites on a worker of a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from fltui.client.output import LogFile
from fltui.exchange.append import end_last_line
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.publish import site_lock
from fltui.exchange.released import until_released
from fltui.exchange.watch import WatchMode
from fltui.simulator.launch import Ended, Launch
from fltui.simulator.processes import Processes, start_processes

_LOCK = 120.0
"""Seconds that a site may be held by a script of a worker that is lost: a file server waits 90 until it takes the lock
from a machine that has gone."""


@dataclass(frozen=True)
class Order:
    """What a task is to run.

    Attributes:
        launch: the script.
        relay: folder and mode of a watch for all sites, see `Processes.relay`; None for none.
        note: a line for the site's log, before the script begins; empty for none.
    """

    launch: Launch
    relay: tuple[str, WatchMode] | None = None
    note: str = ""

    @property
    def run(self) -> str:
        """The run's id."""
        return run_of(self.launch)


def run_of(launch: Launch) -> str:
    """The id of the run that a script takes part in."""
    return launch.environment["FLTUI_RUN"]


def killed(order: Order) -> Ended:
    """The end of a script that did not begin: nobody asks for it any more."""
    return Ended(order.launch.site, 0, -signal.SIGKILL)


class Keeper(WorkerPlugin):
    """Keeps the sites of one run on one worker; used in the worker's event loop only.

    Args:
        worker: Dask's, which it leaves when there is no site any more.
        name: that it has there.
    """

    def __init__(self, worker: Any, name: str) -> None:
        self._worker = worker
        self._name = name
        self._processes: Processes | None = None
        self._sites: dict[str, asyncio.Future[Ended]] = {}
        self._keys: dict[str, str] = {}
        """The sites, by the keys of their tasks."""
        self._unwanted: set[str] = set()
        """Keys of tasks that were taken back, or whose sites are to be killed."""
        self._starting = asyncio.Lock()
        self._relayed = False

    async def run(self, key: str, order: Order) -> Ended:
        """Run a site's script; when this is done, its process and all of its group are gone."""
        site = order.launch.site
        self._keys[key] = site
        try:
            await self._released(key, order)
            async with self._starting:
                if key in self._unwanted:
                    return killed(order)
                ended = await self._start(order)
            if key in self._unwanted:
                self._kill(site)
            return await ended
        finally:
            del self._keys[key]
            self._unwanted.discard(key)
            if not self._keys and self._worker.plugins.get(self._name) is self:
                await self._worker.plugin_remove(name=self._name)

    async def _start(self, order: Order) -> asyncio.Future[Ended]:
        launch = order.launch
        if (before := self._sites.get(launch.site)) is not None and not before.done():
            self._kill(launch.site)
            await asyncio.wait([before])
        if self._processes is None:
            self._processes = start_processes()
        if order.relay is not None and not self._relayed:
            self._relayed = True
            self._processes.relay(Path(order.relay[0]), order.relay[1])
        if order.note:
            _write_line(Path(launch.log), order.note)
        ended = self._sites[launch.site] = await self._processes.start(launch)
        return ended

    async def _released(self, key: str, order: Order) -> None:
        """Wait until no script of a worker or a simulator that is lost holds the site; it ends by itself, soon."""
        exchange = ExchangeFolder(Path(order.launch.environment["FLTUI_EXCHANGE"]))
        lock = site_lock(exchange.site(order.launch.site), order.run)
        await until_released(lock, _LOCK, unless=lambda: key in self._unwanted)

    def send(self, sites: list[str], sent: signal.Signals) -> None:
        """Send a signal to the groups of those sites that are here; a site that is to be killed is not started then."""
        if sent == signal.SIGKILL:
            self._unwanted.update(key for key, site in self._keys.items() if site in sites)
        if self._processes is not None:
            self._processes.signal(sites, sent)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Dask calls it for every task of the worker: kill the script of one that was taken back."""
        site = self._keys.get(key)
        if finish == "released" and site is not None and start in ("executing", "long-running"):
            self._unwanted.add(key)
            self._kill(site)

    def _kill(self, site: str) -> None:
        if self._processes is not None:
            self._processes.signal([site], signal.SIGKILL)

    async def teardown(self, worker: Any) -> None:  # noqa: ARG002 - Dask's
        """Dask calls it when the worker closes, and when this is removed from it."""
        if self._processes is not None:
            processes, self._processes = self._processes, None
            await processes.close()


def _write_line(path: Path, text: str) -> None:
    """Append a line to a site's log, as its script would."""
    with contextlib.suppress(OSError):  # a full disk must not keep a site from going on
        end_last_line(path)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            LogFile(fd).feed("WARN", f"{text}\n")
        finally:
            os.close(fd)
