"""How often to show what moves fast: a console must not take from a run on the same machine what that needs."""

from __future__ import annotations

import time
from collections.abc import Callable

_SHARE = 0.04
"""Of one core, what showing may take while there is always something new."""

LONGEST = 1 / 2
"""Seconds after which it is shown in any case."""


class Pace:
    """What comes after a rest is shown at once; what goes on coming, as often as it can be afforded.

    Args:
        clock: seconds, monotonic; a test gives its own.
        used: seconds of processors that this process has used.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._used = used
        self._shown, self._spent = clock() - LONGEST, used()

    @property
    def is_time(self) -> bool:
        """Whether to look for something to show."""
        since = self._clock() - self._shown
        return since >= LONGEST or self._used() - self._spent <= _SHARE * since

    def showing(self) -> None:
        """Something is shown from now on."""
        self._shown, self._spent = self._clock(), self._used()
