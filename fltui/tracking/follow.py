"""Telling trackers of a run, to its end: one that is on as it goes, one that is over at once."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path

import blake3

from fltui.exchange.lock import hold, let_go
from fltui.exchange.watch import Watcher
from fltui.run.events import AnyEvent, Event, RunFinished
from fltui.run.folder import RunFolder
from fltui.tracking.errors import TrackingError
from fltui.tracking.parameters import parameters_of
from fltui.tracking.records import Ended, GoneOn, ModelChoice, Point, Record, Writer
from fltui.tracking.stream import Stream
from fltui.tracking.targets import Target, opened

_MOST_HELD = 5000
"""Records that a tracker may keep back."""

_FLUSH = methodcaller("flush")

_EVERY = 1.0
"""Seconds between two looks at a run that is on: more would cost the run more than it shows people."""


@dataclass
class Tally:
    """What trackers were told of a run.

    Attributes:
        points: how many values.
        end: its end; None if it has not ended.
        failed: target to why it could not be told, or not to the end.
        left_out: see `Stream`.
        say_failed: called with why as soon as that is so.
    """

    points: int = 0
    end: Ended | None = None
    failed: dict[str, str] = field(default_factory=dict)
    left_out: int = 0
    say_failed: Callable[[str], None] | None = None

    def fail(self, target: str, why: str) -> None:
        """Note that a target cannot be told, or not to the end."""
        self.failed[target] = why
        if self.say_failed is not None:
            self.say_failed(why)

    def add(self, record: Record) -> None:
        """Count a record."""
        self.points += isinstance(record, Point)
        if isinstance(record, Ended):
            self.end = record
        elif isinstance(record, GoneOn):
            self.end = None


def track(
    folder: RunFolder,
    targets: Sequence[Target],
    *,
    models: ModelChoice = "final",
    experiment: str = "",
    follow: bool = True,
    say_failed: Callable[[str], None] | None = None,
) -> Tally:
    """Tell trackers of a run: all that has been, and with `follow` all that comes until it ends or its server is gone.

    One tracker that cannot be told does not keep the others from being told.

    Raises:
        BadInputError: the journal cannot be read, or is not of one run.
    """
    told, stream = Tally(say_failed=say_failed), Stream(parameters_of(folder))
    with ExitStack() as stack:
        writers = [writer for one in targets if (writer := _entered(stack, one, folder, models, experiment, told))]
        try:
            for events in _looks(folder, follow=follow):
                for number, record in enumerate(record for event in events for record in stream.take(event)):
                    told.add(record)
                    _each(writers, told, methodcaller("take", record))
                    if number % _MOST_HELD == _MOST_HELD - 1:
                        _each(writers, told, _FLUSH)
                _each(writers, told, _FLUSH)
                if not writers:
                    break
            _each(writers, told, methodcaller("finish"))
        except KeyboardInterrupt:
            _each(writers, told, _FLUSH)
            raise
    told.left_out = stream.left_out
    return told


def _entered(
    stack: ExitStack, target: Target, folder: RunFolder, models: ModelChoice, experiment: str, told: Tally
) -> Writer | None:
    try:
        stack.enter_context(_alone(target, folder))
        return stack.enter_context(opened(target, folder, models, experiment))
    except TrackingError as error:
        told.fail(target.text, str(error))
        return None


def _each(writers: list[Writer], told: Tally, do: Callable[[Writer], None]) -> None:
    """Do something with every writer; one that fails is left out from now on."""
    for writer in tuple(writers):
        try:
            do(writer)
        except TrackingError as error:
            told.fail(writer.target, str(error))
            writers.remove(writer)


@contextmanager
def _alone(target: Target, folder: RunFolder) -> Iterator[None]:
    """Make sure that no other process of this user tells the same target of the same run.

    Raises:
        TrackingError: one does.
    """
    from platformdirs import user_cache_path

    name = blake3.blake3(f"{target.tracker}\n{target.place}\n{folder.root}".encode()).hexdigest()[:32]
    path = Path(user_cache_path("fltui")) / "tracking" / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = hold(path)
    except BlockingIOError as error:
        raise TrackingError(f"{target.text}: another process is telling it of run {folder.run} already") from error
    except OSError:  # a home that cannot be written: nobody can be kept out
        fd = None
    try:
        yield
    finally:
        if fd is not None:
            let_go(path, fd)


def _looks(folder: RunFolder, *, follow: bool) -> Iterator[Iterator[AnyEvent]]:
    """The events that are new, look after look; the last look is at a run that is over or whose server is gone."""
    arrivals: queue.SimpleQueue[str] = queue.SimpleQueue()
    watcher = Watcher(arrivals.put, folder.root) if follow else None  # tells of the end; the journal grows all the time
    last = Event()

    def noted(events: Iterator[AnyEvent]) -> Iterator[AnyEvent]:
        nonlocal last
        for event in events:
            last = event
            yield event

    try:
        if watcher is not None:
            watcher.add(folder.root)
        looks = folder.events()
        while True:
            alive = folder.is_alive()  # before the look: what a server wrote before it went is seen
            yield noted(next(looks))
            if not follow or isinstance(last, RunFinished) or not alive:
                return
            with contextlib.suppress(queue.Empty):
                arrivals.get(timeout=_EVERY)
    finally:
        if watcher is not None:
            watcher.close()
