"""Pictures of every screen and panel in three sizes, with colours and without.

``pytest tests/console/test_snapshots.py --snapshot-update`` takes them anew; look at each before it is kept.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.console.app import ConsoleApp
from fltui.console.host import Places
from fltui.exchange.lock import hold
from fltui.run.folder import RunFolder
from tests.console.books import RUN, SITES, Book, failed, hello, weights
from tests.console.evaluated import evaluated_book
from tests.console.pilots import AnyPilot, event_count, followed, settled, until
from tests.jobs import HELLO

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x60": (200, 60)}

Compare = Callable[..., bool]


@dataclass(frozen=True)
class Picture:
    """What is shown: a run, or the home screen, after some keys."""

    keys: tuple[str, ...] = ()
    make: Callable[[Path], Book] | None = None


def _several(runs: Path) -> Book:
    """Runs of every kind."""
    hello(runs, run=f"{RUN[:-4]}aaaa")
    hello(runs, 1, run="digits-20260131T110000Z-bbbb", end=False)
    return failed(runs)


def _trained(runs: Path) -> Book:
    """A run with a larger model, logged values and a NaN."""
    book = Book(runs, exchange="exchange")
    book.start()
    rng = np.random.default_rng(7)
    model = rng.normal(size=(40, 30)).astype(np.float32)
    book.model(0, model)
    for number in range(3):
        book.ask(number)
        for at, site in enumerate(SITES):
            for step in range(5):
                book.logged(site, number, "loss", 2.0 / (number * 5 + step + 1 + at), number * 5 + step)
            result = model + rng.normal(scale=0.1, size=model.shape).astype(np.float32)
            book.answer(site, number, result, accuracy=0.6 + number / 10 + at / 100, loss=1.0 / (number + 1))
        model = model + rng.normal(scale=0.1, size=model.shape).astype(np.float32)
        model[3, 2] = np.nan if number == 2 else model[3, 2]
        book.close_round(number, model, accuracy=0.61 + number / 10, loss=1.0 / (number + 1))
    book.finish()
    return book


def _exchanged(runs: Path) -> Book:
    """The hello run with its exchange folder."""
    book = Book(runs, exchange="exchange")
    book.start()
    book.model(0, None)
    book.ask(0)
    for site in SITES:
        for side in ("tasks", "results"):
            folder = Path("exchange", site, side)
            (folder / book.task(0)).mkdir(parents=True)
            (folder / f"{book.task(0)}.json").write_text('{"protocol": 1, "kind": "task"}')
        np.save(Path("exchange", site, "results", book.task(0), "numpy_key.npy"), weights(1))
        Path("exchange", site, "status.json").write_text(f'{{"site": "{site}", "state": "ready"}}')
        book.answer(site, 0, weights(1), accuracy=5.0)
    book.close_round(0, weights(1), accuracy=5.0)
    book.finish(rounds=1)
    return book


def _served(runs: Path) -> Book:
    """A run that waits for a site."""
    book = Book(runs, exchange="exchange")
    book.start(mode="server", join=["site-1"])
    assert hold(book.folder.lock) is not None
    return book


PICTURES = {
    "home": Picture(make=_several),
    "home-empty": Picture(),
    "home-filter": Picture(("slash", *"aaaa"), _several),
    "job": Picture(("enter",)),
    "delete": Picture(("d",), _several),
    "weights": Picture((), hello),
    "heat": Picture(("v",), _trained),
    "histogram": Picture(("v", "v"), _trained),
    "numbers": Picture(("1",), _trained),
    "change": Picture(("s", "s", "s", "s", "s"), _trained),
    "metrics": Picture(("2",), _trained),
    "rounds": Picture(("3",), _trained),
    "exchange": Picture(("4",), _exchanged),
    "log": Picture(("5",), hello),
    "sites": Picture(("6",), hello),
    "walked": Picture(("left", "left"), hello),
    "failed": Picture((), failed),
    "traceback": Picture(("enter",), failed),
    "served": Picture((), _served),
    "cross-site": Picture(("x", "down", "right"), evaluated_book),
    "workflows": Picture(("3", "up", "up", "up", "up", "up"), evaluated_book),
    "help": Picture(("question_mark",), hello),
}
HOME = ("home", "home-empty", "home-filter", "job", "delete")


@pytest.fixture(autouse=True)
def _still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that differs from day to day or from machine to machine: paths, time zone, clock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("fltui.console.runs.feed.Feed.elapsed", 0.25)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("size", "color"), [*((size, "color") for size in SIZES), ("120x36", "no-color")])
@pytest.mark.parametrize("name", list(PICTURES))
def test_a_screen_looks_as_it_did(
    name: str, size: str, color: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    if color == "no-color":
        monkeypatch.setenv("NO_COLOR", "1")
    picture = PICTURES[name]
    runs = Path("runs")
    book = picture.make(runs) if picture.make else None
    shutil.copytree(HELLO, "sample_jobs/hello-fedavg-numpy")
    run = None if book is None or name in HOME else RunFolder(runs / book.folder.run)
    app = ConsoleApp(Places(runs, Path("exchange"), [Path("sample_jobs")]), run=run)
    app.animation_level = "none"

    async def before(pilot: AnyPilot) -> None:
        if run is not None:
            await followed(pilot, event_count(run))
        else:
            await _listed(pilot, len(list(runs.glob("*"))))
        for key in picture.keys:
            await pilot.press(key)
            await settled(pilot)
        await settled(pilot)

    assert snap_compare(app, terminal_size=SIZES[size], run_before=before)


async def _listed(pilot: AnyPilot, runs: int) -> None:
    tables: Any = pilot.app.screen.query("Table")
    await until(pilot, lambda: [table.row_count for table in tables] == [1, runs])
