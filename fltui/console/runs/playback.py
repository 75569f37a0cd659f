"""Playing a run back: its events and log lines once more, in the time they took or faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from fltui.console.runs.follow import MOST, Batch, Opening, safe_line
from fltui.console.safe import safe, safe_struct
from fltui.errors import BadInputError
from fltui.run.events import AnyEvent, RunResumed, RunStarted
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from fltui.run.logs import LogFollower, LogLine
from fltui.run.state import RunState, apply

SLOWEST, FASTEST = 1 / 16, 1024.0

_LOG_TAIL = 16 << 20
"""Bytes at the ends of all logs together that are played."""


class Playback:
    """A `Source` that gives a run again from its beginning.

    It goes by the seconds of the run, in which the time without a server does not count.

    Args:
        folder: the run.
        clock: seconds, monotonic; a test gives its own.

    Attributes:
        speed: seconds of the run in one second.
        playing: False while it stands still.
        over: whether every event has been given.
    """

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed = 1.0
        self.playing = True
        self.over = False
        self._folder = folder
        self._clock = clock
        self._looked = clock()
        self._played = 0.0
        self._told = RunState()
        self._wall = 0.0
        self._events = read_journal(folder.journal)
        self._next: AnyEvent | None = None
        self._opened = False
        self._lines: list[LogLine] = []
        self._loading = threading.Thread(target=self._load_lines, name=f"play {folder.run}", daemon=True)
        self._loading.start()

    @property
    def seconds(self) -> float:
        """How far into the run it is."""
        return self._told.seconds if self.over else self._played

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
        if self.over and self._loading.is_alive():
            return None
        try:
            if not self._opened:
                self._opened = True
                return Batch(opening=self._begin(), held=False)
            self._pass_time()
            batch = Batch(None, list(self._due_events()), self._due_lines())
        except (BadInputError, OSError, KeyError) as error:
            self.over = True
            return Batch(error=safe(f"run {self._folder.run} cannot be played any further: {error}"))
        return None if batch.is_empty else batch

    def close(self) -> None:
        """See `Source.close`."""
        self.over = True

    def _begin(self) -> Opening:
        self._next = next(self._events, None)
        return Opening(exchange=self._next.exchange if isinstance(self._next, RunStarted) else "")

    def _pass_time(self) -> None:
        now = self._clock()
        if self.playing and not self.over:
            self._played += (now - self._looked) * self.speed
        self._looked = now

    def _due_events(self) -> Iterator[AnyEvent]:
        for _ in range(MOST):
            if self._next is None:
                self.over = True
                return
            if self._due_at(self._next) > self._played:
                return
            event = safe_struct(self._next)
            self._told = apply(self._told, event)
            self._wall = event.time
            yield event
            self._next = next(self._events, None)

    def _due_at(self, event: AnyEvent) -> float:
        """The second of the run at which `event` came."""
        if not self._told.started or (isinstance(event, RunResumed) and event.restarted):
            return self._told.seconds
        return event.monotonic - self._told.monotonic_start

    def _due_lines(self) -> list[LogLine]:
        """Those whose time has come by the clock of the server; what is later than the last event comes with it."""
        if self._loading.is_alive() or not self._lines:
            return []
        due = len(self._lines)
        if not self.over:
            now = self._wall + max(0.0, self._played - self._told.seconds)
            stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23]
            due = next((at for at, line in enumerate(self._lines) if line.time[:23] > stamp), due)
        found, self._lines = self._lines[: min(due, MOST)], self._lines[min(due, MOST) :]
        return found

    def _load_lines(self) -> None:
        """Read the logs' ends; in a thread, since there may be many."""
        follower = LogFollower(self._folder.logs, tail=_LOG_TAIL)
        found: list[LogLine] = []
        while lines := follower.new_lines():
            found += map(safe_line, lines)
        self._lines = sorted(found, key=lambda line: line.time)
