"""What kind of disk an exchange lies on: the file system, its room, the length of its paths."""

from __future__ import annotations

import os
from pathlib import Path

from fltui.exchange.doctor.finding import Finding, Level
from fltui.exchange.layout import SERVER, SiteFolder
from fltui.exchange.mount import Mount, mount_of
from fltui.exchange.outage import has_room
from fltui.exchange.sizes import size_text
from fltui.exchange.watch import is_remote

_LITTLE = 1 << 30
_NOTHING = 16 << 20
_FEW_FILES = 10_000
COPIES = 8
"""Models in a site's folder at most: the tasks and the results of the last three rounds and of the one that runs."""

_LONGEST_TAIL = 380
"""Characters of the longest path below the exchange, rounded up."""

_PATH_LIMIT = 4096
_WINDOWS_LIMIT = 260

_KINDS = {
    "nfs": (
        Level.NOTE,
        "a network share: fltui polls it; root_squash takes root's rights away, and a client's cache shows names late "
        "(actimeo, noac)",
        "run server and sites as users of their own, not as root; mount with actimeo=1 for quicker rounds",
    ),
    "cifs": (
        Level.NOTE,
        "a Windows share: fltui polls it; by default all files belong to the user who mounted it, so permissions are "
        "the file server's",
        "give every site an account of its own at the file server, and rights there; see docs/deploy.md",
    ),
    "fuse": (
        Level.NOTE,
        "a file system in a program of its own (sshfs, rclone mount, s3fs and the like): fltui polls it, and what "
        "rename and fsync promise hangs on that program",
        "trust the trials below; mount sshfs with -o dir_cache=no,reconnect,ServerAliveInterval=5; with rclone use the "
        "script of 'fltui exchange init --for rclone' rather than a mount",
    ),
    "overlay": (
        Level.WARNING,
        "the layers of a container: what is written here is gone with the container, and no other machine sees it",
        "mount a volume for the exchange",
    ),
    "tmpfs": (Level.NOTE, "memory: it is empty after a restart", "use a disk for runs that matter"),
    "vfat": (
        Level.WARNING,
        "FAT: no users, no permissions, no hard links, 4 GB a file at most, and no journal that saves a rename from a "
        "power cut",
        "use ext4, xfs, btrfs, APFS or NTFS",
    ),
    "exfat": (
        Level.WARNING,
        "exFAT: no users, no permissions, no hard links, and no journal that saves a rename from a power cut",
        "use ext4, xfs, btrfs, APFS or NTFS",
    ),
}
_FAMILIES = (
    ("nfs", "nfs"), ("cifs", "cifs"), ("smb", "cifs"), ("fuseblk", "blocks"), ("fuse", "fuse"), ("overlay", "overlay"),
    ("tmpfs", "tmpfs"), ("ramfs", "tmpfs"), ("vfat", "vfat"), ("msdos", "vfat"), ("exfat", "exfat"),
)  # fmt: skip


def file_system(folder: Path) -> Finding:
    """What the file system's type means for an exchange."""
    mount = mount_of(folder)
    if not mount.kind:
        return Finding("file system", Level.OK, "its type is not known on this system; the trials tell what it can do")
    where = f"{mount.kind} on {mount.point}" + (f" from {mount.source}" if is_remote(folder) else "")
    if "ro" in mount.options:
        seen = f"{where} is mounted read-only: nobody can write tasks or results by way of this machine"
        return Finding("file system", Level.UNSAFE, seen, f"mount -o remount,rw {mount.point}, or look why it is so")
    family = next((family for start, family in _FAMILIES if mount.kind.startswith(start)), "")
    if family in _KINDS:
        level, means, fix = _KINDS[family]
        return Finding("file system", level, f"{where}: {means}", fix)
    if is_remote(folder):
        return Finding("file system", Level.NOTE, f"{where}: shared with other machines, so fltui polls it")
    return Finding("file system", Level.OK, f"{where}: a local disk; fltui waits by events")


