"""Outages that a run sits out: a disk that is full, an exchange folder that is away.

The run is paused meanwhile, with a sentence that says why, and goes on by itself as after the death of its server: the
journal holds all that it knows.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.outage import AWAY, DISK_FULL, has_room, is_away
from fltui.run.describe import size_text
from fltui.run.folder import RunFolder

_LEAST_ROOM = 1 << 18
"""Bytes that have to be free before a run on a full disk goes on, beside its next model."""

_RESERVE = 1 << 16


@dataclass(frozen=True)
class Outage:
    """What the run waits for.

    Attributes:
        reason: one sentence.
        is_over: whether it may go on.
    """

    reason: str
    is_over: Callable[[], bool]


def outage_of(error: OSError, exchange: ExchangeFolder, folder: RunFolder, model_size: int) -> Outage | None:
    """The outage behind an error, or None for an error that would come again.

    Args:
        error: what could not be written or read.
        exchange: the exchange folder.
        folder: the run folder.
        model_size: bytes of the model.
    """
    if is_away(exchange.root):
        return Outage(
            f"the exchange folder {exchange.root} is away; the run goes on by itself when it is back",
            lambda: not is_away(exchange.root),
        )
    if error.errno in DISK_FULL:
        needed = _LEAST_ROOM + 2 * model_size
        places = {folder.root, exchange.root}

        def has_enough() -> bool:
            return all(has_room(place, needed) for place in places)

        where = f" ({error.filename})" if error.filename else ""
        return Outage(
            f"{error.strerror}{where}; the run goes on by itself when {size_text(needed)} are free in "
            f"{' and '.join(sorted(map(str, places)))}",
            has_enough,
        )
    if error.errno in AWAY and error.filename and Path(error.filename).is_relative_to(exchange.root):
        return Outage(
            f"the exchange folder {exchange.root} does not work: {error.strerror} ({error.filename}); the run goes on "
            "by itself when it does",
            lambda: has_room(exchange.root, _LEAST_ROOM),
        )
    return None


class Reserve:
    """A few blocks of the run's disk, held so that the journal can tell of a full disk.

    Args:
        path: the file that holds them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> None:
        """Hold them, where there is room and a file system that can."""
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(fd, 0, _RESERVE)
            finally:
                os.close(fd)

    def release(self) -> None:
        """Give them up."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
