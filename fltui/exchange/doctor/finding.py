"""What an examination finds, one finding a subject."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is; the worse, the later."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    UNSAFE = "unsafe"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        name: the subject, e.g. ``rename``.
        level: see `Level`; ``unsafe`` is also what cannot work.
        seen: what was seen, with figures; one sentence or more.
        fix: how to mend it, in plain words; empty where there is nothing to mend.
    """

    name: str
    level: Level
    seen: str
    fix: str = ""


def size_text(count: float) -> str:
    """Bytes in the decimal units in which disks are sold and models are declared: ``164 B``, ``9.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
