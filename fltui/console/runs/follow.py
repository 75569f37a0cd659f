"""Following a run folder: a thread reads what is new in the journal and the logs, the app takes it in batches.

It looks instead of waiting for file events: the folder may be written by another machine, and a site's log grows
through its other name in the exchange; neither gives an event here.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Protocol

from fltui.console.runs.remarks import Remarks
from fltui.console.runs.series import Series
from fltui.console.safe import LONGEST, safe, safe_struct
from fltui.errors import BadInputError
from fltui.exchange.watch import LONGEST_WAIT, Backoff
from fltui.run.events import AnyEvent, RunFinished, RunStarted
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

_GATHER = 0.1
"""Seconds in which news gather: to look costs more than to take one of them."""

_LOG_TAIL = 4 << 20
"""Bytes at the ends of all logs together that are read when a run is opened."""


@dataclass
class Opening:
    """Everything before: it takes the place of what was known.

    Attributes:
        state: of the run; every text in it is harmless.
        series: its metrics.
        remarks: what else is told of its rounds.
        exchange: path of the exchange folder as the journal has it, to open files there, not to be shown.
    """

    state: RunState = field(default_factory=RunState)
    series: Series = field(default_factory=Series)
    remarks: Remarks = field(default_factory=Remarks)
    exchange: str = ""


@dataclass
class Batch:
    """What is new.

    Attributes:
        opening: everything before, at the beginning and when the journal was replaced.
        events: in order, their texts harmless.
        lines: of the logs by time, their texts harmless.
        held: whether an engine on this machine holds the run; None for "as before".
        error: why it cannot be read, as long as that lasts; empty as a rule.
    """

    opening: Opening | None = None
    events: list[AnyEvent] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)
    held: bool | None = None
    error: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.opening or self.events or self.lines or self.error or self.held is not None)

    @property
    def is_full(self) -> bool:
        """Whether there is more already, as far as events tell."""
        return len(self.events) >= MOST


class Source(Protocol):
    """Where the batches of a run come from."""

    def take(self) -> Batch | None:
        """The next batch, if there is one; never waits."""

    def close(self) -> None:
        """Stop reading, now or soon; never waits."""


class Follower:
    """A `Source` that reads a run folder from a thread of its own.

    Args:
        folder: the run.
        arrived: called from the thread after a batch was added, such as to wake a test; may be left out.
    """

    def __init__(self, folder: RunFolder, arrived: Callable[[], None] | None = None) -> None:
        self._folder = folder
        self._arrived = arrived
        self._batches: deque[Batch] = deque()
        self._logs = LogFollower(folder.logs, tail=_LOG_TAIL)
        self._held: bool | None = None
        self._over = False
        self._closing = threading.Event()
        threading.Thread(target=self._run, name=f"follow {folder.run}", daemon=True).start()

    def take(self) -> Batch | None:
        """See `Source.take`."""
        return self._batches.popleft() if self._batches else None

    def close(self) -> None:
        """See `Source.close`; a share that answers slowly keeps the thread until it has answered."""
        self._closing.set()

    def _run(self) -> None:
        """Follow the journal, and follow it anew whenever another file takes its place or it can be read again."""
        while not self._closing.is_set():
            before = self._stamp()
            try:
                with self._journal() as journal:
                    self._follow(journal)
            except (BadInputError, OSError, KeyError) as error:
                self._put(Batch(error=safe(f"run {self._folder.run} cannot be followed: {error}")))
                while self._stamp() == before and not self._closing.wait(LONGEST_WAIT):
                    pass

    def _journal(self) -> BinaryIO:
        """The journal, which must be a file: to open a pipe would wait for ever."""
        if not self._folder.journal.is_file():
            raise FileNotFoundError(errno.ENOENT, "there is no such file", str(self._folder.journal))
        return self._folder.journal.open("rb")

    def _follow(self, journal: BinaryIO) -> None:
        """Read until the journal is another file, or this one is cut."""
        self._put(Batch(opening=self._open(journal), held=self._changed_hold()))
        backoff = Backoff()
        while not self._closing.is_set() and not self._is_replaced(journal):
            batch = Batch(None, self._events(journal), self._lines(), self._changed_hold())
            if batch.is_empty:
                self._closing.wait(backoff.next() if self._over else min(backoff.next(), _LIVE_LOOK))
                continue
            backoff.reset()
            self._put(batch)
            if not (batch.is_full or self._logs.behind):
                self._closing.wait(_GATHER)
            while len(self._batches) >= _AHEAD and not self._closing.wait(_LIVE_LOOK / 2):
                pass

    def _open(self, journal: BinaryIO) -> Opening:
        """Everything that is there, folded here and not in the app's thread."""
        opening = Opening()
        for event in read_events(journal, str(self._folder.journal)):
            if self._closing.is_set():
                break
            if isinstance(event, RunStarted):
                opening.exchange = event.exchange
            found = safe_struct(event)
            opening.state = apply(opening.state, found)
            opening.series.add(found)
            opening.remarks.add(found)
        self._over = opening.state.status.is_finished
        return opening

    def _is_replaced(self, journal: BinaryIO) -> bool:
        there, ours = self._folder.journal.stat(), os.fstat(journal.fileno())
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) or there.st_size < journal.tell()

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self._folder.journal.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _events(self, journal: BinaryIO) -> list[AnyEvent]:
        found = list(map(safe_struct, islice(read_events(journal, str(self._folder.journal)), MOST)))
        for event in found:
            self._over = isinstance(event, RunFinished)
        return found

    def _lines(self) -> list[LogLine]:
        return [safe_line(line) for line in self._logs.new_lines()]

    def _changed_hold(self) -> bool | None:
        """Whether an engine holds the run, where that changed."""
        held = self._folder.is_alive()
        before, self._held = self._held, held
        return None if held == before else held

    def _put(self, batch: Batch) -> None:
        self._batches.append(batch)
        if self._arrived is not None:
            self._arrived()


def safe_line(line: LogLine) -> LogLine:
    """The line with harmless texts; the same object where nothing changes."""
    if len(line.text) <= LONGEST and all(map(_is_plain, (line.text, line.source, line.time))):
        return line
    return LogLine(safe(line.time), safe(line.source), line.level, safe(line.text))


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
