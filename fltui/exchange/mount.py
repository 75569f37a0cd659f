"""Which file system a folder lies on, as Linux tells it; elsewhere nothing is known."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """One mounted file system.

    Attributes:
        kind: its type, e.g. ``ext4`` or ``nfs4``; empty where nothing is known.
        point: the folder it is mounted on.
        options: how it is mounted, e.g. ``{"rw", "relatime"}``.
        source: what is mounted, e.g. ``server:/export``.
    """

    kind: str = ""
    point: str = ""
    options: frozenset[str] = frozenset()
    source: str = ""


def mount_of(path: Path) -> Mount:
    """The mount that `path` lies on: the one with the longest mount point; the last one where several share it."""
    if sys.platform != "linux":
        return Mount()
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
        real = os.path.realpath(path)
    except OSError:
        return Mount()
    found = Mount()
    for line in lines:
        left, _, right = line.partition(" - ")
        point, options = _plain(left.split()[4]), left.split()[5]
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found.point):
            kind, source, more = (*right.split(" ", 2), "", "")[:3]
            found = Mount(kind, point, frozenset(f"{options},{more}".strip(",").split(",")), _plain(source))
    return found


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
