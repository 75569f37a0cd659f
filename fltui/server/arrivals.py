"""What a run waits for: results of sites, requests of people, and whoever wakes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from fltui.exchange.hints import Hints
from fltui.exchange.layout import ExchangeFolder, SiteFolder
from fltui.exchange.watch import WatchMode


class Arrivals:
    """Watches the folders that a run waits on; used in the thread of one event loop.

    Args:
        exchange: the exchange folder.
        control: folder of the run's requests.
        mode: how folders are watched.
        asked: called when a request is there.

    Attributes:
        hints: sites where something has arrived since `take_hints`.
    """

    def __init__(self, exchange: ExchangeFolder, control: Path, mode: WatchMode, asked: Callable[[], None]) -> None:
        self.hints: set[str] = set()
        self._exchange = exchange
        self._control = control
        self._mode: WatchMode = mode
        self._asked = asked
        self._source: Hints | None = None
        self._waiter: asyncio.Future[None] | None = None

    def watch(self, sites: Iterable[str]) -> None:
        """Watch the requests and these sites' results, from now on and anew."""
        self.close()
        self._source = Hints(self._exchange.root, self._mode)
        for folder in (self._control, *(self._exchange.site(site).results for site in sites)):
            self._source.add(folder)
        self._source.follow(asyncio.get_running_loop(), self._arrived)

    def add(self, site: SiteFolder) -> None:
        """Watch one more site's results."""
        if self._source is not None:
            self._source.add(site.results)

    def close(self) -> None:
        """Watch no more."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def take_hints(self) -> set[str]:
        """The sites where something has arrived, once."""
        hints, self.hints = self.hints, set()
        return hints

    def wake(self) -> None:
        """End a `pause`."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def pause(self, seconds: float) -> None:
        """Let the event loop go on until something happens, `seconds` at most."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(seconds, self.wake)
        try:
            await self._waiter
        finally:
            timer.cancel()

    def _arrived(self, folders: set[Path]) -> None:
        for folder in folders:
            if folder == self._control:
                self._asked()
            else:
                self.hints.add(folder.parent.name)
                self.wake()
