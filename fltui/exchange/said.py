"""What a process said last, as the one sentence that people are shown of it."""

from __future__ import annotations

import os

from fltui.exchange.visible import visible

TAIL = 8192
"""Bytes at the end of what a process said that are looked at."""

_LONGEST = 600
"""Characters of a sentence."""

_ERROR = "error: "


def tail(fd: int, size: int = TAIL, since: int = 0) -> str:
    """The last `size` bytes of an open file as text, whole lines alone where there is more before them.

    Args:
        fd: the file; its position stays as it is.
        size: how many bytes.
        since: nothing of what stands before this byte.

    Raises:
        OSError: it cannot be read.
    """
    start = max(os.fstat(fd).st_size - size, since)
    text = os.pread(fd, size, start).decode(errors="replace")
    return text.partition("\n")[2] if start > since and "\n" in text else text


def last_sentence(text: str, otherwise: str) -> str:
    """Why a process ended, out of what it said: the last line that names an error, else the last one; harmless.

    Args:
        text: what it said.
        otherwise: the answer where it said nothing.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(_ERROR)] or lines
    return visible(told[-1].removeprefix(_ERROR))[:_LONGEST] if told else otherwise
