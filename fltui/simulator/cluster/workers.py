"""The workers of a cluster: which of them can be used, who comes and goes; in the event loop of `LoopThread`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fltui.errors import BadInputError
from fltui.simulator.cluster.connection import Connection, warn
from fltui.simulator.cluster.look import Question, Sight
from fltui.simulator.cluster.placing import Seat, check_places, seat_for
from fltui.simulator.cluster.sharing import asked, fault_of
from fltui.simulator.cluster.worker import look
from fltui.simulator.needs import Needs

_LOOK = 30.0
"""Seconds in which a worker has to say what it sees."""


@dataclass(frozen=True)
class LiveWorker:
    """A worker that is there.

    Attributes:
        seat: the worker, and who runs on it.
        gone: done when it is gone.
    """

    seat: Seat
    gone: asyncio.Future[None]


class Workers:
    """The workers that have shown that they see what they have to.

    Args:
        connection: to their scheduler.
        patience: seconds that a site waits for one that can run it.
    """

    def __init__(self, connection: Connection, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._seats: dict[str, LiveWorker] = {}
        self._needs: Mapping[str, Needs] = {}
        self._folders: Mapping[str, Path] = {}
        self._changed = asyncio.Event()
        self._leaving: list[set[str]] = []
        """Who has gone since each look began that is not over: the scheduler may answer with what was before."""

    async def check(self, needs: Mapping[str, Needs], folders: Mapping[str, Path]) -> None:
        """Find out who can run what.

        Workers that do not see what they should are not used; where others do, a warning tells of it.

        Args:
            needs: of all sites, by their names.
            folders: that the workers have to see, by what they are called in sentences.

        Raises:
            BadInputError: no worker can be used, or not all sites find a place.
        """
        self._needs, self._folders = needs, folders
        self._connection.client.subscribe_topic("all", self._event)
        faults = await self._admit()
        if not self._seats:
            none = f"{self._connection.name} has no worker yet; start some, as with 'dask worker SCHEDULER'"
            raise BadInputError(_joined(faults) or none)
        check_places(self._needs.values(), [live.seat for live in self._seats.values()], self._connection.name)
        if faults:
            warn(f"{_joined(faults)}; the run goes without, on {len(self._seats)} of its workers")

    async def _admit(self, address: str = "") -> list[str]:
        """Let workers show what they see, that one or all; why some cannot be used."""
        data = sorted({one.data for one in self._needs.values() if one.data})
        gone: set[str] = set()
        self._leaving.append(gone)
        try:
            with asked(self._folders, data) as question:
                addresses = [address] if address else list(await self._workers())
                looks = await asyncio.gather(*(self._judged(question, one) for one in addresses))
            there = await self._workers()
        finally:
            self._leaving = [one for one in self._leaving if one is not gone]
        found = {one: look for one, look in zip(addresses, looks, strict=True) if one in there and one not in gone}
        for one, (sight, fault) in found.items():
            if not fault and isinstance(sight, Sight) and one not in self._seats:
                of = there[one]
                seat = Seat(one, sight.host, of["nthreads"], of["resources"], sight.data)
                self._seats[one] = LiveWorker(seat, asyncio.get_running_loop().create_future())
        self._tell_of_change()
        return [fault for _, (_, fault) in sorted(found.items(), key=lambda item: item[0]) if fault]

    async def _workers(self) -> Mapping[str, Any]:
        """What the scheduler knows of its workers, by their addresses."""
        workers: Mapping[str, Any] = (await self._connection.client.scheduler.identity())["workers"]
        return workers

    async def _judged(self, question: Question, address: str) -> tuple[Sight | BaseException, str]:
        """What a worker found, and why it cannot be used."""
        sight = await self._sight(question, address)
        return sight, await fault_of(address, sight, question, self._folders)

    async def _sight(self, question: Question, address: str) -> Sight | BaseException:
        """What a worker found; an exception where it could not look."""
        found = self._connection.client.run(look, question, secrets.token_hex(8), workers=[address], on_error="return")
        try:
            sight: Sight | BaseException = (await asyncio.wait_for(found, _LOOK))[address]
        except TimeoutError:
            return BadInputError(f"it says nothing for {_LOOK:g} s, and may hang at a file server")
        except Exception as error:  # noqa: BLE001 - whatever it was, that worker cannot be used
            return error
        return sight

    def _event(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, told = event
        if told.get("action") == "remove-worker":
            for gone in self._leaving:
                gone.add(told["worker"])
            live = self._seats.pop(told["worker"], None)
            if live is not None:
                live.gone.set_result(None)
                if not self._seats:
                    warn(f"{self._connection.name} has no worker any more; its sites wait {self._patience:g} s for one")
        elif told.get("action") == "add-worker":
            self._connection.do(self._welcome(told["worker"]))

    async def _welcome(self, address: str) -> None:
        try:
            faults = await self._admit(address)
        except (BadInputError, OSError) as error:
            faults = [str(error)]
        if faults:
            warn(f"{_joined(faults)}; it is not used")

    def _tell_of_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def seat(self, site: str, *, alone: bool = False) -> LiveWorker | None:
        """A worker for a site, which is counted as there from now on; None where none comes in time.

        Args:
            site: its name.
            alone: see `seat_for`.
        """
        loop, needs = asyncio.get_running_loop(), self._needs[site]
        deadline = loop.time() + self._patience
        while (seat := seat_for(needs, [live.seat for live in self._seats.values()], alone=alone)) is None:
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - loop.time())
            except TimeoutError:
                return None
        seat.sites[site] = needs
        return self._seats[seat.address]

    def leave(self, site: str, live: LiveWorker) -> None:
        """A site does not run there any more."""
        live.seat.sites.pop(site, None)
        self._tell_of_change()

    def __contains__(self, address: str) -> bool:
        """Whether a worker is there."""
        return address in self._seats


def _joined(faults: list[str], most: int = 3) -> str:
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(faults[:most]) + more
