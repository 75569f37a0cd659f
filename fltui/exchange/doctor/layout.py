"""The folders of an exchange with what each allows, and whose they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fltui.exchange.doctor.access import ANYBODY, CHANGE, ENTER, WRITE, Access, Person, person, read_access
from fltui.exchange.layout import HIDDEN, SERVER, ExchangeFolder, SiteFolder, is_site

SERVERS = ("tasks", f"{HIDDEN}{SERVER}")
"""What only the server writes in a site's folder."""

SITES = ("results", f"{HIDDEN}site", "logs", "status.json")
"""What only the site writes there."""


@dataclass(frozen=True)
class SiteLayout:
    """A site's folder.

    Attributes:
        name: of the site.
        folder: what the folder allows; None where it is not to be seen.
        parts: what is in it, by name; what is not there, or not to be seen, is missing.
    """

    name: str
    folder: Access | None
    parts: Mapping[str, Access]

    @property
    def links(self) -> list[str]:
        """The parts that are symbolic links."""
        return [name for name, access in self.parts.items() if stat.S_ISLNK(access.mode)]


@dataclass(frozen=True)
class Layout:
    """An exchange and everybody who writes in it.

    Attributes:
        root: what the exchange folder allows.
        about: what ``exchange.json`` allows, if it is there.
        sites: by name.
        people: the users behind the numbers; those that are missing are unknown.
    """

    root: Access
    about: Access | None
    sites: Mapping[str, SiteLayout]
    people: Mapping[int, Person]

    def who(self, uid: int) -> Person:
        """The user of that number."""
        return self.people.get(uid, Person(uid))

    @property
    def server(self) -> Person:
        """The server's user: who owns ``exchange.json``; before there is one, who owns the folder, or the tasks in a
        folder that root has prepared."""
        if self.about is not None or self.root.owner != 0:
            return self.who((self.about or self.root).owner)
        prepared = [site.parts["tasks"].owner for site in self.sites.values() if "tasks" in site.parts]
        return self.who(prepared[0] if prepared else 0)

    def user_of(self, site: SiteLayout) -> Person | None:
        """A site's user: who owns the first of its own files; None where there is none yet."""
        for name in SITES:
            if name in site.parts:
                return self.who(site.parts[name].owner)
        if site.folder is not None and site.folder.owner != self.server.uid:
            return self.who(site.folder.owner)
        return None

    @property
    def users(self) -> dict[str, Person]:
        """The users of the sites, by site."""
        return {name: user for name, site in self.sites.items() if (user := self.user_of(site)) is not None}

    @property
    def has_one_user(self) -> bool:
        """Whether server and sites are the same user."""
        return all(user.uid == self.server.uid for user in self.users.values())

    def reaches(self, who: Person, site: SiteLayout) -> bool | None:
        """Whether a user gets as far as what is in a site's folder."""
        if site.folder is None:
            return None
        return both(self.root.allows(who, ENTER), site.folder.allows(who, ENTER))

    def reads(self, who: Person, site: SiteLayout, part: str, wanted: int) -> bool | None:
        """Whether a user has the rights `wanted` in a part of a site's folder."""
        return both(self.reaches(who, site), site.parts[part].allows(who, wanted))

    def changes(self, who: Person, site: SiteLayout, part: str) -> str | None:
        """How a user could change what is in a part of a site's folder; empty if not, None where it cannot be told."""
        access = site.parts[part]
        wanted = WRITE if stat.S_ISREG(access.mode) else CHANGE
        writes = both(self.reaches(who, site), access.allows(who, wanted))
        replaces = both(self.root.allows(who, ENTER), _replaces(who, site.folder, access))
        if writes and not stat.S_ISLNK(access.mode):
            return "can write in"
        if replaces:
            return "can put another in the place of"
        return None if writes is None or replaces is None else ""


def both(one: bool | None, other: bool | None) -> bool | None:
    """Whether both hold; None where that cannot be told."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _replaces(who: Person, folder: Access | None, entry: Access) -> bool | None:
    """Whether a user may remove or rename an entry of a folder."""
    if folder is None:
        return None
    if folder.is_sticky and who.uid not in (0, folder.owner, entry.owner):
        return False
    return folder.allows(who, CHANGE)


def is_site_folder(path: Path) -> bool:
    """Whether a folder in an exchange is a site's, also one that was prepared and has no status yet.

    A link is none: what it leads to is nobody's business here.
    """
    if not is_site(path.name) or os.path.islink(path) or not os.path.isdir(path):  # noqa: PTH112, PTH114 - no error
        return False
    known = ("tasks", "results", "status.json")
    return any(os.path.lexists(path / name) for name in known) or not os.access(path, os.X_OK)


def site_folders(exchange: ExchangeFolder) -> Iterator[SiteFolder]:
    """The sites' folders, by name.

    Raises:
        OSError: the exchange cannot be listed.
    """
    for name in sorted(os.listdir(exchange.root)):  # noqa: PTH208 - a list of names
        if is_site_folder(exchange.root / name):
            yield exchange.site(name)


def site_links(exchange: ExchangeFolder) -> dict[str, str]:
    """Where links lead that may stand for sites' folders, by the sites' names.

    Raises:
        OSError: the exchange cannot be listed.
    """
    with os.scandir(exchange.root) as found:
        return {entry.name: os.readlink(entry) for entry in found if entry.is_symlink() and is_site(entry.name)}  # noqa: PTH115


def read_layout(exchange: ExchangeFolder, sites: list[SiteFolder]) -> Layout | None:
    """Look at the folders of an exchange; None where it is not there."""
    root = read_access(exchange.root.resolve())
    if root is None:
        return None
    found: dict[str, SiteLayout] = {}
    for site in sites:
        parts = {name: read_access(site.root / name) for name in (*SERVERS, *SITES)}
        seen = {name: access for name, access in parts.items() if access is not None}
        found[site.name] = SiteLayout(site.name, read_access(site.root), seen)
    about = read_access(exchange.about)
    everything = [root, about, *(site.folder for site in found.values())]
    everything += [access for site in found.values() for access in site.parts.values()]
    uids = {access.owner for access in everything if access is not None}
    return Layout(root, about, found, {uid: person(uid) for uid in uids} | {ANYBODY.uid: ANYBODY})
