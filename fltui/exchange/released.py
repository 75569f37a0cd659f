"""To wait for a lock of a process that is about to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fltui.exchange.lock import is_held
from fltui.exchange.watch import Backoff


async def until_released(
    lock: Path,
    seconds: float,
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    unless: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until nobody holds `lock`, which tells nobody of its end.

    Args:
        lock: the file.
        seconds: after which it is enough.
        wait: waits so many seconds at most.
        unless: whether nobody wants it any more.
    """
    backoff, deadline = Backoff(), time.monotonic() + seconds
    while not unless() and is_held(lock) and time.monotonic() < deadline:
        await wait(backoff.next())
