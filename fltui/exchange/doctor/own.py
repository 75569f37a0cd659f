"""What the user who asks may do, tried against the kernel's own answer rather than against the mode bits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fltui.exchange.doctor.access import CHANGE, LIST, READ, Person, person, read_access
from fltui.exchange.doctor.finding import Finding, Level
from fltui.exchange.doctor.layout import Layout
from fltui.exchange.doctor.probes import probing_folder
from fltui.exchange.layout import SERVER, ExchangeFolder, SiteFolder

_GUIDE = "docs/deploy.md has the commands"


def may(path: Path, wanted: int) -> bool:
    """Whether this user has all rights in `wanted`, by the kernel's answer: read-only mounts, lists and squashed
    roots are in it."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, wanted, effective_ids=effective)  # READ, WRITE and ENTER are R_OK, W_OK and X_OK


def guess_side(exchange: ExchangeFolder, sites: list[SiteFolder]) -> str:
    """Which side this user could be: the server, a site by its name, or empty for neither."""
    if may(exchange.root, CHANGE):
        return SERVER
    return next((site.name for site in sites if may(site.root, CHANGE) and may(site.results, CHANGE)), "")


def rights(exchange: ExchangeFolder, side: str, sites: list[SiteFolder]) -> Finding:
    """Whether this user can do what `side` has to.

    Args:
        exchange: the exchange; it exists.
        side: ``"server"`` or the name of a site.
        sites: all sites.
    """
    user = _user()
    if side == SERVER:
        lacks = [] if may(exchange.root, CHANGE) else ["write in the exchange folder"]
        for site in sites:
            lacks += _lacks_server(site)
    else:
        lacks = _lacks_site(exchange, exchange.site(side))
    who = f"{user}, as {side},"
    if lacks:
        seen = f"{who} cannot {'; cannot '.join(lacks[:6])}"
        fix = f"run this as {side}'s own user, or give that user these rights; {_GUIDE}"
        return Finding("own rights", Level.UNSAFE, seen, fix)
    if _uid() == 0:
        seen = f"this was asked by root, who may do everything: it does not show what {side}'s own user can do"
        fix = f"ask again as that user: sudo -u USER fltui doctor --as {side} {exchange.root}"
        return Finding("own rights", Level.NOTE, seen, fix)
    return Finding("own rights", Level.OK, f"{who} can read and write all that it has to")


def _lacks_server(site: SiteFolder) -> Iterator[str]:
    needed = [(site.tasks, CHANGE), (site.staging(SERVER), CHANGE), (site.results, LIST)]
    needed += [(site.logs, LIST), (site.status, READ)]
    for path, wanted in needed:
        where = f"{site.name}/{path.name}"
        if not os.path.lexists(path):
            if wanted == CHANGE and not may(site.root, CHANGE):
                yield f"make {where}, which is missing or hidden"
        elif not may(path, wanted):
            yield f"{'write in' if wanted == CHANGE else 'read'} {where}"


def _lacks_site(exchange: ExchangeFolder, site: SiteFolder) -> list[str]:
    if not os.path.lexists(site.root):
        return [] if may(exchange.root, CHANGE) else [f"make {site.name}/, which is missing or hidden"]
    lacks = [] if may(site.root, CHANGE) else [f"write status.json in {site.name}/"]
    if os.path.lexists(exchange.about) and not may(exchange.about, READ):
        lacks.append("read exchange.json")
    for path, wanted in (
        (site.tasks, LIST),
        (site.results, CHANGE),
        (site.staging("site"), CHANGE),
        (site.logs, CHANGE),
    ):
        if os.path.lexists(path) and not may(path, wanted):
            lacks.append(f"{'write in' if wanted == CHANGE else 'list'} {site.name}/{path.name}")
    return lacks


def new_files(layout: Layout, side: str, sites: list[SiteFolder]) -> Finding | None:
    """Whether the other side could read what this user writes now, by umask, group and inherited lists.

    A file and a folder are made where this side makes its temporary ones, and looked at. None where nothing can be
    made, or nobody else is there to read.
    """
    cannot: list[str] = []
    unknown: list[str] = []
    looked = 0
    for site in sites if side == SERVER else [site for site in sites if site.name == side]:
        reader = layout.users.get(site.name) if side == SERVER else layout.server
        staging = site.staging(SERVER if side == SERVER else "site")
        if reader is None or reader.uid in (0, _uid()) or not may(staging, CHANGE):
            continue
        looked += 1
        readable = _is_readable(staging, reader)
        if not readable:
            (unknown if readable is None else cannot).append(f"{reader} ({site.name if side == SERVER else SERVER})")
    if cannot:
        seen = f"what this user writes with its umask {_umask()} cannot be read by {', '.join(cannot[:6])}"
        fix = f"chmod g+s the folders and set umask 027 before starting, or use inherited lists (setfacl -d); {_GUIDE}"
        return Finding("new files", Level.UNSAFE, seen, fix)
    if unknown:
        seen = f"whether {', '.join(unknown[:6])} can read what this user writes hangs on groups not known here"
        return Finding("new files", Level.NOTE, seen)
    if looked:
        return Finding("new files", Level.OK, f"what this user writes (umask {_umask()}) can be read by the other side")
    return None


def _is_readable(staging: Path, reader: Person) -> bool | None:
    with probing_folder(staging) as folder:
        file, inner = folder / "file", folder / "folder"
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        inner.mkdir()
        seen = [(read_access(file), READ), (read_access(inner), LIST)]
    answers = [access.allows(reader, wanted) for access, wanted in seen if access is not None]
    return False if False in answers else None if None in answers else True


def _umask() -> str:
    mask = os.umask(0o077)
    os.umask(mask)
    return f"{mask:03o}"


def _uid() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else -1


def _user() -> str:
    return str(person(_uid())) if _uid() >= 0 else "this user"
