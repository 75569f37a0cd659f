"""What 500 sites cost the console, updated at 20 Hz: ``python -m benchmarks.console_sites``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from textual.app import App, ComposeResult

from fltui.console.runs.view import RunView
from fltui.console.widgets.sites import SitesPanel
from fltui.console.widgets.table import Table
from fltui.model import ParamsType
from fltui.run.events import AnyEvent, ResultAccepted, RoundStarted, RunStarted, SiteJoined, TaskPublished
from fltui.run.folder import RunFolder
from fltui.run.state import apply

SITES = 500
UPDATES = 100
_EVENTS = 50
"""Events between two updates, which makes 1000 a second."""


class _App(App[None]):
    def compose(self) -> ComposeResult:
        yield SitesPanel()


def measure() -> dict[str, float]:
    """Milliseconds: taking in the events of an update, telling the panel, drawing a frame of 60 lines."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, float]:
    view = RunView(RunFolder(Path("/runs/big")))
    names = [f"site-{number}" for number in range(SITES)]
    _take(
        view,
        [
            RunStarted(
                run="big",
                job="big",
                workflow="FedAvg",
                sites=names,
                start_round=0,
                total_rounds=1000,
                exchange="/exchange",
            ),
            *(SiteJoined(site=name) for name in names),
        ],
    )
    coming = _rounds(names, UPDATES * _EVENTS // (2 * SITES) + 1)
    fold = show = frame = 0.0
    app = _App()
    async with app.run_test(size=(200, 60)) as pilot:
        panel, table = app.query_one(SitesPanel), app.query_one(Table)
        panel.show_run(view)
        await pilot.pause()
        for update in range(UPDATES):
            began = time.process_time()
            _take(view, coming[update * _EVENTS : (update + 1) * _EVENTS])
            taken = time.process_time()
            panel.show_run(view)
            shown = time.process_time()
            for y in range(table.size.height):
                table.render_line(y)
            frame += time.process_time() - shown
            show += shown - taken
            fold += taken - began
            await pilot.pause()
    return {
        "sites_events_ms": fold / UPDATES * 1000,
        "sites_update_ms": show / UPDATES * 1000,
        "sites_frame_ms": frame / UPDATES * 1000,
    }


def _take(view: RunView, events: list[AnyEvent]) -> None:
    """Take events in, as the run screen does."""
    for event in events:
        view.state = apply(view.state, event)
        view.series.add(event)


def _rounds(names: list[str], count: int) -> list[AnyEvent]:
    found: list[AnyEvent] = []
    for number in range(count):
        found.append(RoundStarted(round=number, task_name="train", sites=names, model="a" * 64))
        for name in names:
            task = f"big.r{number:04}.train.a01"
            found.append(TaskPublished(round=number, site=name, task_id=task, manifest="d" * 64, bytes=164))
            found.append(
                ResultAccepted(
                    round=number,
                    site=name,
                    task_id=task,
                    params_type=ParamsType.FULL,
                    weight=1.0,
                    metrics={"accuracy": 0.5, "loss": 0.25, "f1": 0.1},
                    arrays=[],
                    bytes=164,
                    monotonic=float(number),
                )
            )
    return found


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:24} {value:12.3f}")
