"""What an examination finds, one finding a subject."""

from __future__ import annotations

from enum import StrEnum

import msgspec

_NAMED = 4


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


def some(names: list[str]) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(sorted(names)[:_NAMED]) + (f" and {more} more" if more > 0 else "")
