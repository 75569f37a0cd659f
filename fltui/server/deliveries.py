"""A result that is not whole yet: is somebody delivering it, or nobody any more?"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fltui.exchange.store import Copied
from fltui.exchange.watch import Backoff

STALLED = 30.0
"""Seconds in which nothing more comes after which a result whose arrays do not match its manifest is told of."""

_TOUCHED = 10
"""How many times the patience a result has whose files change nothing but their times: what writes into a file that
has its size already shows no other change, and what only touches it looks the same."""

_REST_AFTER_READING = 4
"""How many times as long as it took to read arrays in vain that site's arrays are left alone afterwards, at least."""


class Pace(enum.Enum):
    """How a delivery goes."""

    MOVES = enum.auto()
    WAITS = enum.auto()
    STALLED = enum.auto()
    """People are to be told, this once."""
    GIVEN_UP = enum.auto()


@dataclass(frozen=True)
class Traces:
    """What a delivery changes of a result on disk: what it grows by, and the times of its files."""

    shape: object
    times: object


def traces_of(results: Path, task_id: str, files: Sequence[str]) -> Traces | None:
    """What a change of a result on disk would change; None without a manifest."""
    try:
        manifest = (results / f"{task_id}.json").lstat()
    except OSError:
        return None
    shape: list[object] = [manifest.st_size]
    times: list[object] = [manifest.st_ino, manifest.st_mtime_ns]
    for file in files:
        try:
            found = (results / task_id / file).lstat()
        except OSError:
            continue
        shape.append((file, found.st_ino, found.st_size, getattr(found, "st_blocks", 0)))
        times.append(found.st_mtime_ns)
    return Traces(shape, times)


@dataclass(frozen=True)
class _Stall:
    """Traces, since when they grow no more, since when their times stand still, and whether that was told."""

    traces: Traces
    since: float
    touched: float
    told: bool = False


@dataclass
class Delivery:
    """One site's result on its way.

    Between two readings it rests, longer with every reading in vain, whatever happens to the files: a site can have its
    files looked at as often as it likes, but not read.

    Attributes:
        copied: what was copied of its arrays.
        missing: why the last reading was in vain.
    """

    copied: Copied = field(default_factory=Copied)
    missing: str = ""
    _backoff: Backoff = field(default_factory=Backoff)
    _until: float = -math.inf
    _stall: _Stall | None = None

    @property
    def rests(self) -> bool:
        """Whether the arrays were read in vain a short while ago."""
        return time.monotonic() < self._until

    def was_in_vain(self, missing: str, seconds: float) -> None:
        """Arrays were read for so long, and do not match."""
        self.missing = missing
        self._until = time.monotonic() + max(self._backoff.next(), _REST_AFTER_READING * seconds)

    def judge(self, traces: Traces, patience: float) -> Pace:
        """How it goes, by what a new look at the files shows.

        Args:
            traces: of the files now.
            patience: seconds to wait for a result of which nothing more comes.
        """
        stall, now = self._stall, time.monotonic()
        if stall is None or traces.shape != stall.traces.shape:
            self._stall = _Stall(traces, now, now)
            return Pace.MOVES
        if traces != stall.traces:
            stall = self._stall = replace(stall, traces=traces, touched=now)
        if now - stall.touched > patience or now - stall.since > _TOUCHED * patience:
            return Pace.GIVEN_UP
        if now - stall.since > STALLED and not stall.told:
            self._stall = replace(stall, told=True)
            return Pace.STALLED
        return Pace.WAITS
