"""Layouts in memory: the one of the guide, with parts changed."""

from __future__ import annotations

import stat
from collections.abc import Mapping

from fltui.exchange.doctor.access import ANYBODY, Access, Person
from fltui.exchange.doctor.finding import Finding, Level
from fltui.exchange.doctor.layout import Layout, SiteLayout

SERVER, ONE, TWO = 100, 101, 102
USERS = {
    SERVER: Person(SERVER, 100, frozenset({100, 201, 202, 300}), "serve"),
    ONE: Person(ONE, 201, frozenset({201, 300}), "one"),
    TWO: Person(TWO, 202, frozenset({202, 300}), "two"),
    ANYBODY.uid: ANYBODY,
}
FOLDER, FILE = stat.S_IFDIR, stat.S_IFREG
OPEN = FOLDER | 0o777


def site_layout(name: str, user: int, group: int, changed: Mapping[str, Access] | None = None) -> SiteLayout:
    """A site's folder as the guide makes it, with some parts changed."""
    parts = {
        "tasks": Access(SERVER, group, FOLDER | 0o2750),
        ".syncthing.fltui.server": Access(SERVER, group, FOLDER | 0o2750),
        "results": Access(user, group, FOLDER | 0o2750),
        ".syncthing.fltui.site": Access(user, group, FOLDER | 0o2750),
        "logs": Access(user, group, FOLDER | 0o2750),
        "status.json": Access(user, group, FILE | 0o640),
    }
    parts |= changed or {}
    folder = parts.pop("folder", Access(SERVER, group, FOLDER | 0o3770))
    return SiteLayout(name, folder, parts)


def layout(changed: Mapping[str, Access] | None = None, root: int = 0o2750, about: int = 0o640) -> Layout:
    """The guide's layout of two sites, with parts of the first one changed."""
    sites = {"site-1": site_layout("site-1", ONE, 201, changed), "site-2": site_layout("site-2", TWO, 202)}
    return Layout(Access(SERVER, 300, FOLDER | root), Access(SERVER, 300, FILE | about), sites, USERS)


def worst(findings: list[Finding]) -> list[tuple[str, Level, str]]:
    """What is not as it should be."""
    return [(one.name, one.level, one.seen) for one in findings if one.level in (Level.WARNING, Level.UNSAFE)]
