"""The sites of an exchange as the home screen lists them: who is there, by what changes while somebody looks.

Heard of is a site whose status has changed since the last look, by the clock of this process; no clock of a site is
asked. Silent is one that a server would lose, see `fltui.exchange.silence`. Who has said goodbye is not listed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fltui.console.natural import natural
from fltui.console.safe import safe
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import SiteActivity, Status
from fltui.exchange.silence import patience, with_gap

MOST = 1000
"""Sites that are looked at."""


@dataclass(frozen=True)
class SiteLine:
    """One site, in harmless text.

    Attributes:
        name: of the site.
        state: what it says it is doing.
        run: the run that it serves; empty where it waits for one.
        heard: seconds since its status last changed; None if it did not while somebody looked.
        silent: it has not been heard of for longer than its pace allows.
        reason: what it says of a failure.
    """

    name: str
    state: SiteActivity
    run: str
    heard: float | None
    silent: bool
    reason: str


@dataclass(frozen=True)
class _Heard:
    """What was last seen of a site: its words, when they changed, and how long the times before lay apart."""

    session: str
    counter: int
    at: float | None = None
    gaps: tuple[float, ...] = ()

    def next(self, status: Status, now: float) -> _Heard:
        """The same after a look."""
        if (status.session, status.counter) == (self.session, self.counter):
            return self
        goes_on = status.session == self.session
        gaps = with_gap(self.gaps, now - self.at) if self.at is not None and goes_on else ()
        return _Heard(status.session, status.counter, now, gaps)


class SiteList:
    """Looks at the sites again and again.

    Args:
        exchange: the exchange folder, which need not be there.
        now: a monotonic clock.
    """

    def __init__(self, exchange: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._exchange = ExchangeFolder(exchange)
        self._now = now
        self._begun = now()
        self._heard: dict[str, _Heard] = {}

    def read(self) -> list[SiteLine]:
        """Those that are there, or were and did not say that they go; by name."""
        try:
            folders = self._exchange.sites()[:MOST]
        except OSError:
            folders = []
        lines, heard = [], {}
        for folder in folders:
            status = read_status(folder)
            if status is None or status.site != folder.name:
                continue
            before = self._heard.get(folder.name)
            now = _Heard(status.session, status.counter) if before is None else before.next(status, self._now())
            heard[folder.name] = now
            if status.state != "finished":
                lines.append(self._line(folder.name, status, now))
        self._heard = heard
        return sorted(lines, key=lambda line: natural(line.name))

    def _line(self, name: str, status: Status, heard: _Heard) -> SiteLine:
        now = self._now()
        ago = None if heard.at is None else now - heard.at
        silent = (now - self._begun if ago is None else ago) > patience(heard.gaps)
        return SiteLine(name, status.state, safe(status.run, 200), ago, silent, safe(status.reason))
