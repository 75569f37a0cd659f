"""The sites' processes on a cluster of Dask's, as the fleet sees them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path

from fltui.exchange.watch import WatchMode
from fltui.job.handover import Ran, in_own_python
from fltui.simulator.cluster.connection import Connection
from fltui.simulator.cluster.loop_thread import LoopThread
from fltui.simulator.cluster.sites import Sites
from fltui.simulator.launch import Ended, Launch
from fltui.simulator.needs import Needs

_PATIENCE = 10.0
"""Seconds that a cluster has for its end."""


class OnDask:
    """See `Processes`. The cluster is started, or connected to, when this is made; `check` waits for it.

    Args:
        address: of a scheduler; None starts a cluster on this machine.
        workers: how many that has; None for as many as there are processors.
        patience: seconds that a site waits for another worker when its own is gone.
    """

    def __init__(self, address: str | None, workers: int | None, patience: float) -> None:
        self._thread = LoopThread()
        self._connection = Connection(address, workers)
        self._sites = Sites(self._connection, patience)
        self._opened = self._thread.begin(self._connection.open())
        self._relay: tuple[str, WatchMode] | None = None
        self._closed = False

    def run_job_script(self, script: Path, environment: Mapping[str, str]) -> Ran:
        """See `Processes.run_job_script`: it runs on this machine."""
        return in_own_python(script, environment)

    def check(self, needs: Iterable[Needs], folders: Mapping[str, Path]) -> None:
        """See `Processes.check`."""
        self._opened.result()
        self._thread.begin(self._sites.check(needs, folders)).result()

    def relay(self, root: Path, mode: WatchMode) -> None:
        """See `Processes.relay`: each worker watches for its sites."""
        self._relay = str(root), mode

    async def start(self, launch: Launch) -> asyncio.Future[Ended]:
        """See `Processes.start`. Nobody waits for the worker here."""
        return asyncio.wrap_future(self._thread.begin(self._sites.serve(launch, self._relay)))

    def signal(self, sites: Iterable[str], sent: signal.Signals) -> None:
        """See `Processes.signal`."""
        self._thread.begin(self._sites.signal(list(sites), sent))

    async def close(self) -> None:
        """See `Processes.close`."""
        try:
            if not self._closed:
                await asyncio.wrap_future(self._thread.begin(self._connection.close()))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """See `Processes.abandon`."""
        if self._closed:
            return
        self._closed = True
        self._opened.cancel()
        try:
            with contextlib.suppress(TimeoutError, CancelledError):
                self._thread.begin(self._connection.close()).result(_PATIENCE)
        finally:
            self._thread.close()
