"""The cross-site screen under a pilot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.widgets import OptionList

from fltui.console.runs.cross_site import Sheet
from fltui.console.screens.cross_site import CrossSiteScreen
from fltui.console.screens.run_screen import RunScreen
from fltui.console.widgets.cross_site import CrossSiteView
from fltui.console.widgets.parts import PartsLine
from tests.console.books import Book, hello
from tests.console.evaluated import answered, evaluated_book
from tests.console.pilots import AnyPilot, console, event_count, followed, settled, until

HOSTILE = "\x1b]52;c;aGk=\x07\u202e[@click=app.quit]x[/]"


async def opened(pilot: AnyPilot, book: Book) -> CrossSiteScreen:
    await followed(pilot, event_count(book.folder))
    await pilot.press("x")
    await settled(pilot)
    assert isinstance(pilot.app.screen, CrossSiteScreen)
    return pilot.app.screen


def lines(screen: CrossSiteScreen) -> list[list[str]]:
    """The words of the matrix."""
    view = screen.query_one(CrossSiteView)
    return [words for y in range(view.size.height) if (words := view.render_line(y).text.split())]


def bottom(screen: CrossSiteScreen) -> str:
    return screen.query_one("#cross-bottom", PartsLine).text


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return evaluated_book(tmp_path / "runs")


async def test_a_row_for_each_model_the_global_one_last_and_the_best_marked(tmp_path: Path, book: Book) -> None:
    async with console(tmp_path, book.folder).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, book)
        assert lines(screen) == [
            ["model", "site-0", "site-1", "site-2", "mean"],
            ["site-0", "[", "0.5000", "]", "0.6000", "0.7000", "0.6000"],
            ["site-1", "0.5500", "0.6500", "0.7500", "0.6500"],
            ["site-2", "0.6000", "0.7000", "0.8000", "0.7000"],
            ["global", "0.6500★", "0.7500★", "0.8500★", "0.7500★"],
        ]
        assert bottom(screen) == "model of site-0 on site-0: 0.5  round 3"


async def test_metrics_are_walked_and_chosen_and_the_best_is_turned(tmp_path: Path, book: Book) -> None:
    async with console(tmp_path, book.folder).run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, book)
        await pilot.press("m")
        assert (screen.metric, lines(screen)[4][1]) == ("loss", "1.400★")
        await pilot.press("b")
        assert "★" not in "".join(lines(screen)[4])
        assert lines(screen)[1][2] == "2.000★]"
        await pilot.press("m", "b")
        assert (screen.metric, lines(screen)[1][2]) == ("accuracy", "0.5000★]")
        await pilot.press("o")
        await settled(pilot)
        assert pilot.app.screen.query_one(OptionList).option_count == 2
        await pilot.press("down", "enter")
        await settled(pilot)
        assert screen.metric == "loss"


async def test_the_cursor_tells_the_value_exactly(tmp_path: Path, book: Book) -> None:
    async with console(tmp_path, book.folder).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, book)
        await pilot.press("down", "right")
        assert bottom(screen) == "model of site-1 on site-1: 0.65  round 4"
        await pilot.press("pagedown", "end")
        assert bottom(screen) == "global model on average: 0.75  round 6"
        await pilot.press("pageup", "home", "up", "left")
        assert bottom(screen) == "model of site-0 on site-0: 0.5  round 3"
        await pilot.click(CrossSiteView, offset=(20, 2))
        await pilot.pause()
        assert bottom(screen) == "model of site-1 on site-1: 0.65  round 4"


async def test_the_matrix_is_copied_with_tabs(tmp_path: Path, book: Book) -> None:
    async with console(tmp_path, book.folder).run_test(size=(80, 24)) as pilot:
        await opened(pilot, book)
        await pilot.press("y")
        rows = [line.split("\t") for line in pilot.app.clipboard.splitlines()]
        assert rows[0] == ["accuracy", "site-0", "site-1", "site-2"]
        assert [row[0] for row in rows[1:]] == ["site-0", "site-1", "site-2", "global"]
        assert rows[1][1:] == ["0.5", "0.6", "0.7"]


async def test_values_appear_as_they_come(tmp_path: Path) -> None:
    book = evaluated_book(tmp_path / "runs", models=2, sites=1, end=False)
    async with console(tmp_path, book.folder).run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, book)
        assert lines(screen)[2] == ["site-1", "0.5500★", "·", "·", "·"]
        assert "site-1 is being evaluated" in screen.query_one("#cross-top", PartsLine).text
        book.write(answered("site-1", 4, accuracy=0.99))
        await until(pilot, lambda: lines(screen)[2][2] == "0.9900★")


@pytest.mark.parametrize("size", [(1, 1), (12, 4), (40, 12)])
async def test_no_size_is_too_small(tmp_path: Path, book: Book, size: tuple[int, int]) -> None:
    async with console(tmp_path, book.folder).run_test(size=size) as pilot:
        screen = await opened(pilot, book)
        await pilot.press("end", *["pagedown"] * 4, "m")
        await pilot.resize_terminal(90, 30)
        await settled(pilot)
        assert bottom(screen).startswith("global model on average")


async def test_many_models_and_sites_scroll(tmp_path: Path, book: Book) -> None:
    async with console(tmp_path, book.folder).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, book)
        matrix, names = screen.view.remarks.cross_site, [f"site-{number}" for number in range(60)]
        matrix.models = {name: number for number, name in enumerate(names)}
        matrix.sites, matrix.sheets = dict.fromkeys(names), {"accuracy": Sheet()}
        for model in names:
            for at, site in enumerate(names):
                matrix.sheets["accuracy"].put(model, site, float(at))
        matrix.version += 1
        await until(pilot, lambda: screen.query_one(CrossSiteView).wanted.height == 61)
        await pilot.press(*["pagedown"] * 6, "end")
        await pilot.pause()
        assert lines(screen)[-1][0] == "site-59"
        assert lines(screen)[0][-1] == "site-59"
        assert lines(screen)[-1][-1] == "59.00★]"


async def test_without_colours_glyphs_tell_the_level(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console(tmp_path, book.folder).run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, book)
        assert lines(screen)[4][3:5] == ["0.7500", "*★"]


async def test_hostile_names_are_harmless(tmp_path: Path) -> None:
    book = evaluated_book(tmp_path / "runs", end=False)
    book.write(msgspec.structs.replace(answered("site-0", 6), metrics={HOSTILE: 1.0}))
    async with console(tmp_path, book.folder).run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, book)
        await pilot.press("M")
        await settled(pilot)
        picture = pilot.app.export_screenshot()
        assert r"\x1b]52" in screen.metric
        assert "\x1b" not in screen.metric
        assert "\u202e" not in picture


async def test_there_is_no_matrix_where_nothing_is_evaluated(tmp_path: Path) -> None:
    plain = hello(tmp_path / "runs")
    async with console(tmp_path, plain.folder).run_test() as pilot:
        screen = await followed(pilot, event_count(plain.folder))
        await pilot.press("x")
        assert pilot.app.screen is screen


@pytest.mark.parametrize("key", ["escape", "q", "x"])
async def test_it_is_left_for_the_run(tmp_path: Path, book: Book, key: str) -> None:
    async with console(tmp_path, book.folder).run_test() as pilot:
        await opened(pilot, book)
        await pilot.press(key)
        found: Any = pilot.app.screen
        assert isinstance(found, RunScreen)
