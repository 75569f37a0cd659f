"""``FLTUI_TRACK``: targets that every run has, handed to the processes that run them without being shown in a list of
processes: a target may have a password in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fltui.errors import BadInputError

VARIABLE = "FLTUI_TRACK"

_SECOND = re.compile(r"\s(?:tensorboard|mlflow):")


def split_targets(text: str) -> list[str]:
    """The targets in the variable, one a line: folders may have spaces in their names.

    Raises:
        BadInputError: there are two in one line.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if _SECOND.search(line):
            raise BadInputError(f"{VARIABLE} has two targets in one line; each has a line of its own")
    return lines


def join_targets(targets: Iterable[str]) -> str:
    """What the variable has to be for these targets."""
    return "\n".join(targets)
