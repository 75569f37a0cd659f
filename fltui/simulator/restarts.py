"""Starting the scripts again that have lost the worker they ran on, by no fault that could be seen.

A script may be to blame all the same, as one that takes all of a node's memory; and whoever ran beside it went down
with it. So starts without an answer are counted. After some of them such sites start one at a time, so that who is to
blame takes none of the other suspects along; beside whom they run is for `Processes` to say. After some more a site is
not started any more.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from fltui.exchange.watch import Backoff
from fltui.simulator.launch import Ended

ASKED = 4
"""What a start in vain counts of a site that was at a task; that of one that only waited counts 1."""

SUSPECT = 2 * ASKED
"""How much, without an answer that counts between, makes that a site starts when no other suspect does."""

MOST = 5 * ASKED
"""How much makes that it is lost: the fifth worker that goes down with its task is the last."""

_PROOF = 10.0
"""Seconds in which a suspect shows by an answer that it is not to blame, or by nothing that happens."""


class Restarts:
    """The starts in vain of every site.

    Args:
        answers: how many answers of a site were accepted so far.
    """

    def __init__(self, answers: Callable[[str], int]) -> None:
        self._answers = answers
        self._answered: Counter[str] = Counter()
        self._vain: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        """How many workers each has lost in a row."""
        self._alone = asyncio.Lock()
        self._in_line: dict[str, asyncio.Task[Ended]] = {}

    def count_loss(self, site: str, *, asked: bool) -> bool:
        """Count that a site has lost its worker, and tell whether it may be started once more.

        Args:
            site: its name.
            asked: it has a task that it has not answered.
        """
        if self._answers(site) > self._answered[site]:
            self._answered[site] = self._answers(site)
            self._vain[site] = self.losses[site] = 0
        self.losses[site] += 1
        self._vain[site] += ASKED if asked else 1
        return self._vain[site] < MOST

    def start(self, site: str, start: Callable[[], Awaitable[asyncio.Future[Ended]]]) -> asyncio.Task[Ended]:
        """Start a site again, at once or when it is its turn.

        Returns:
            Done when it has ended; cancelled where it was not to be started any more.
        """
        task = asyncio.create_task(self._started(site, start))
        if self._vain[site] >= SUSPECT:
            self._in_line[site] = task
        return task

    async def _started(self, site: str, start: Callable[[], Awaitable[asyncio.Future[Ended]]]) -> Ended:
        if self._vain[site] < SUSPECT:
            return await (await start())
        try:
            await self._alone.acquire()
        finally:
            self._in_line.pop(site, None)
        try:
            ended = await start()
            await self._shown(site, ended)
        finally:
            self._alone.release()
        return await ended

    async def _shown(self, site: str, ended: asyncio.Future[Ended]) -> None:
        """Until a site has answered, has ended, or has lived for a while."""
        before, deadline, backoff = self._answers(site), time.monotonic() + _PROOF, Backoff()
        while not ended.done() and self._answers(site) == before and time.monotonic() < deadline:
            await asyncio.wait([ended], timeout=backoff.next())

    def forget(self, sites: Iterable[str]) -> None:
        """Do not start those any more whose turn has not come."""
        for site in sites:
            if (task := self._in_line.pop(site, None)) is not None:
                task.cancel()
