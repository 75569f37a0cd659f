"""What a person types to find text, matched against text of others without ever holding up the console."""

from __future__ import annotations

import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fltui.console.safe import safe
from fltui.errors import BadInputError

_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_ESCAPED = re.compile(r"\\.")
_armed = False
_installed = False


class TooSlowError(Exception):
    """Matching took longer than it may: the pattern and the text do not go together."""


class Pattern:
    """Text to look for: plain if nothing in it is special in a regular expression, otherwise that.

    Case counts only if there is a capital letter in it.

    Args:
        text: as it was typed; not empty.

    Attributes:
        text: the same.
        is_plain: whether it is no regular expression.
        matches: says of a text whether this is somewhere in it; run it with `patience` unless it `is_plain`.

    Raises:
        BadInputError: it is not a regular expression; a harmless sentence.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_plain = _SPECIAL.search(text) is None
        letters = text if self.is_plain else _ESCAPED.sub("", text)
        flags = re.IGNORECASE if letters == letters.lower() else re.NOFLAG
        self._compiled = _compile(text, flags)
        self.matches: Callable[[str], object] = self._compiled.search
        if self.is_plain and flags:
            needle = text.lower()
            self.matches = lambda of: needle in of.lower()
        elif self.is_plain:
            self.matches = lambda of: text in of

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it is in `text`, from the left: begin and end of every match that is not empty."""
        return [found.span() for found in self._compiled.finditer(text) if found[0]]


def _compile(text: str, flags: re.RegexFlag) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as for "[[", which may mean something else some day
            return re.compile(text, flags)
    except (re.error, OverflowError, RecursionError) as error:
        where = f" at {error.pos + 1}" if isinstance(error, re.error) and error.pos is not None else ""
        said = error.msg if isinstance(error, re.error) else "too large"
        raise BadInputError(safe(f"not a regular expression: {said}{where}")) from error


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Bound the computing time of what is inside, and so of one match of a regular expression.

    Python's `re` gives way to nobody while it matches, not even to other threads, but it looks for signals. So this is
    a timer of the process's computing time, in the main thread, where the app runs. In other threads, and on systems
    without such timers, nothing is bounded.

    Raises:
        TooSlowError: the time is up.
    """
    global _armed
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    _install()
    try:
        _armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        _armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _install() -> None:
    """Once and for good: a signal that comes late must find somebody."""
    global _installed
    if not _installed:
        signal.signal(signal.SIGVTALRM, _time_is_up)
        _installed = True


def _time_is_up(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's
    global _armed
    if _armed:
        _armed = False
        raise TooSlowError
