"""Who may do what with a folder: mode bits, groups and POSIX access control lists, as the kernel decides it."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform != "win32":
    import grp
    import pwd

READ, WRITE, ENTER = 4, 2, 1
LIST, CHANGE = READ | ENTER, WRITE | ENTER
"""What listing a folder and changing the names in it take."""

_USER, _GROUP_OWNER, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
_FOREIGN_LISTS = ("system.nfs4_acl", "system.cifs_acl", "system.richacl")


@dataclass(frozen=True)
class Person:
    """A user as the kernel sees one.

    Attributes:
        uid: number of the user.
        gid: number of the user's own group; None where that is not known on this machine.
        gids: all groups of the user; None where they are not known.
        name: what people call the user.
    """

    uid: int
    gid: int | None = None
    gids: frozenset[int] | None = None
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"user {self.uid}"


ANYBODY = Person(-1, -1, frozenset(), "everybody")
"""Somebody without any special right."""


@dataclass(frozen=True)
class Access:
    """What a file or folder allows.

    Attributes:
        owner: number of its user.
        group: number of its group.
        mode: type and permission bits, as of ``stat``.
        users: rights of named users in its access control list.
        groups: rights of named groups there, and of the owning group.
        mask: what the list grants at most to all but the owner and everybody else.
        foreign: it has a list of another kind, which is not understood here.
    """

    owner: int
    group: int
    mode: int
    users: Mapping[int, int] = field(default_factory=dict)
    groups: Mapping[int, int] = field(default_factory=dict)
    mask: int = 7
    foreign: bool = False

    @property
    def is_sticky(self) -> bool:
        """Whether only the owner of a name, or of the folder, may remove or rename it."""
        return bool(self.mode & stat.S_ISVTX)

    @property
    def is_setgid(self) -> bool:
        """Whether new files get the folder's group."""
        return bool(self.mode & stat.S_ISGID)

    @property
    def bits(self) -> str:
        """The permission bits in octal."""
        return f"{stat.S_IMODE(self.mode):04o}"

    def allows(self, who: Person, wanted: int) -> bool | None:
        """Whether `who` has all rights in `wanted`; None where that hangs on groups that are not known."""
        if who.uid == 0:
            return True
        if who.uid == self.owner:
            return not wanted & ~(self.mode >> 6)
        if who.uid in self.users:
            return not wanted & ~(self.users[who.uid] & self.mask)
        rights = self.groups or {self.group: self.mode >> 3 & 7}
        by_group = {gid: not wanted & ~(bits & self.mask) for gid, bits in rights.items()}
        by_rest = not wanted & ~self.mode
        if who.gids is not None:
            mine = [by_group[gid] for gid in rights if gid in who.gids]
            return any(mine) if mine else by_rest
        possible = {*by_group.values(), by_rest}
        return possible.pop() if len(possible) == 1 else None

    def granting_groups(self, wanted: int) -> list[int]:
        """The groups whose members have all rights in `wanted`."""
        rights = self.groups or {self.group: self.mode >> 3 & 7}
        return [gid for gid, bits in rights.items() if not wanted & ~(bits & self.mask)]


def read_access(path: Path) -> Access | None:
    """What `path` itself allows, a link not followed; None where it is not there or not to be seen."""
    try:
        found = path.lstat()
    except OSError:
        return None
    users: dict[int, int] = {}
    groups: dict[int, int] = {}
    mask, foreign = 7, False
    if hasattr(os, "getxattr") and not stat.S_ISLNK(found.st_mode):
        with contextlib.suppress(OSError):
            users, groups, mask = parse_list(os.getxattr(path, "system.posix_acl_access"))
        with contextlib.suppress(OSError):
            foreign = any(name in _FOREIGN_LISTS for name in os.listxattr(path))
    if -1 in groups:
        groups[found.st_gid] = groups.pop(-1) | groups.get(found.st_gid, 0)
    return Access(found.st_uid, found.st_gid, found.st_mode, users, groups, mask, foreign)


def parse_list(data: bytes) -> tuple[dict[int, int], dict[int, int], int]:
    """Read a POSIX access control list as Linux keeps it (``linux/posix_acl_xattr.h``): little-endian, version 2.

    Returns:
        Rights of named users, of groups (the owning group under -1), and the mask.

    Raises:
        OSError: it is not of that version.
    """
    if len(data) < 4 or struct.unpack_from("<I", data)[0] != 2 or len(data) % 8 != 4:
        raise OSError("an access control list of an unknown version")
    users: dict[int, int] = {}
    groups: dict[int, int] = {}
    mask = 7
    for tag, rights, number in struct.iter_unpack("<HHI", data[4:]):
        if tag == _USER:
            users[number] = rights
        elif tag in (_GROUP, _GROUP_OWNER):
            groups[-1 if tag == _GROUP_OWNER else number] = rights
        elif tag == _MASK:
            mask = rights
    return users, groups, mask


def person(uid: int) -> Person:
    """A user of this machine, with the groups that this machine knows; the user of this process with those it has."""
    if sys.platform == "win32":
        return Person(uid)
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        if uid == os.geteuid():
            return Person(uid, os.getegid(), frozenset({os.getegid(), *os.getgroups()}))
        return Person(uid)
    gids = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    if uid == os.geteuid():
        gids = frozenset({os.getegid(), *os.getgroups()})
    return Person(uid, entry.pw_gid, gids, entry.pw_name)


def group_name(gid: int) -> str:
    """What people call a group."""
    if sys.platform != "win32":
        with contextlib.suppress(KeyError):
            return grp.getgrgid(gid).gr_name
    return f"group {gid}"


def members(gid: int) -> list[Person]:
    """The users that the group's entry names; those whose own group it is are not looked for."""
    if sys.platform == "win32":
        return []
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return []
    found = []
    for name in names:
        with contextlib.suppress(KeyError):
            found.append(person(pwd.getpwnam(name).pw_uid))
    return found
