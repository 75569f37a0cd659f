"""What a process of a test may suffer from: clocks that jump, a slow disk, signals at every moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from itertools import count
from typing import Any

YEAR = 365 * 86400.0

_SLOW = ("write", "fsync", "replace", "rename", "link", "unlink", "mkdir", "copy_file_range")


def clock_a_year_behind() -> None:
    """The wall clock is a year behind from the start."""
    _set_back(lambda: True)


def clock_set_back_meanwhile() -> None:
    """The wall clock is set back a year while the process runs."""
    calls = count()
    _set_back(lambda: next(calls) > 20)


def _set_back(now: Callable[[], bool]) -> None:
    real, real_ns, gmtime = time.time, time.time_ns, time.gmtime

    def behind() -> float:
        return real() - YEAR if now() else real()

    def told(seconds: float | None = None) -> time.struct_time:
        return gmtime(behind() if seconds is None else seconds)

    time.time = behind
    time.time_ns = lambda: real_ns() - int(YEAR * 1e9) if now() else real_ns()
    time.gmtime = told  # type: ignore[assignment]  # typeshed knows of more than floats


def slow_disk() -> None:
    """Everything that changes a file takes some milliseconds."""
    for name in _SLOW:
        setattr(os, name, _slowly(getattr(os, name)))


def _slowly(real: Callable[..., Any]) -> Callable[..., Any]:
    def slow(*args: Any, **more: Any) -> Any:
        time.sleep(0.003)
        return real(*args, **more)

    return slow


def signals() -> None:
    """A signal with a handler comes every millisecond: system calls are interrupted all the time."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
