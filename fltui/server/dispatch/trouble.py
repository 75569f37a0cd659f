"""Trouble that passes by itself, and keeps a queue from starting anything until then."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fltui.exchange.outage import check_room, exchange_id
from fltui.exchange.sizes import size_text
from fltui.queue.folder import is_trouble

ENOUGH = 4 << 20
"""Bytes that have to be free for a run to begin; what its model needs is the run's own care."""


@dataclass(frozen=True)
class Places:
    """Where runs write.

    Attributes:
        runs: folder of run folders.
        exchange: the exchange folder.
        exchange_was: its id when it was opened.
    """

    runs: Path
    exchange: Path
    exchange_was: str | None

    def trouble(self, entry: Path) -> str:
        """Why nothing can be started now, in one sentence; empty where it can.

        It makes a file for a moment, so not in the folder of the queue, which is watched.

        Args:
            entry: folder of an entry. What is wrong with it alone is not trouble.
        """
        for what, folder in (("queue", entry), ("runs folder", self.runs), ("exchange folder", self.exchange)):
            try:
                check_room(folder, ENOUGH)
            except OSError as error:
                if folder is entry and not is_trouble(error):
                    continue
                place = entry.parent if folder is entry else folder
                return f"{what} {place} cannot be used now: {error.strerror} ({size_text(ENOUGH)} are needed to begin)"
        if exchange_id(self.exchange) != self.exchange_was:
            return f"exchange folder {self.exchange} is away, or another exchange lies there"
        return ""
