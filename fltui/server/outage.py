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
from fltui.exchange.outage import AWAY, DISK_FULL, check_room, exchange_id, has_room
from fltui.exchange.sizes import size_text
from fltui.exchange.watch import Backoff
from fltui.run.events import AnyEvent, RunPaused, RunResumed, RunStatus
from fltui.run.folder import RunFolder
from fltui.run.state import RunState

_LEAST_ROOM = 1 << 18
"""Bytes that have to be free before a run on a full disk goes on, beside its next model."""

_SITES_NEED = 1 << 14
"""Bytes that sites need for a status and a result's manifest."""

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


def outage_of(
    error: OSError, exchange: ExchangeFolder, known: str | None, folder: RunFolder, model_size: int
) -> Outage | None:
    """The outage behind an error, or None for an error that would come again.

    Args:
        error: what could not be written or read.
        exchange: the exchange folder.
        known: the id of the exchange that the run began in.
        folder: the run folder.
        model_size: bytes of the model.
    """
    name = error.filename2 or error.filename
    place = Path(name or exchange.root)
    if place.is_relative_to(folder.root) and error.errno not in DISK_FULL:
        return None
    found = exchange_id(exchange.root)
    if found != known:
        what = f"is away: there is no {exchange.about.name} that can be read"
        if found is not None:
            what = f"holds another exchange, {found} instead of {known}"
        return Outage(
            f"the exchange folder {exchange.root} {what}; the run goes on by itself when its own is back",
            lambda: exchange_id(exchange.root) == known,
        )
    if error.errno in DISK_FULL:
        needed = _LEAST_ROOM + 2 * model_size
        places = {folder.root, exchange.root}
        own = place if place.is_dir() else place.parent
        if _device(own) not in (None, *map(_device, places)):  # a site's folder may lie on a disk of its own
            places.add(own)

        def has_enough() -> bool:
            return all(has_room(place, needed) for place in places)

        where = f" ({name})" if name else ""
        return Outage(
            f"{error.strerror}{where}; the run goes on by itself when {size_text(needed)} are free in "
            f"{' and '.join(sorted(map(str, places)))}",
            has_enough,
        )
    if error.errno in AWAY and (place.is_relative_to(exchange.root) if name else not has_room(place, 1)):
        return Outage(
            f"the exchange folder {exchange.root} does not work: {error.strerror} ({place}); the run goes on "
            "by itself when it does",
            lambda: has_room(exchange.root, _LEAST_ROOM),
        )
    return None


def look_for_room(exchange: Path) -> None:
    """Notice a full disk, or a broken one, while nothing is to be written: it keeps sites from answering and from
    saying that they live, and nothing else tells of that.

    Raises:
        OSError: of an outage.
    """
    try:
        check_room(exchange, _SITES_NEED)
    except OSError as error:
        if error.errno in DISK_FULL | AWAY:
            raise


def _device(folder: Path) -> int | None:
    """Which disk a folder is on; None where it is away."""
    try:
        return folder.stat().st_dev
    except OSError:
        return None


class Outages:
    """What the journal is told of outages, as soon as a word fits on the disk.

    Args:
        reserve: a file for the `Reserve`.

    Attributes:
        current: what the run waits for; None while it goes on.
        reserve: blocks for the journal.
        rest: how long the next outage lasts at least; reset when the run moves, so that a run that is stopped by the
            same error again and again does not fill its journal.
    """

    def __init__(self, reserve: Path) -> None:
        self.current: Outage | None = None
        self.reserve = Reserve(reserve)
        self.rest = Backoff()
        self._untold: list[AnyEvent] = []
        self._told: str | None = None
        self._before: RunPaused | RunResumed | None = None

    def tell_later(self, event: AnyEvent) -> None:
        """An event did not fit on the disk. What people wish of the run is told last, so that it holds."""
        if isinstance(event, RunPaused | RunResumed):
            self._before = event
        else:
            self._untold.append(event)

    def pause_after(self, reason: str) -> None:
        """A person wants the run to stay paused when the outage is over; told with the next look."""
        if not isinstance(self._before, RunPaused):
            self._before, self._told = RunPaused(reason=reason), None

    def resume_after(self) -> bool:
        """A person wants the run to go on when the outage is over; whether it was to stay paused then."""
        if not isinstance(self._before, RunPaused):
            return False
        self._before, self._told = RunResumed(), None
        return True

    def tell(self, append: Callable[[AnyEvent], object]) -> None:
        """Tell what did not fit.

        Args:
            append: writes into the journal.

        Raises:
            OSError: it cannot be written yet; what was told is not told again.
        """
        while self._untold:
            append(self._untold[0])
            del self._untold[0]

    def begin(self, state: RunState) -> None:
        """The run begins to wait; people may have paused it before, and then it stays so."""
        if self._before is None:
            paused = state.status is RunStatus.PAUSED
            self._before = RunPaused(reason=state.reason) if paused else RunResumed()
        self.reserve.release()

    def is_over(self, append: Callable[[AnyEvent], object]) -> bool:
        """Tell of the outage, or of its end, and whether the run may go on.

        Args:
            append: writes into the journal.

        Raises:
            OSError: the journal cannot be written, and not because a disk is full.
        """
        outage = self.current
        if outage is None:
            return True
        try:
            if self._told != outage.reason:
                append(RunPaused(reason=outage.reason, outage=True, stays=isinstance(self._before, RunPaused)))
                self._told = outage.reason
                return False
            if not outage.is_over():
                return False
            self.tell(append)
            if self._before is not None:
                append(self._before)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            return False
        self.current = self._told = self._before = None
        self.reserve.take()
        return True


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
