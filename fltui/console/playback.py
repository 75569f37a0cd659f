"""Playing a run back: its events and log lines once more, in the time they took or faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from fltui.console.follow import MOST, Batch, safe_line
from fltui.console.safe import safe_struct
from fltui.console.series import Series
from fltui.errors import BadInputError
from fltui.run.events import AnyEvent
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from fltui.run.logs import LogLine, merged
from fltui.run.state import RunState

SLOWEST, FASTEST = 1 / 16, 1024.0


class Playback:
    """A `Source` that gives a run again from its beginning.

    Args:
        folder: the run.
        clock: seconds, monotonic; a test gives its own.

    Attributes:
        speed: seconds of the run in one second.
        playing: False while it stands still.
        over: whether everything has been given.
    """

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed = 1.0
        self.playing = True
        self.over = False
        self._clock = clock
        self._looked = clock()
        self._played = 0.0
        self._begun: float | None = None
        self._events = map(safe_struct, read_journal(folder.journal))
        self._lines = map(safe_line, merged(folder.logs))
        self._event: AnyEvent | None = None
        self._line: LogLine | None = None
        self._opened = False
        self._next_event()
        self._line = next(self._lines, None)

    @property
    def seconds(self) -> float:
        """How far into the run it is."""
        return self._played

    def toggle(self) -> None:
        """Stand still, or go on."""
        self._pass_time()
        self.playing = not self.playing

    def faster(self) -> None:
        """Double the speed."""
        self._pass_time()
        self.speed = min(self.speed * 2, FASTEST)

    def slower(self) -> None:
        """Halve the speed."""
        self._pass_time()
        self.speed = max(self.speed / 2, SLOWEST)

    def take(self) -> Batch | None:
        """See `Source.take`."""
        if not self._opened:
            self._opened = True
            return Batch(opening=(RunState(), Series()), alive=False)
        self._pass_time()
        if self._begun is None:
            return None
        until = self._begun + self._played
        try:
            batch = Batch(None, list(self._events_until(until)), list(self._lines_until(until)))
        except (BadInputError, OSError) as error:
            self.over = True
            return Batch(error=str(error))
        self.over = self.over or (self._event is None and self._line is None)
        return None if batch.is_empty else batch

    def close(self) -> None:
        """See `Source.close`."""
        self.over = True

    def _pass_time(self) -> None:
        now = self._clock()
        if self.playing and not self.over:
            self._played += (now - self._looked) * self.speed
        self._looked = now

    def _next_event(self) -> None:
        self._event = next(self._events, None)
        if self._begun is None and self._event is not None:
            self._begun = self._event.time

    def _events_until(self, until: float) -> Iterator[AnyEvent]:
        for _ in range(MOST):
            if self._event is None or self._event.time > until:
                return
            yield self._event
            self._next_event()

    def _lines_until(self, until: float) -> Iterator[LogLine]:
        stamp = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23]
        for _ in range(MOST):
            if self._line is None or self._line.time[:23] > stamp:
                return
            yield self._line
            self._line = next(self._lines, None)
