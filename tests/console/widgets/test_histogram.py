"""Bars of block characters."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from fltui.console.arrays.statistics import Histogram
from fltui.console.widgets.histogram import HistogramView


class HistogramApp(App[None]):
    """One histogram."""

    def compose(self) -> ComposeResult:
        yield HistogramView()

    @property
    def lines(self) -> list[str]:
        view = self.query_one(HistogramView)
        return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


async def test_bars_stand_over_an_axis_with_counts_at_their_left() -> None:
    app = HistogramApp()
    async with app.run_test(size=(40, 7)):
        app.query_one(HistogramView).show(Histogram(-2.0, 2.0, (1, 2, 4, 8)))
        assert app.lines == [
            "  8┤                  █████",
            "   │                  █████",
            "   │            ▄▄▄▄▄ █████",
            "   │      ▂▂▂▂▂ █████ █████",
            "   │▅▅▅▅▅ █████ █████ █████",
            "   ╰────────────────────────",
            "    -2.000      0      2.000",
        ]


async def test_every_element_can_be_seen() -> None:
    app = HistogramApp()
    async with app.run_test(size=(40, 7)):
        app.query_one(HistogramView).show(Histogram(0.0, 1.0, (1_000_000, 0, 1)))
        assert app.lines[4].endswith("▁▁▁▁▁")


async def test_bins_are_taken_together_where_there_is_no_room_for_all() -> None:
    app = HistogramApp()
    async with app.run_test(size=(20, 1)):
        app.query_one(HistogramView).show(Histogram(0.0, 1.0, (1,) * 64))
        assert app.lines == [" " + "█" * 16]


async def test_a_sentence_takes_the_place_of_bars() -> None:
    app = HistogramApp()
    async with app.run_test(size=(20, 4)):
        view = app.query_one(HistogramView)
        view.say("reading the whole array")
        assert app.lines == ["", " reading the whole", " array", ""]
        view.show(Histogram(0.0, 0.0, ()))
        assert app.lines[1].startswith(" no number")


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 4), (30, 1), (1, 30), (200, 60)])
async def test_any_size_will_do(size: tuple[int, int]) -> None:
    app = HistogramApp()
    async with app.run_test(size=size):
        view = app.query_one(HistogramView)
        view.show(Histogram(-1.7e308, 1.7e308, tuple(range(64))))
        assert {view.render_line(y).cell_length for y in range(view.size.height)} == {size[0]}
