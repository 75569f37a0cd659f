"""Whether each file of an exchange has the one writer it should have, judged from what the folders allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fltui.exchange.doctor.access import ANYBODY, CHANGE, LIST, READ, WRITE, Access, Person, group_name, members
from fltui.exchange.doctor.finding import Finding, Level
from fltui.exchange.doctor.layout import SERVERS, SITES, Layout, SiteLayout

_LISTED = 6
"""Sentences of one kind that are given; of the rest only the number."""

_GUIDE = "docs/deploy.md has the commands"


@dataclass
class _Sentences:
    """What was found of one subject, to become one finding."""

    name: str
    level: Level
    fix: str
    found: list[str] = field(default_factory=list)

    def finding(self) -> Iterator[Finding]:
        if self.found:
            more = len(self.found) - _LISTED
            text = "; ".join(self.found[:_LISTED]) + (f"; and {more} more of this kind" if more > 0 else "")
            yield Finding(self.name, self.level, text, self.fix)


def judge(layout: Layout) -> list[Finding]:
    """What is to be said of the permissions; one finding of level ok where nothing is unsafe."""
    findings = [
        *_writers(layout),
        *_work(layout),
        *_links(layout),
        *_root(layout),
        *_readers(layout),
        *_groups(layout),
        *_foreign(layout),
    ]
    if not any(one.level is Level.UNSAFE for one in findings):
        findings.insert(0, _good(layout))
    return findings


def _good(layout: Layout) -> Finding:
    if not layout.sites:
        return Finding("permissions", Level.OK, f"no site has a folder yet; the exchange belongs to {layout.server}")
    if layout.has_one_user:
        return Finding(
            "permissions",
            Level.NOTE,
            f"{layout.server} owns the server's files and those of all {len(layout.sites)} sites, so nothing keeps the "
            "sites apart here; that is as it should be on a machine of one's own and behind a sync engine",
        )
    pairs = [f"{site} by {user}" for site, user in layout.users.items()]
    people = ", ".join(pairs[:_LISTED]) + (f" and {len(pairs) - _LISTED} more" if len(pairs) > _LISTED else "")
    return Finding(
        "permissions",
        Level.OK,
        f"tasks are written by {layout.server} alone, results by each site's own user alone ({people})",
    )


def _writers(layout: Layout) -> Iterator[Finding]:
    """Who could change what is not theirs."""
    unsafe = _Sentences(
        "writers",
        Level.UNSAFE,
        "give each part one writer: tasks/ to the server's user, results/ to the site's, mode 2750, and the site's "
        f"folder to the server's user with the sticky bit, mode 3770; {_GUIDE}",
    )
    unknown = _Sentences(
        "writers unknown", Level.NOTE, "run 'fltui doctor' on the machine where these users are known, or as them"
    )
    above = _Sentences("closed above", Level.WARNING, "chmod o-w them")
    ways: dict[str, list[str]] = {}
    for site in layout.sites.values():
        for part, access in site.parts.items():
            where = f"{site.name}/{part}"
            wrong = list(_wrong_writers(layout, site, part))
            for who, way in wrong:
                if way is None:
                    unknown.found.append(f"whether {who} can write in {where} hangs on groups not known here")
                else:
                    shown = f"{where} (mode {access.bits})" if way == "can write in" else where
                    ways.setdefault(f"{who} {way}", []).append(shown)
            if not wrong and access.allows(ANYBODY, WRITE) and part not in site.links:
                above.found.append(f"only the folders above keep others out of {where} (mode {access.bits})")
            expected = layout.server if part in SERVERS else layout.user_of(site)
            if expected is not None and access.owner not in (0, expected.uid):
                unsafe.found.append(f"{where} belongs to {layout.who(access.owner)}, expected {expected}")
    unsafe.found += [f"{way} {', '.join(places)}" for way, places in ways.items()]
    for one in (unsafe, above, unknown):
        yield from one.finding()


def _wrong_writers(layout: Layout, site: SiteLayout, part: str) -> Iterator[tuple[str, str | None]]:
    """Who could change a part of a site's folder and should not, and how; None where it cannot be told."""
    if way := layout.changes(ANYBODY, site, part):
        yield "everybody", way
        return
    owner = layout.server if part in SERVERS else layout.user_of(site)
    seen = {0, layout.server.uid, site.parts[part].owner, owner.uid if owner is not None else 0}
    for other, user in layout.users.items():
        if user.uid not in seen and (way := layout.changes(user, site, part)) != "":
            yield f"{user}, the user of {other},", way
        seen.add(user.uid)


def _work(layout: Layout) -> Iterator[Finding]:
    """Who could not do what is theirs."""
    found = _Sentences(
        "rights",
        Level.UNSAFE,
        f"without these rights the run waits for ever; {_GUIDE}, and these can be set one by one",
    )
    for site in layout.sites.values():
        user, server = layout.user_of(site), layout.server
        needed: list[tuple[Person | None, str, int, str]] = [(user, part, LIST, "read") for part in SERVERS[:1]]
        needed += [(server, part, LIST, "read") for part in ("results", "logs")]
        needed += [(server, "status.json", READ, "read")]
        needed += [(server, part, CHANGE, "write in") for part in SERVERS]
        needed += [(user, part, CHANGE, "write in") for part in SITES[:-1]]
        for who, part, wanted, what in needed:
            if who is not None and part in site.parts and layout.reads(who, site, part, wanted) is False:
                found.found.append(f"{who} cannot {what} {site.name}/{part}")
        if user is not None and site.folder is not None and site.folder.allows(user, CHANGE) is False:
            found.found.append(f"{user} cannot write status.json in {site.name}/ (mode {site.folder.bits})")
        if user is not None and layout.about is not None and layout.about.allows(user, READ) is False:
            found.found.append(f"{user} cannot read exchange.json (mode {layout.about.bits})")
        for part in ("tasks", "results"):
            maker = server if part == "tasks" else user
            if part in site.parts or site.folder is None or maker is None:
                continue
            if site.folder.allows(maker, CHANGE) is False:
                found.found.append(f"{site.name}/{part} is missing and {maker} cannot make it")
    yield from found.finding()


