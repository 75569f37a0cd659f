"""What a run looks after by itself: things that tell of themselves by no event, or by one that was lost."""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Callable, Sequence

from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.outage import exchange_id
from fltui.server.outage import look_for_room

_SELDOM = 0.25
"""Seconds after which they are due, however many hints come."""

_PAUSE = 20
"""How many times as long as they took before they are due again while hints come: with many sites they take long."""

_LONGEST_PAUSE = 2.0
"""Seconds after which they are due in any case, however slow a share was the last time."""

_ROOM = 3.0
"""Seconds between two looks for room in the exchange folder."""


class Chores:
    """Done whenever no site gave a hint, and from time to time whatever the sites do: one that touches its files
    without end must not keep the run from everybody else.

    Args:
        exchange: the exchange folder, which is to stay the one that it is.
        looks: what is to be done each time, in this order.

    Attributes:
        exchange_id: of that folder.
    """

    def __init__(self, exchange: ExchangeFolder, looks: Sequence[Callable[[], None]]) -> None:
        self.exchange_id = exchange_id(exchange.root)
        self._exchange = exchange
        self._looks = looks
        self._at = -math.inf
        self._room_at = time.monotonic() + _ROOM

    @property
    def are_due(self) -> bool:
        """Whether they have to be done though there are hints."""
        return time.monotonic() >= self._at

    def do(self) -> None:
        """Do them.

        Raises:
            OSError: the exchange folder is away, or the disk is full.
        """
        began = time.monotonic()
        if exchange_id(self._exchange.root) != self.exchange_id:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._exchange.about))
        if time.monotonic() >= self._room_at:
            self._room_at = time.monotonic() + _ROOM
            look_for_room(self._exchange.root)
        for look in self._looks:
            look()
        now = time.monotonic()
        self._at = now + min(max(_SELDOM, _PAUSE * (now - began)), _LONGEST_PAUSE)
