"""The sites of an exchange as the home screen lists them: who is there, by what changes while somebody looks.

Heard of is a site whose status has changed since the last look, by the clock of this process; no clock of a site is
asked. Who has said goodbye is not listed.
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

SILENCE = 30.0
"""Seconds without a change after which a site is called silent, as its server would lose it."""

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
        silent: it has not been heard of for long.
        reason: what it says of a failure.
    """

    name: str
    state: SiteActivity
    run: str
    heard: float | None
    silent: bool
    reason: str


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
        self._seen: dict[str, tuple[tuple[str, int], float | None]] = {}

    def read(self) -> list[SiteLine]:
        """Those that are there, or were and did not say that they go; by name."""
        try:
            folders = self._exchange.sites()[:MOST]
        except OSError:
            folders = []
        lines, seen = [], {}
        for folder in folders:
            status = read_status(folder)
            if status is None or status.site != folder.name:
                continue
            mark, before = (status.session, status.counter), self._seen.get(folder.name)
            heard = before[1] if before and before[0] == mark else (self._now() if before else None)
            seen[folder.name] = mark, heard
            if status.state != "finished":
                lines.append(self._line(folder.name, status, heard))
        self._seen = seen
        return sorted(lines, key=lambda line: natural(line.name))

    def _line(self, name: str, status: Status, heard: float | None) -> SiteLine:
        now = self._now()
        silent = now - (self._begun if heard is None else heard) > SILENCE
        ago = None if heard is None else now - heard
        return SiteLine(name, status.state, safe(status.run, 200), ago, silent, safe(status.reason))
