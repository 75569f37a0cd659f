"""The order in which people count: ``site-2`` comes before ``site-10``."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"([0-9]{1,18})")


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key: runs of digits by their value, everything else by its letters, whatever their case."""
    parts = _DIGITS.split(name.casefold())
    return [(1, int(part), "") if at % 2 else (0, 0, part) for at, part in enumerate(parts)], name
