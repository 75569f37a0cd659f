"""Following a run folder: a thread reads what is new in the journal and the logs, the app takes it in batches.

It looks instead of waiting for file events: the folder may be written by another machine, and a site's log grows
through its other name in the exchange; neither gives an event here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Protocol

from fltui.console.safe import LONGEST, safe, safe_struct
from fltui.console.series import Series
from fltui.errors import BadInputError
from fltui.exchange.watch import Backoff
from fltui.run.events import AnyEvent, RunFinished
from fltui.run.folder import RunFolder
from fltui.run.journal import read_events
from fltui.run.logs import LogFollower, LogLine
from fltui.run.state import RunState, apply

MOST = 1000
"""Events or lines of one batch, so that the app never works long on one."""

_AHEAD = 20
"""Batches that wait for the app at most; what is beyond stays on the disk."""

_LIVE_LOOK = 0.1
"""Seconds between two looks at a run that is going on, at most."""

_LOG_TAIL = 4 << 20
"""Bytes at the ends of all logs together that are read when a run is opened."""


@dataclass
class Batch:
    """What is new.

    Attributes:
        opening: state and series of everything before; takes the place of what was known.
        events: in order, their texts harmless.
        lines: of the logs by time, their texts harmless.
        alive: whether an engine on this machine holds the run; None for "as before".
        error: why nothing more will come; empty as a rule.
    """

    opening: tuple[RunState, Series] | None = None
    events: list[AnyEvent] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)
    alive: bool | None = None
    error: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.opening or self.events or self.lines or self.error or self.alive is not None)


class Source(Protocol):
    """Where a run screen takes a run from."""

    def take(self) -> Batch | None:
        """The next batch, if there is one; never waits."""

    def close(self) -> None:
        """Stop reading."""


class Follower:
    """Reads a run folder from a thread of its own.

    Args:
        folder: the run.
        arrived: called from the thread after a batch was added, such as to wake a test; may be left out.
    """

    def __init__(self, folder: RunFolder, arrived: Callable[[], None] | None = None) -> None:
        self._folder = folder
        self._arrived = arrived
        self._batches: deque[Batch] = deque()
        self._logs = LogFollower(folder.logs, tail=_LOG_TAIL)
        self._alive: bool | None = None
        self._over = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {folder.run}", daemon=True)
        self._thread.start()

    def take(self) -> Batch | None:
        """See `Source.take`."""
        return self._batches.popleft() if self._batches else None

    def close(self) -> None:
        """See `Source.close`; returns when the thread has ended, which is within one look."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._folder.journal.open("rb") as journal:
                self._follow(journal)
        except (BadInputError, OSError, KeyError) as error:
            self._put(Batch(error=safe(f"run {self._folder.run} cannot be followed any further: {error}")))

    def _follow(self, journal: BinaryIO) -> None:
        self._put(Batch(opening=self._open(journal), alive=self._liveness()))
        backoff = Backoff()
        while not self._closing.is_set():
            batch = Batch(None, self._events(journal), self._lines(), self._liveness())
            if batch.is_empty:
                self._closing.wait(backoff.next() if self._over else min(backoff.next(), _LIVE_LOOK))
                continue
            backoff.reset()
            self._put(batch)
            while len(self._batches) >= _AHEAD and not self._closing.wait(_LIVE_LOOK / 2):
                pass

    def _open(self, journal: BinaryIO) -> tuple[RunState, Series]:
        """Everything that is there, folded here and not in the app's thread."""
        state, series = RunState(), Series()
        for event in read_events(journal, str(self._folder.journal)):
            if self._closing.is_set():
                break
            found = safe_struct(event)
            state = apply(state, found)
            series.add(found)
        self._over = state.status.is_finished
        return state, series

    def _events(self, journal: BinaryIO) -> list[AnyEvent]:
        found = list(map(safe_struct, islice(read_events(journal, str(self._folder.journal)), MOST)))
        for event in found:
            self._over = isinstance(event, RunFinished)
        return found

    def _lines(self) -> list[LogLine]:
        return [safe_line(line) for line in self._logs.new_lines()]

    def _liveness(self) -> bool | None:
        """Whether an engine holds the run, where that changed."""
        alive = self._folder.is_alive()
        before, self._alive = self._alive, alive
        return None if alive == before else alive

    def _put(self, batch: Batch) -> None:
        self._batches.append(batch)
        if self._arrived is not None:
            self._arrived()


def safe_line(line: LogLine) -> LogLine:
    """The line with harmless texts; the same object where nothing changes."""
    text = line.text
    if len(text) <= LONGEST and text.isascii() and text.isprintable() and line.time.isascii():
        return line
    return LogLine(safe(line.time), safe(line.source), line.level, safe(text))
