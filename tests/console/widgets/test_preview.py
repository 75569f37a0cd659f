"""The view of a preview."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from fltui.console.exchange.preview import Preview
from fltui.console.widgets.preview import PreviewView


class PreviewApp(App[None]):
    """One preview."""

    def compose(self) -> ComposeResult:
        yield PreviewView()

    @property
    def view(self) -> PreviewView:
        return self.query_one(PreviewView)

    @property
    def lines(self) -> list[str]:
        return [self.view.render_line(y).text.rstrip() for y in range(self.view.size.height)]


async def test_long_lines_go_on_in_the_next_and_a_longer_path_shows_its_end() -> None:
    app = PreviewApp()
    async with app.run_test(size=(22, 10)) as pilot:
        view = app.view
        view.show(Preview("site-1/logs/a-long-name.log", "text", ["x" * 25, "漢" * 12, ""], problem="no end"))
        await pilot.pause()
        assert app.lines == [
            " …ogs/a-long-name.log",
            " text",
            " no end",
            f" {'x' * 20}",
            " xxxxx",
            f" {'漢' * 10}",
            " 漢漢",
            *[""] * 3,
        ]
        view.show(Preview("site-1/w.npy", "array", ["1 " * 20], wraps=False))
        await pilot.pause()
        assert app.lines[2:4] == [f" {'1 ' * 10}…", ""]
        view.show(Preview("", ""))
        await pilot.pause()
        assert set(app.lines) == {""}


async def test_a_log_that_grows_is_followed_only_from_its_end() -> None:
    app = PreviewApp()
    async with app.run_test(size=(30, 10)) as pilot:
        view = app.view

        async def grown(count: int) -> str:
            view.show(Preview("a.log", "text", [f"line {number}" for number in range(count)], from_end=True))
            await pilot.pause()
            return app.lines[-1].strip()

        assert await grown(50) == "line 49"
        assert await grown(60) == "line 59"
        await pilot.resize_terminal(25, 8)
        await pilot.pause()
        assert app.lines[-1].strip() == "line 59"
        view.scroll_to(y=10, animate=False)
        await pilot.pause()
        assert await grown(70) == "line 15"


async def test_texts_are_never_markup() -> None:
    app = PreviewApp()
    async with app.run_test(size=(40, 5)) as pilot:
        app.view.show(Preview("a[/]", "[bold]text[/]", ["[@click=app.quit]x[/]"], problem="[b]"))
        await pilot.pause()
        assert app.lines == [" a[/]", " [bold]text[/]", " [b]", " [@click=app.quit]x[/]", ""]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 1)])
async def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    app = PreviewApp()
    async with app.run_test(size=size) as pilot:
        app.view.show(Preview("a.log", "text", ["漢" * 9, "x"], from_end=True))
        await pilot.pause()
        assert {app.view.render_line(y).cell_length for y in range(size[1])} <= {size[0], size[0] - 1}
