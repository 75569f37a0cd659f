"""What can go wrong when a run is tracked."""

from __future__ import annotations

import re

from fltui.errors import FltuiError

_URL = r"[A-Za-z][A-Za-z0-9+.-]*://"
_USER = re.compile(rf"({_URL})[^\s/]*@")
_QUERY = re.compile(rf"({_URL}[^\s?#'\"]*)\?[^\s'\"]+")


class TrackingError(FltuiError):
    """A tracker cannot be told of a run; the run itself is not touched by it. Its sentence shows no password."""

    def __init__(self, sentence: str) -> None:
        super().__init__(without_passwords(sentence))


def without_passwords(text: str) -> str:
    """A text without what URLs in it say of users and passwords: before the host, and after a question mark."""
    return _QUERY.sub(r"\1?...", _USER.sub(r"\1", text))
