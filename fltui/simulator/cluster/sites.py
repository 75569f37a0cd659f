"""The sites of a run as tasks on the workers of a cluster; in the event loop of `LoopThread`."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import KilledWorker

from fltui.exchange.watch import WatchMode
from fltui.simulator.cluster.connection import Connection, first_line, warn
from fltui.simulator.cluster.keeper import Order, run_of
from fltui.simulator.cluster.worker import run_site, send
from fltui.simulator.cluster.workers import LiveWorker, Workers
from fltui.simulator.launch import Ended, Launch
from fltui.simulator.needs import Needs

_NOTICE = 2.0
"""Seconds in which the end of the scheduler, of a worker, or of a process that was killed, shows itself."""

_RISKY = 2
"""Starts after which a site gets a worker where nobody else is, if there is one: it may be why its workers are gone."""


class Sites:
    """Sites that run on a cluster.

    Args:
        connection: to its scheduler.
        patience: seconds that a site waits for a worker that can run it, when it has lost its own.
    """

    def __init__(self, connection: Connection, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._workers = Workers(connection, patience)
        self._needs: dict[str, Needs] = {}
        self._serving: dict[str, _Serving] = {}
        self._run = ""
        self._starts: Counter[str] = Counter()
        self._results: set[asyncio.Task[Ended | str | None]] = set()

    async def check(self, needs: Iterable[Needs], folders: Mapping[str, Path]) -> None:
        """See `Processes.check`."""
        self._needs = {one.site: one for one in needs}
        await self._connection.check_versions()
        await self._workers.check(self._needs, folders)

    async def serve(self, launch: Launch, relay: tuple[str, WatchMode] | None) -> Ended:
        """Run a site's script on a worker to its end.

        Returns:
            As it ended there, or that its worker is gone, or that there was none, or why it could not be run.
        """
        try:
            return await self._serve(launch, relay)
        except Exception as error:  # noqa: BLE001 - the site is lost by it, and the run can say why
            reason = f"{self._connection.name} could not run it: {type(error).__name__}: {first_line(error)}"
            return Ended(launch.site, 0, 0, reason)

    async def _serve(self, launch: Launch, relay: tuple[str, WatchMode] | None) -> Ended:
        site, self._run = launch.site, run_of(launch)
        serving = self._serving[site] = _Serving(asyncio.get_running_loop().create_future())
        waiting = asyncio.ensure_future(self._workers.seat(site, alone=self._starts[site] >= _RISKY))
        try:
            await _first(waiting, serving.unwanted, self._connection.lost)
            if serving.unwanted.done():
                return Ended(site, 0, -serving.unwanted.result())
            if self._connection.lost.done():
                return Ended(site, 0, 0, self._connection.lost.result())
            live = waiting.result()
            if live is None:
                name, waited = self._connection.name, f"{self._patience:g} s"
                return Ended(site, 0, 0, f"{name} has no worker any more that could run it, since {waited}")
            serving.address = live.seat.address
            return await self._serve_there(launch, relay, live, serving.unwanted)
        finally:
            if self._serving.get(site) is serving:
                del self._serving[site]
            if not waiting.cancel() and (live := waiting.result()) is not None:
                self._workers.leave(site, live)

    async def _serve_there(
        self,
        launch: Launch,
        relay: tuple[str, WatchMode] | None,
        live: LiveWorker,
        unwanted: asyncio.Future[signal.Signals],
    ) -> Ended:
        site, seat = launch.site, live.seat
        self._starts[site] += 1
        again = self._starts[site] > 1
        note = f"its worker is gone; started again by {seat.address} on host {seat.host}" if again else ""
        future = self._connection.client.submit(
            run_site,
            Order(launch, relay, note),
            key=f"fltui-{self._run}-{site}-{self._starts[site]}",
            workers=[seat.address],
            resources=dict(self._needs[site].resources) or None,
            pure=False,
        )
        ended = asyncio.create_task(_result(future))
        self._results.add(ended)
        ended.add_done_callback(self._results.discard)
        try:
            await _first(ended, live.gone, self._connection.lost, unwanted)
            if unwanted.done():  # its process tells of its end, or there is none yet: then the task is taken back
                await _first(ended, live.gone, self._connection.lost, timeout=_NOTICE)
            if ended.done() and ended.result() is None:
                # The scheduler is gone, or a worker of which it tells in a moment, or somebody has cleared everything.
                await _first(self._connection.lost, live.gone, timeout=_NOTICE)
            if self._connection.lost.done():
                return Ended(site, 0, 0, self._connection.lost.result())
            found = ended.result() if ended.done() else None
            if found is None and unwanted.done():
                return Ended(site, 0, -unwanted.result())
            if found is None:
                return Ended(site, 0, 0, f"worker {seat.address} on host {seat.host} is gone", again=True)
            if isinstance(found, Ended):
                return found
            return Ended(site, 0, 0, f"worker {seat.address} on host {seat.host} could not run it: {found}")
        finally:
            future.release()  # a task that is not done is taken back by that, and its result is none

    async def signal(self, sites: list[str], sent: signal.Signals) -> None:
        """Send a signal to the sites' processes.

        A site that waits for a worker waits no longer; one that has no process there yet is not started once it is
        to be killed.
        """
        addresses: set[str] = set()
        for site in sites:
            serving = self._serving.get(site)
            if serving is None:
                continue
            if serving.address:
                addresses.add(serving.address)
            if (not serving.address or sent == signal.SIGKILL) and not serving.unwanted.done():
                serving.unwanted.set_result(sent)
        there = [address for address in sorted(addresses) if address in self._workers]
        if not there:
            return
        try:
            await self._connection.client.run(send, self._run, sites, int(sent), workers=there, on_error="ignore")
        except OSError:
            pass  # the end of the scheduler tells of itself
        except Exception as error:  # noqa: BLE001 - whoever asked has gone on
            warn(f"{self._connection.name}: {sent.name} cannot be sent to sites: {first_line(error)}")


@dataclass
class _Serving:
    """A site that is to be served: by which worker, and by what signal it was ended if nobody wants it any more."""

    unwanted: asyncio.Future[signal.Signals]
    address: str = ""


async def _first(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED, timeout=timeout)


async def _result(future: Any) -> Ended | str | None:
    """How a task ended, or why it could not be done; None where the scheduler has taken it back."""
    try:
        ended: Ended = await future
    except (CancelledError, KilledWorker):
        return None
    except Exception as error:  # noqa: BLE001 - whatever was raised over there becomes a sentence
        return f"{type(error).__name__}: {first_line(error)}"
    return ended
