"""What the server of a queue says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

Kind = Literal[
    "serving", "waiting", "taken", "started", "resumed", "asked", "ended", "again", "trouble", "fault", "stopped"
]


class Told(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag=False):
    """One thing that happened.

    Attributes:
        event: what kind of thing.
        text: one sentence, harmless only where it is printed.
        entry: id of the entry.
        run: id of its run.
        state: how it ended.
    """

    event: Kind
    text: str
    entry: str = ""
    run: str = ""
    state: str = ""


Tell = Callable[[Told], None]
