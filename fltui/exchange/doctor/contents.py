"""What lies in an exchange and is read by nobody."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fltui.exchange.doctor.finding import Finding, Level, some
from fltui.exchange.doctor.probes import PROBE
from fltui.exchange.layout import ABOUT, HIDDEN, SERVER, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.lock import is_held
from fltui.exchange.sizes import size_text

_STALE = 3600.0
"""Seconds by the file system's own clock after which a temporary file is a leftover."""

_MOST = 100_000
"""Names that are looked at."""

_CONFLICT = re.compile(r"sync-conflict-|conflicted copy|\.conflict\d|\(Case Conflict", re.IGNORECASE)
KNOWN_ROOT = re.compile(
    rf"{re.escape(ABOUT)}|README.*|\.git.*|\.stfolder|\.stignore|\.stversions|rclone\.(sh|filter)|lost\+found"
    r"|\.DS_Store"
)
"""What may lie in an exchange besides its sites."""

_KNOWN_SITE = re.compile(
    rf"tasks|results|logs|status\.json|{re.escape(HIDDEN)}({SERVER}|site)|\.st(folder|ignore|versions)"
)


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
            elif name not in names and not KNOWN_ROOT.fullmatch(name) and not name.startswith(".syncthing."):
                unknown.append(path)
        elif place.count("/") == 1:
            if not _KNOWN_SITE.fullmatch(name) and not name.startswith(".syncthing."):
                unknown.append(path)
        elif not (_KNOWN_SITE.fullmatch(name) or name.startswith(".syncthing.") or TaskId.parse(_stem(name))):
            unknown.append(path)
    for site in opened:
        for side in (SERVER, "site"):
            for path, bytes_ in _old_files(site.staging(side), now):
                stale.append(f"{site.name}/{site.staging(side).name}/{path}")
                size += bytes_
    findings = []
    if conflicts:
        fix = "let one machine alone write each folder (docs/deploy.md, Syncthing); then remove the copies"
        seen = f"{len(conflicts)} conflict copies of a sync engine: {some(conflicts)}; they are never read"
        findings.append(Finding("conflict copies", Level.WARNING, seen, fix))
    if stale:
        seen = f"{len(stale)} temporary files, {size_text(size)}, that nobody has touched for an hour: {some(stale)}"
        findings.append(Finding("leftovers", Level.NOTE, seen, "if no server or client is at work, remove them"))
    if unknown:
        seen = f"{len(unknown)} names that fltui does not know: {some(unknown)}; they are never read or removed"
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


def _stem(name: str) -> str:
    return name.removesuffix(".json")


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
