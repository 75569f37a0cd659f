"""Looks at files that other processes write: each in a thread of its own, so that one that hangs holds up no other."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message
from textual.screen import Screen


class Look:
    """One thing that is looked at again and again, one look at a time: a slow disk takes what it takes.

    Args:
        screen: where what was seen is shown.
        see: looks, in a thread, and gives the message that tells the screen.
        group: names the thread's work.
    """

    def __init__(self, screen: Screen[None], see: Callable[[], Message], group: str) -> None:
        self._screen = screen
        self._see = see
        self._group = group
        self._is_on = False

    def start(self) -> None:
        """Look, unless a look is on."""
        if not self._is_on:
            self._is_on = True
            self._screen.run_worker(self._work, thread=True, group=self._group)

    def _work(self) -> None:
        try:
            message = self._see()
        finally:
            self._is_on = False
        self._screen.post_message(message)
