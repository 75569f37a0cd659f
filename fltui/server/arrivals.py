"""What a run waits for: results of sites, requests of people, and whoever wakes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from fltui.exchange.layout import ExchangeFolder, SiteFolder
from fltui.exchange.watch import Watcher, WatchMode


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
        self._watcher: Watcher | None = None
        self._waiter: asyncio.Future[None] | None = None

    def watch(self, sites: Iterable[str]) -> None:
        """Watch the requests and these sites' results, from now on and anew."""
        self.close()
        loop = asyncio.get_running_loop()

        def arrived(path: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
                loop.call_soon_threadsafe(self._arrived, path)

        self._watcher = Watcher(arrived, self._exchange.root, self._mode)
        for folder in (self._control, *(self._exchange.site(site).results for site in sites)):
            self._watcher.add(folder)

    def add(self, site: SiteFolder) -> None:
        """Watch one more site's results."""
        if self._watcher is not None:
            self._watcher.add(site.results)

    def close(self) -> None:
        """Watch no more."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

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

    def _arrived(self, path: str) -> None:
        folder = Path(path).parent
        if folder == self._control:
            self._asked()
        elif path.endswith(".json"):
            self.hints.add(folder.parent.name)
            self.wake()