def _links(layout: Layout) -> Iterator[Finding]:
    """Symbolic links in place of folders."""
    fix = "replace each by a plain folder; a link makes the other side write where it leads"
    found = _Sentences("links", Level.UNSAFE, fix)
    for site in layout.sites.values():
        found.found += [f"{site.name}/{part} is a symbolic link" for part in site.links]
    yield from found.finding()


def _root(layout: Layout) -> Iterator[Finding]:
    """Who could act on the exchange as a whole."""
    root, about = layout.root, layout.about
    fix = f"chmod o-w the exchange folder and exchange.json; {_GUIDE}"
    if about is not None and about.allows(ANYBODY, WRITE):
        yield Finding("exchange.json", Level.UNSAFE, f"everybody can write exchange.json (mode {about.bits})", fix)
    if root.allows(ANYBODY, CHANGE):
        if not root.is_sticky:
            seen = f"everybody can remove or replace whole sites: the exchange folder has the mode {root.bits}"
            yield Finding("exchange folder", Level.UNSAFE, seen, fix)
        else:
            seen = f"everybody can appear as a new site: the exchange folder has the mode {root.bits}"
            yield Finding("exchange folder", Level.WARNING, seen, f"name the sites in the job; or {fix}")
        return
    users = {user.uid: (site, user) for site, user in layout.users.items() if user.uid not in (0, layout.server.uid)}
    able = [f"{user} ({site})" for site, user in users.values() if root.allows(user, CHANGE)]
    if able:
        level = Level.WARNING if root.is_sticky else Level.UNSAFE
        what = "can appear as other new sites" if root.is_sticky else "can remove or replace whole sites"
        seen = f"{', '.join(able)} {what}: the exchange folder has the mode {root.bits}"
        yield Finding("exchange folder", level, seen, f"let only {layout.server} write in it; {_GUIDE}")


def _readers(layout: Layout) -> Iterator[Finding]:
    """Who could read what is not for them: a model update tells of the data it was made from."""
    level = Level.NOTE if layout.has_one_user else Level.WARNING
    fix = (
        "close each site's folder to others: mode 3770, group of that site's user; or rights for named users (setfacl)"
    )
    found = _Sentences("readers", level, fix)
    for site in layout.sites.values():
        own = layout.user_of(site)
        if "results" not in site.parts:
            continue
        if layout.reads(ANYBODY, site, "results", LIST):
            found.found.append(f"everybody on this machine can read {site.name}/results")
            continue
        for other, user in layout.users.items():
            trusted = {0, layout.server.uid, own.uid if own else 0}
            if user.uid not in trusted and layout.reads(user, site, "results", LIST):
                found.found.append(f"{user}, the user of {other}, can read {site.name}/results")
    yield from found.finding()


def _groups(layout: Layout) -> Iterator[Finding]:
    """Groups that are wider than they look, and new files that would get the wrong one."""
    wide = _Sentences("groups", Level.WARNING, "use a group of its own for each site, with its user and the server's")
    lost = _Sentences("setgid", Level.WARNING, f"chmod g+s these folders, so that new files get their group; {_GUIDE}")
    for site in layout.sites.values():
        user = layout.user_of(site)
        known = {0, layout.server.uid, *(one.uid for one in layout.users.values())}
        for part in [name for name in ("tasks", "results") if name in site.parts]:
            access = site.parts[part]
            for gid in access.granting_groups(CHANGE):
                extra = [who for who in members(gid) if who.uid not in known and layout.reaches(who, site) is not False]
                if extra:
                    names = ", ".join(map(str, extra[:5]))
                    wide.found.append(f"{names} can write in {site.name}/{part} by {group_name(gid)}")
        pairs = (("tasks", layout.server, user), ("results", user, layout.server))
        for part, writer, reader in pairs:
            if part in site.parts and writer is not None and reader is not None:
                lost.found += _wrong_group(site, part, writer, reader)
    yield from wide.finding()
    yield from lost.finding()


def _wrong_group(site: SiteLayout, part: str, writer: Person, reader: Person) -> list[str]:
    """Files are made in the staging folder and renamed, so it is that folder that gives them their group."""
    staging = SERVERS[1] if part == SERVERS[0] else SITES[1]
    found = []
    for name in (part, staging):
        access = site.parts.get(name)
        if access is None or access.is_setgid or access.users or writer.gid in (None, access.group):
            continue
        if _reads_by_group_alone(access, reader):
            found.append(f"files of {writer} in {site.name}/{name} get the group {group_name(writer.gid or 0)}")
    return found


def _reads_by_group_alone(access: Access, reader: Person) -> bool:
    return reader.uid not in (0, access.owner) and not access.allows(ANYBODY, READ) and bool(access.mode & 0o040)


def _foreign(layout: Layout) -> Iterator[Finding]:
    """Access control lists of kinds that are not understood here."""
    found = [site.name for site in layout.sites.values() for part in site.parts.values() if part.foreign]
    if found or layout.root.foreign:
        seen = f"there are NFSv4 or Windows access control lists ({', '.join(sorted(set(found))) or 'exchange folder'})"
        fix = "they can grant more than the mode shows; compare them with docs/deploy.md by nfs4_getfacl or getcifsacl"
        yield Finding("access lists", Level.WARNING, f"{seen}, which are not judged here", fix)
