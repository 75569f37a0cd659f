"""A line of short texts."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from fltui.console.widgets.parts import Part, PartsLine, choice, value

HOSTILE = r"\x1b[31m [@click=app.quit]x[/] [bold]b[/]"


class LineApp(App[None]):
    """One line."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def compose(self) -> ComposeResult:
        yield PartsLine()

    def on_parts_line_opened(self, event: PartsLine.Opened) -> None:
        self.opened.append(event.name)

    @property
    def line(self) -> PartsLine:
        return self.query_one(PartsLine)

    def shown(self, *parts: Part) -> str:
        self.line.show(parts)
        return self.line.render_line(0).text.rstrip()


PARTS = (choice("a-long-name", "name"), value("min", "1.000"), value("mean", "2.000", rank=1), value("max", "3.000"))


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (60, "a-long-name ▾  min 1.000  mean 2.000  max 3.000"),
        (44, "a-long-name ▾  min 1.000  max 3.000"),
        (32, "a-lon… ▾  min 1.000  max 3.000"),
        (24, "a-… ▾  min 1.000"),
        (10, "a-… ▾"),
    ],
)
async def test_parts_that_matter_least_go_first_and_choices_are_cut(width: int, text: str) -> None:
    app = LineApp()
    async with app.run_test(size=(width, 2)):
        assert app.shown(*PARTS) == text
        assert app.line.text == "a-long-name ▾  min 1.000  mean 2.000  max 3.000"


async def test_what_belongs_to_the_right_stands_there() -> None:
    app = LineApp()
    async with app.run_test(size=(22, 2)):
        assert app.shown(value("n", "1"), Part((("end", "label"),), right=True)) == "n 1              end"


async def test_a_click_opens_what_can_be_opened() -> None:
    app = LineApp()
    async with app.run_test(size=(60, 2)) as pilot:
        app.line.show(PARTS)
        await pilot.pause()
        for at in (3, 20, 59):
            await pilot.click(PartsLine, offset=(at, 0))
        await pilot.pause()
        assert app.opened == ["name"]


async def test_texts_are_never_markup() -> None:
    app = LineApp()
    async with app.run_test(size=(80, 2)):
        assert app.shown(choice(HOSTILE, "x")) == f"{HOSTILE} ▾"


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 1)])
async def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    app = LineApp()
    async with app.run_test(size=size):
        app.shown(*PARTS)
        assert app.line.render_line(0).cell_length == app.line.size.width
