"""Names that a tracker takes, made of names that sites chose: as they are where that can be, told apart always."""

from __future__ import annotations

import re
from collections.abc import Callable

import blake3

_MARKED = re.compile(r"-[0-9a-f]{8}\Z")
_LONGEST = 200


def marked(name: str, fit: str) -> str:
    """`fit` in place of a name that cannot stay, with digits that tell it from others of which the same is made."""
    return f"{fit[:_LONGEST]}-{blake3.blake3(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def fitting(name: str, fits: Callable[[str], str]) -> str:
    """A name that a tracker takes, another one for every name.

    Args:
        name: as a site chose it.
        fits: makes a name that the tracker takes; what it leaves as it is stays so.
    """
    fit = fits(name)
    return name if fit == name and len(name) <= _LONGEST and not _MARKED.search(name) else marked(name, fit)


def beside(name: str, reserved: tuple[str, ...], prefix: str) -> str:
    """A name that does not begin as those of other kinds of series do."""
    return prefix + name if name.startswith((*reserved, prefix)) else name
