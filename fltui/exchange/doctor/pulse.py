"""Which sites live: whose status changes while it is looked at."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

from fltui.exchange.collect import read_status
from fltui.exchange.doctor.finding import Finding, Level, some
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import Status
from fltui.exchange.watch import Backoff

WATCHED = 1.5
"""Seconds in which a live site writes its status at least once."""


class Pulse:
    """Looks at the statuses of all sites now, and tells later which have changed: a dead site's does not."""

    def __init__(self, sites: list[SiteFolder]) -> None:
        self._sites = sites
        self._first = {site.name: read_status(site) for site in sites}
        self._started = time.monotonic()

    def findings(self) -> Iterator[Finding]:
        """A finding for each site that was ever there; waits until all that should be alive have shown it, `WATCHED` s
        at most."""
        waiting = {name for name, status in self._first.items() if _claims_life(status)}
        backoff, over = Backoff(), threading.Event()
        while True:
            now = {site.name: read_status(site) for site in self._sites}
            waiting = {name for name in waiting if _same(self._first[name], now[name])}
            left = self._started + WATCHED - time.monotonic()
            if not waiting or left <= 0:
                break
            over.wait(min(backoff.next(), left))
        absent = [site.name for site in self._sites if now[site.name] is None and not os.path.lexists(site.status)]
        if absent:
            seen = f"{some(absent)}: there is no status.json yet, so its client was not started"
            yield Finding("sites to come", Level.NOTE, seen)
        for site in self._sites:
            if site.name not in absent:
                yield self._finding(site, now[site.name], silent=site.name in waiting)

    def _finding(self, site: SiteFolder, status: Status | None, *, silent: bool) -> Finding:
        name = f"site {site.name}"
        if status is None:
            fix = "see whether it can be read, and whether two programs write it"
            return Finding(name, Level.WARNING, "its status.json cannot be read or is no status", fix)
        doing = status.state + (f" at {status.task_id}" if status.task_id else "")
        if not _claims_life(status):
            reason = f": {status.reason[:200]}" if status.reason else ""
            return Finding(name, Level.OK if status.state == "finished" else Level.NOTE, f"{doing}{reason}")
        where = f"process {status.pid} on {status.host[:80]}"
        if silent and not _runs_here(status):
            seen = f"it says {doing}, but nothing changed in {WATCHED:g} s ({where}): it is dead, stopped, or far away"
            fix = "start its client again, or wait until the sync engine has brought newer files"
            return Finding(name, Level.NOTE, seen, fix)
        return Finding(name, Level.OK, f"{doing}, alive ({where})")


def _runs_here(status: Status) -> bool:
    """Whether the process is seen on this machine: many sites of one simulator write their statuses seldom."""
    if status.host != socket.gethostname() or status.pid <= 0:
        return False
    try:
        os.kill(status.pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _claims_life(status: Status | None) -> bool:
    return status is not None and status.state not in ("finished", "failed")


def _same(before: Status | None, after: Status | None) -> bool:
    return before is None or after is None or (before.session, before.counter) == (after.session, after.counter)