def one_disk(sites: list[SiteFolder]) -> Finding | None:
    """Whether files can be renamed from each temporary folder to where they go; None where there is nothing to say."""
    apart = []
    for site in sites:
        here = _place(site.root)
        parts = (site.tasks, site.results, site.staging(SERVER), site.staging("site"))
        apart += [f"{site.name}/{part.name}" for part in parts if part.is_dir() and _place(part) != here]
    if not apart:
        return None
    seen = f"{', '.join(apart[:6])} lie on another file system than the site's folder, so nothing can be renamed there"
    return Finding("one file system", Level.UNSAFE, seen, "mount the whole site's folder, not parts of it")


def _place(path: Path) -> tuple[int, Mount]:
    return path.stat().st_dev, mount_of(path)


def room(folder: Path, model_size: int, sites: int, probe: Path | None) -> list[Finding]:
    """Free space and free inodes, against `model_size` bytes a model and so many sites.

    Args:
        folder: on the disk.
        model_size: 0 if not declared.
        sites: how many take part, as far as is known.
        probe: a folder to try in whether a model fits, quotas included; None where nothing may be written.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    needed = model_size * COPIES * max(sites, 1)
    seen = f"{size_text(free)} are free"
    fix = "make room; a run on a full disk pauses and goes on by itself when there is some"
    if model_size:
        seen += f"; {max(sites, 1)} sites with models of {size_text(model_size)} take up to {size_text(needed)}"
    if free < max(_NOTHING, model_size):
        findings = [Finding("free space", Level.UNSAFE, f"{seen}: not one model fits", fix)]
    elif free < (needed or _LITTLE):
        findings = [Finding("free space", Level.WARNING, seen if model_size else f"{seen}, which is little", fix)]
    elif model_size and probe is not None and not is_remote(folder) and not has_room(probe, model_size):
        findings = [Finding("free space", Level.UNSAFE, f"{seen}, but this user may not use them (quota)", fix)]
    else:
        findings = [Finding("free space", Level.OK, seen)]
    untold = not found.f_favail and is_remote(folder)  # by rclone; if it were so, no trial could make a file
    if found.f_files and found.f_favail < _FEW_FILES and not untold:
        few = f"only {found.f_favail} more files fit ({found.f_files} inodes in all)"
        findings.append(
            Finding("free inodes", Level.WARNING, few, "remove small files, or make a file system with more")
        )
    return findings


def paths(folder: Path) -> Finding:
    """Whether the longest path that a run can make fits."""
    longest = len(os.fsencode(folder)) + _LONGEST_TAIL
    seen = f"the folder's path has {len(os.fsencode(folder))} bytes, the longest below it up to {longest}"
    if longest > _PATH_LIMIT:
        return Finding("paths", Level.UNSAFE, f"{seen}, more than {_PATH_LIMIT}", "use a folder with a shorter path")
    if longest > _WINDOWS_LIMIT:
        return Finding("paths", Level.OK, f"{seen}; a Windows client needs long paths enabled beyond {_WINDOWS_LIMIT}")
    return Finding("paths", Level.OK, seen)


def store(folder: Path, runs: Path) -> Finding:
    """Whether the runs folder is on the same disk: the simulator then links what it would copy."""
    above = runs
    try:
        while not above.exists():
            above = above.parent
    except PermissionError as error:
        seen = f"{runs} cannot be looked at: {error.strerror}"
        fix = "give this user the right to enter the folders above it (x), or name another folder by --runs"
        return Finding("runs folder", Level.WARNING, seen, fix)
    if (above.stat().st_dev, mount_of(above).point) == (folder.stat().st_dev, mount_of(folder).point):
        return Finding("runs folder", Level.OK, f"{runs} is on the same file system: copies can share blocks")
    seen = f"{runs} is on another file system: models are copied from there byte by byte, which costs time alone"
    return Finding("runs folder", Level.NOTE, seen)
