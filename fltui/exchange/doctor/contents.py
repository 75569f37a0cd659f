"""What lies in an exchange: whose signs of life, and what is left over."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fltui.errors import BadInputError
from fltui.exchange.collect import read_status
from fltui.exchange.doctor.finding import Finding, Level, size_text
from fltui.exchange.doctor.probes import PROBE
from fltui.exchange.layout import ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.lock import is_held
from fltui.exchange.manifest import Status
from fltui.exchange.publish import check_exchange
from fltui.exchange.watch import Backoff

WATCHED = 1.5
"""Seconds in which a live site writes its status at least once."""

_STALE = 3600.0
"""Seconds by the file system's own clock after which a temporary file is a leftover."""

_NAMED = 4
_MOST = 100_000
"""Names that are looked at."""

_CONFLICT = re.compile(r"sync-conflict-|conflicted copy|\.conflict\d|\(Case Conflict", re.IGNORECASE)
_KNOWN_ROOT = re.compile(r"exchange\.json|README.*|\.git.*|\.stfolder|\.stignore|\.stversions|lost\+found|\.DS_Store")
_KNOWN_SITE = re.compile(
    r"tasks|results|logs|status\.json|\.syncthing\.fltui\.(server|site)|\.st(folder|ignore|versions)"
)


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
            seen = f"{_some(absent)}: there is no status.json yet, so its client was not started"
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
        if silent:
            seen = f"it says {doing}, but nothing changed in {WATCHED:g} s ({where}): it is dead, stopped, or far away"
            fix = "start its client again, or wait until the sync engine has brought newer files"
            return Finding(name, Level.NOTE, seen, fix)
        return Finding(name, Level.OK, f"{doing}, alive ({where})")


def _claims_life(status: Status | None) -> bool:
    return status is not None and status.state not in ("finished", "failed")


def _same(before: Status | None, after: Status | None) -> bool:
    return before is None or after is None or (before.session, before.counter) == (after.session, after.counter)


def about(exchange: ExchangeFolder) -> Finding:
    """Whether the folder is an exchange, may become one, or is for another program."""
    try:
        found = exchange.about.exists()
        check_exchange(exchange)
    except BadInputError as error:
        return Finding(
            "exchange", Level.UNSAFE, str(error), "see who may read exchange.json, and which version wrote it"
        )
    except OSError as error:
        seen = f"{exchange.root} cannot be looked at: {error.strerror}"
        return Finding("exchange", Level.UNSAFE, seen, "give this user the right to enter the folder (x)")
    if found:
        return Finding("exchange", Level.OK, f"{exchange.root} is an exchange of protocol 1")
    try:
        others = [one for one in os.listdir(exchange.root) if not _KNOWN_ROOT.fullmatch(one)]  # noqa: PTH208
    except PermissionError:  # a site need not be able to list it
        others = []
    what = f"{exchange.root} is no exchange yet; the first server makes it one"
    return Finding("exchange", Level.NOTE, what + (f"; in it now: {_some(others)}" if others else ""))


def leftovers(exchange: ExchangeFolder, sites: list[SiteFolder], opened: list[SiteFolder], now: float) -> list[Finding]:
    """What nobody reads: conflict copies, old temporary files, names that nobody knows.

    Args:
        exchange: the exchange.
        sites: its sites.
        opened: those that this user may look into.
        now: by the clock of its file system.
    """
    conflicts: list[str] = []
    unknown: list[str] = []
    stale: list[str] = []
    size, names = 0, {site.name for site in sites}
    for place, name in _names(exchange, opened):
        path = f"{place}{name}"
        if _CONFLICT.search(name):
            conflicts.append(path)
        elif not place:
            if name.startswith(PROBE):
                stale.append(path)
            elif name not in names and not _KNOWN_ROOT.fullmatch(name) and not name.startswith(".syncthing."):
                unknown.append(path)
        elif place.count("/") == 1:
            if not _KNOWN_SITE.fullmatch(name) and not name.startswith(".syncthing."):
                unknown.append(path)
        elif TaskId.parse(name.removesuffix(".json")) is None and not _KNOWN_SITE.fullmatch(name):
            unknown.append(path)
    for site in opened:
        for side in ("server", "site"):
            for path, bytes_ in _old_files(site.staging(side), now):
                stale.append(f"{site.name}/{site.staging(side).name}/{path}")
                size += bytes_
    findings = []
    if conflicts:
        fix = "let one machine alone write each folder (docs/deploy.md, Syncthing); then remove the copies"
        seen = f"{len(conflicts)} conflict copies of a sync engine: {_some(conflicts)}; they are never read"
        findings.append(Finding("conflict copies", Level.WARNING, seen, fix))
    if stale:
        seen = f"{len(stale)} temporary files, {size_text(size)}, that nobody has touched for an hour: {_some(stale)}"
        findings.append(Finding("leftovers", Level.NOTE, seen, "if no server or client is at work, remove them"))
    if unknown:
        seen = f"{len(unknown)} names that fltui does not know: {_some(unknown)}; they are never read or removed"
        findings.append(Finding("unknown names", Level.NOTE, seen))
    return findings or [Finding("leftovers", Level.OK, "no conflict copies, no leftovers, no unknown names")]


def _names(exchange: ExchangeFolder, sites: list[SiteFolder]) -> Iterator[tuple[str, str]]:
    """The names in the exchange, in its sites and in their tasks and results, each behind its folder's."""
    places = [("", exchange.root)]
    for site in sites:
        places += [(f"{site.name}/", site.root)]
        places += [(f"{site.name}/{part.name}/", part) for part in (site.tasks, site.results)]
    left = _MOST
    for place, folder in places:
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    if not left:
                        return
                    left -= 1
                    yield place, entry.name
        except OSError:
            continue  # what this user may not list is told among the permissions


def _old_files(folder: Path, now: float) -> Iterator[tuple[str, int]]:
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for path in entries:
        try:
            found = path.lstat()
        except OSError:
            continue
        if now - found.st_mtime > _STALE and not (path.suffix == ".lock" and is_held(path)):
            yield path.name, found.st_size


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(sorted(names)[:_NAMED]) + (f" and {more} more" if more > 0 else "")
