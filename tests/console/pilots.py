"""The whole console under a pilot: apps over run folders that are written beforehand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from fltui.console.app import ConsoleApp
from fltui.console.config import Config
from fltui.console.host import Places
from fltui.console.screens.run_screen import RunScreen
from fltui.run.folder import RunFolder
from tests.jobs import HELLO

_LONGEST = 30.0

AnyPilot = Pilot[Any]


def console(folder: Path, run: RunFolder | None = None, config: Config | None = None) -> ConsoleApp:
    """A console whose runs are in ``runs/`` and whose only job is the hello job."""
    return ConsoleApp(Places(folder / "runs", folder / "exchange", [HELLO]), config, run)


async def until(pilot: AnyPilot, true: Callable[[], bool]) -> None:
    """Let the app work until `true`.

    Raises:
        AssertionError: it does not come about in time.
    """
    limit = time.monotonic() + _LONGEST
    while not true():
        assert time.monotonic() < limit, "it did not come about"
        await asyncio.sleep(0.01)  # the app's own timers are what is waited for
        await pilot.pause()


async def followed(pilot: AnyPilot, events: int) -> RunScreen:
    """Let the run screen read so many events, and draw them; that screen."""

    def read() -> bool:
        screen = pilot.app.screen
        return isinstance(screen, RunScreen) and screen.view.state.events >= events

    await until(pilot, read)
    await settled(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, RunScreen)
    return screen


async def settled(pilot: AnyPilot) -> None:
    """Let workers end and what they brought be drawn."""
    for _ in range(2):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


def event_count(folder: RunFolder) -> int:
    """How many events a run has."""
    return len(folder.journal.read_bytes().splitlines())
