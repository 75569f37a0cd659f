"""Time that a test makes: an event loop that never waits, and threads that take turns with it.

One schedule of a run lasts minutes of its own time and some milliseconds of ours, and is the same every time.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest


class StuckError(Exception):
    """Nothing happens any more, or it takes for ever."""


class _KilledError(BaseException):
    """Ends a lane where it waits; no `except Exception` holds it."""


class _Selector(selectors.SelectSelector):
    """Lets time pass instead of waiting."""

    def __init__(self, clock: Clockwork) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing ever comes from outside."""
        if timeout is None:
            raise StuckError("everybody waits and nothing will ever happen")
        self._clock.now += max(timeout, 0.0)
        if self._clock.now > self._clock.limit:
            raise StuckError(f"still not done after {self._clock.limit:g} s")
        return []


class Clockwork:
    """The time of one test.

    Args:
        limit: seconds after which the test is stuck.
    """

    def __init__(self, limit: float) -> None:
        self.now = 1000.0
        self.limit = self.now + limit
        self.loop = asyncio.SelectorEventLoop(_Selector(self))
        self.lanes: list[Lane] = []
        self.current: Lane | None = None
        self.returned = threading.Lock()
        self.returned.acquire()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The clock of the process is this one, and the heartbeats of clients beat to it."""
        fake = SimpleNamespace(
            Lock=threading.Lock,
            Event=lambda: Flag(self),
            Thread=lambda *, target, **_: Lane(self, target),
            current_thread=threading.current_thread,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.monotonic", lambda: self.now)
            patch.setattr("fltui.client.heartbeat.threading", fake)
            try:
                yield
            finally:
                for lane in self.lanes:
                    lane.kill()
                self.loop.close()


class Lane:
    """A thread that goes on only when it is its turn, and hands the turn back when it waits.

    Args:
        clock: whose time it is in.
        target: what it does.
    """

    def __init__(self, clock: Clockwork, target: Callable[[], object]) -> None:
        self.done = False
        self.error: Exception | None = None
        self._clock = clock
        self._target = target
        self._go = threading.Lock()
        self._go.acquire()
        self._timer: asyncio.Handle | None = None
        self._killed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._waiting: list[Lane] = []

    def start(self) -> None:
        """Begin, when the loop comes to it."""
        self._clock.lanes.append(self)
        self._thread.start()
        self._timer = self._clock.loop.call_soon(self._turn)

    def join(self) -> None:
        """Wait, in another lane, until this one is done."""
        while not self.done:
            self._waiting.append(current(self._clock))
            current(self._clock).sleep(60)

    def sleep(self, seconds: float) -> None:
        """Wait, in this lane, so many seconds or until somebody wakes it."""
        self._timer = self._clock.loop.call_later(seconds, self._turn)
        self._clock.returned.release()
        self._go.acquire()
        if self._killed:
            raise _KilledError

    def wake(self) -> None:
        """It is its turn soon."""
        if self._timer is not None and not self.done:
            self._timer.cancel()
            self._timer = self._clock.loop.call_soon(self._turn)

    def kill(self) -> None:
        """End it where it waits, as a signal would: nothing of what it holds is told or tidied."""
        if not self.done and self._clock.current is not self:
            self._killed = True
            if self._timer is not None:
                self._timer.cancel()
            self._turn()
            self._thread.join()

    def _turn(self) -> None:
        if self.done:
            return
        self._timer, self._clock.current = None, self
        self._go.release()
        self._clock.returned.acquire()
        self._clock.current = None

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._killed:
                self._target()
        except _KilledError:
            pass
        except Exception as error:  # noqa: BLE001 - the test raises it
            self.error = error
        finally:
            self.done = True
            for lane in self._waiting:
                lane.wake()
            self._clock.returned.release()


def current(clock: Clockwork) -> Lane:
    """The lane whose turn it is."""
    if clock.current is None:
        raise StuckError("only a lane can wait")
    return clock.current


class Flag:
    """`threading.Event` for lanes."""

    def __init__(self, clock: Clockwork) -> None:
        self._clock = clock
        self._set = False
        self._waiting: set[Lane] = set()

    def is_set(self) -> bool:
        """See `threading.Event`."""
        return self._set

    def set(self) -> None:
        """See `threading.Event`."""
        self._set = True
        for lane in self._waiting:
            lane.wake()

    def clear(self) -> None:
        """See `threading.Event`."""
        self._set = False

    def wait(self, timeout: float) -> Any:
        """See `threading.Event`; a waking that was meant for something else ends it, too."""
        if not self._set:
            lane = current(self._clock)
            self._waiting.add(lane)
            try:
                lane.sleep(timeout)
            finally:
                self._waiting.discard(lane)
        return self._set
