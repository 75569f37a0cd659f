"""Trouble that passes by itself, and keeps a queue from starting anything until then."""

from __future__ import annotations

from pathlib import Path

from fltui.exchange.outage import check_room, exchange_id
from fltui.exchange.sizes import size_text

ENOUGH = 4 << 20
"""Bytes that have to be free for a run to begin; what its model needs is the run's own care."""


def trouble(entry: Path, runs: Path, exchange: Path, exchange_was: str | None) -> str:
    """Why nothing can be started now, in one sentence; empty where it can.

    Args:
        entry: folder of an entry.
        runs: folder of run folders.
        exchange: the exchange folder.
        exchange_was: its id when it was opened.
    """
    for what, folder in (("queue", entry), ("runs folder", runs), ("exchange folder", exchange)):
        try:
            check_room(folder, ENOUGH)
        except OSError as error:
            return f"{what} {folder} cannot be used now: {error.strerror} ({size_text(ENOUGH)} are needed to begin)"
    if exchange_id(exchange) != exchange_was:
        return f"exchange folder {exchange} is away, or another exchange lies there"
    return ""
