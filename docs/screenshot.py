"""Make the pictures in the README from a real run of the hello job: ``python docs/screenshot.py``."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

from textual.pilot import Pilot

from fltui.console.app import ConsoleApp
from fltui.console.host import Places
from fltui.console.screens.run_screen import RunScreen
from fltui.run.events import RunStatus

ROOT = Path(__file__).resolve().parent.parent
SIZE = (120, 34)


async def main() -> None:
    """Run the hello job in the console, in an empty folder, and save what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("sample_jobs").symlink_to(ROOT / "sample_jobs")
        app = ConsoleApp(Places(Path("runs").absolute(), Path("exchange").absolute(), [Path("sample_jobs")]))
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause(1.5)  # both lists are read once a second
            await pilot.press("r")
            await _completed(pilot)
            _save(app, "console")
            await pilot.press("escape")
            await pilot.pause(1.5)
            _save(app, "home")
        os.chdir(ROOT)


async def _completed(pilot: Pilot[None]) -> None:
    for _ in range(300):
        await pilot.pause(0.1)
        screen = pilot.app.screen
        if isinstance(screen, RunScreen) and screen.view.state.status is RunStatus.COMPLETED:
            await pilot.pause(1.0)
            return
    sys.exit("the hello job did not complete")


def _save(app: ConsoleApp, name: str) -> None:
    picture = app.export_screenshot(title="fltui")
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # stands alone, without the network
    (ROOT / "docs" / f"{name}.svg").write_text(picture)


if __name__ == "__main__":
    asyncio.run(main())
