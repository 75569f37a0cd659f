"""The matrix and the histogram, on their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.events import MouseScrollDown
from textual.pilot import Pilot
from textual.widget import Widget

from fltui.console.arrays.files import ArrayFile
from fltui.console.arrays.heat import ColourScale
from fltui.console.arrays.numerals import Numerals
from fltui.console.arrays.slices import Index, first_slice
from fltui.console.arrays.statistics import Histogram, sample_of
from fltui.console.widgets.histogram import HistogramView
from fltui.console.widgets.matrix import MatrixView, Mode


class Stage(App[None]):
    """One widget alone."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self._widget = widget

    def compose(self) -> ComposeResult:
        yield self._widget


def opened(folder: Path, array: NDArray[Any]) -> ArrayFile:
    """The array, saved and opened."""
    np.save(folder / "x.npy", array)
    return ArrayFile.open(folder / "x.npy")


def put(view: MatrixView, file: ArrayFile, index: Index | None = None, *, signed: bool = False) -> None:
    """Show a file as the panel does."""
    sample = sample_of(file)
    scale = ColourScale.over(sample.minimum, sample.maximum, signed=signed)
    view.show(file, first_slice(file.shape) if index is None else index, Numerals.of(file.dtype, sample), scale)


@asynccontextmanager
async def staged(
    file: ArrayFile | None, size: tuple[int, int] = (60, 10), mode: Mode = "values", *, signed: bool = False
) -> AsyncIterator[tuple[MatrixView, Pilot[None]]]:
    """A matrix in an app of its own, with the focus."""
    view = MatrixView()
    async with Stage(view).run_test(size=size) as pilot:
        view.focus()
        view.mode = mode
        if file is not None:
            put(view, file, signed=signed)
        await pilot.pause()
        yield view, pilot


def lines(widget: Widget) -> list[str]:
    """What is drawn, without spaces at the end."""
    return [strip.text.rstrip() for strip in widget.render_lines(widget.size.region)]


def styles_of(widget: Widget, line: int) -> list[tuple[str, str]]:
    """Text and background of every segment with a background of its own."""
    strip = widget.render_lines(widget.size.region)[line]
    return [
        (segment.text, str(segment.style.bgcolor.triplet))
        for segment in strip
        if segment.style is not None and segment.style.bgcolor is not None and segment.style.bgcolor.triplet
    ]


async def test_a_small_matrix_is_shown_whole(tmp_path: Path) -> None:
    array = np.arange(2, 11, dtype=np.float32).reshape(3, 3)
    async with staged(opened(tmp_path, array)) as (view, _):
        assert lines(view)[:5] == [
            "          0       1       2",
            " 0    2.000   3.000   4.000",
            " 1    5.000   6.000   7.000",
            " 2    8.000   9.000  10.000",
            "",
        ]


async def test_a_vector_is_wrapped_into_rows_of_ten(tmp_path: Path) -> None:
    async with staged(opened(tmp_path, np.arange(23, dtype=np.int16)), size=(70, 8)) as (view, pilot):
        found = lines(view)
        assert found[0].split() == [str(number) for number in range(10)]
        assert [line.split()[0] for line in found[1:4]] == ["0", "10", "20"]
        assert found[3].split() == ["20", "20", "21", "22"]
        view.action_move_to(-1, -1)
        assert view.cursor == (22,)
        await pilot.pause()


async def test_a_single_number_is_one_cell(tmp_path: Path) -> None:
    async with staged(opened(tmp_path, np.array(1.5))) as (view, _):
        assert lines(view)[1].split() == ["0", "1.500"]
        assert (view.cursor, view.cursor_text()) == ((), "1.5")


async def test_columns_of_a_vector_move_together_where_they_fit_then(tmp_path: Path) -> None:
    array = np.linspace(-1, 1, 20, dtype=np.float32)
    async with staged(opened(tmp_path, array), size=(80, 8)) as (view, pilot):
        assert view.max_scroll_x == 0
        assert len(lines(view)[0]) == 4 + 10 * 7
        await pilot.resize_terminal(90, 8)
        await pilot.pause()
        assert len(lines(view)[0]) == 4 + 10 * 8


async def test_headers_stay_in_place_when_it_scrolls(tmp_path: Path) -> None:
    array = np.arange(200 * 300, dtype=np.int32).reshape(200, 300)
    async with staged(opened(tmp_path, array)) as (view, pilot):
        view.scroll_to(150 * 7, 100, animate=False)
        await pilot.pause()
        found = [line.split() for line in lines(view)]
        column = int(found[0][0])
        assert column == 150
        assert found[1][:2] == ["100", str(100 * 300 + column)]


KEYS: list[tuple[str, tuple[int, int]]] = [
    ("down", (51, 50)),
    ("j", (51, 50)),
    ("up", (49, 50)),
    ("k", (49, 50)),
    ("shift+left", (50, 49)),
    ("shift+right", (50, 51)),
    ("pagedown", (58, 50)),
    ("pageup", (42, 50)),
    ("ctrl+pageup", (50, 41)),
    ("ctrl+pagedown", (50, 59)),
    ("home", (0, 50)),
    ("end", (99, 50)),
    ("shift+home", (50, 0)),
    ("shift+end", (50, 99)),
]


def test_every_key_has_a_test_and_every_binding_an_id_of_its_own() -> None:
    bindings = [binding for binding in MatrixView.BINDINGS if isinstance(binding, Binding)]
    assert {key for binding in bindings for key in binding.key.split(",")} == {key for key, _ in KEYS}
    assert len({binding.id for binding in bindings}) == len(bindings) == len(MatrixView.BINDINGS)


@pytest.mark.parametrize(("key", "cursor"), KEYS)
async def test_keys_move_the_cursor_and_what_is_seen_follows(tmp_path: Path, key: str, cursor: tuple[int, int]) -> None:
    array = np.arange(100 * 100, dtype=np.int32).reshape(100, 100)
    async with staged(opened(tmp_path, array)) as (view, pilot):
        view.action_move(50, 50)
        await pilot.pause()
        await pilot.press(key)
        await pilot.pause()
        assert view.cursor == cursor
        assert view.cursor_text() == str(cursor[0] * 100 + cursor[1])
        found = [line.split() for line in lines(view)]
        assert str(cursor[1]) in found[0]
        assert str(cursor[0]) in [line[0] for line in found[1:] if line]


async def test_the_cursor_does_not_leave_the_matrix(tmp_path: Path) -> None:
    async with staged(opened(tmp_path, np.zeros((3, 3)))) as (view, pilot):
        await pilot.press("up", "shift+left", "pageup", "ctrl+pageup")
        assert view.cursor == (0, 0)
        await pilot.press("end", "down", "shift+end", "shift+right", "pagedown", "ctrl+pagedown")
        assert view.cursor == (2, 2)


async def test_a_click_puts_the_cursor_on_a_number(tmp_path: Path) -> None:
    array = np.arange(9).reshape(3, 3)
    async with staged(opened(tmp_path, array)) as (view, pilot):
        line = lines(view)[2]
        await pilot.click(view, offset=(line.index("5"), 2))
        assert view.cursor == (1, 2)
        for nothing in ((1, 2), (40, 2), (8, 0), (8, 7)):
            await pilot.click(view, offset=nothing)
            assert view.cursor == (1, 2)


async def test_the_wheel_scrolls_both_ways(tmp_path: Path) -> None:
    array = np.zeros((100, 100), np.int8)
    async with staged(opened(tmp_path, array)) as (view, pilot):
        await pilot._post_mouse_events([MouseScrollDown], view)
        await pilot.pause()
        assert view.scroll_offset.y > 0
        await pilot._post_mouse_events([MouseScrollDown], view, shift=True)
        await pilot.pause()
        assert view.scroll_offset.x > 0


async def test_what_is_no_number_stands_out_by_word_and_style(tmp_path: Path) -> None:
    array = np.array([[1.0, np.nan], [np.inf, -np.inf]])
    modes: tuple[Mode, ...] = ("values", "heat")
    for mode in modes:
        async with staged(opened(tmp_path, array), mode=mode) as (view, _):
            found = lines(view)
            assert "NaN" in found[1]
            assert "+Inf" in found[2]
            assert "-Inf" in found[2]
            coloured = [text.strip() for text, _ in styles_of(view, 2)]
            assert "+Inf" in coloured
            assert "-Inf" in coloured
            assert "NaN" in [text.strip() for text, _ in styles_of(view, 1)]


async def test_a_large_heat_map_has_words_for_what_is_no_number(tmp_path: Path) -> None:
    array = np.zeros((50, 50), np.float32)
    array[0, 1], array[0, 2], array[0, 3] = np.nan, np.inf, -np.inf
    async with staged(opened(tmp_path, array), mode="heat") as (view, _):
        line = lines(view)[1]
        assert "NaN" in line
        assert "+Inf-Inf" in line


async def test_equal_numbers_have_the_same_colour_and_others_another(tmp_path: Path) -> None:
    array = np.array([[9.0, 0.0, 1.0, 2.0, 1.0]])
    async with staged(opened(tmp_path, array), mode="heat") as (view, _):
        colours = {text.strip(): colour for text, colour in styles_of(view, 1) if "." in text}
        assert len(set(colours.values())) == len(colours) == 4


async def test_without_colours_signs_and_glyphs_take_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    array = np.array([[-4.0, 0.0, 4.0, 2.0]])
    async with staged(opened(tmp_path, array), mode="heat", signed=True) as (view, _):
        assert view.app.no_color
        assert lines(view)[1] == " 0 [-4.000 -@]  0.000      4.000 +@   2.000 +="
    large = np.full((40, 40), -1.0)
    large[0, 5] = 1.0
    async with staged(opened(tmp_path, large), mode="heat", signed=True) as (view, _):
        assert "-@@@" in lines(view)[2]
        assert "+@@@" in lines(view)[1]


async def test_long_column_numbers_are_written_for_some_columns_only(tmp_path: Path) -> None:
    array = np.zeros((2, 20_000), np.float32)
    async with staged(opened(tmp_path, array), mode="heat") as (view, pilot):
        view.action_move_to(None, -1)
        await pilot.pause()
        header = lines(view)[0].split()
        assert "19999" in header
        assert all(int(number) % 2 == 0 or number == "19999" for number in header)


async def test_place_and_cursor_stay_when_another_array_is_shown(tmp_path: Path) -> None:
    first = opened(tmp_path, np.zeros((100, 100)))
    async with staged(first) as (view, pilot):
        view.action_move(60, 70)
        await pilot.pause()
        before = view.scroll_offset
        assert before.y
        assert before.x
        view.say("site-0 has not answered in round 3 yet")
        await pilot.pause()
        assert (view.cursor, view.cursor_text(), view.max_scroll_y) == (None, "", 0)
        put(view, opened(tmp_path, np.ones((100, 100))))
        await pilot.pause()
        assert view.cursor == (60, 70)
        assert view.scroll_offset == before
        put(view, opened(tmp_path, np.ones((3, 3))))
        await pilot.pause()
        assert view.cursor == (2, 2)
        assert view.scroll_offset == (0, 0)


async def test_begin_goes_to_the_first_number(tmp_path: Path) -> None:
    async with staged(opened(tmp_path, np.zeros((100, 100)))) as (view, pilot):
        view.action_move(60, 70)
        await pilot.pause()
        view.begin()
        await pilot.pause()
        assert (view.cursor, view.scroll_offset) == ((0, 0), (0, 0))


async def test_an_array_without_elements_says_so(tmp_path: Path) -> None:
    async with staged(opened(tmp_path, np.zeros((0, 3)))) as (view, pilot):
        assert "the array has no elements" in lines(view)[1]
        await pilot.press("down", "end", "shift+end")
        assert view.cursor is None


async def test_a_file_that_is_cut_gives_a_sentence_where_it_ends(tmp_path: Path) -> None:
    file = opened(tmp_path, np.zeros((100, 3)))
    async with staged(file) as (view, pilot):
        os.truncate(tmp_path / "x.npy", 1000)
        await pilot.press("end")
        await pilot.pause()
        assert "was cut while it was read" in " ".join(lines(view))
        assert view.cursor_text() == ""
        await pilot.press("home")
        await pilot.pause()
        assert lines(view)[1].split()[0] == "0"


async def test_a_sentence_is_never_markup(tmp_path: Path) -> None:
    async with staged(None) as (view, _):
        view.say("[@click=app.quit]x[/]")
        assert "[@click=app.quit]x[/]" in lines(view)[1]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 3), (12, 2), (200, 60)])
@pytest.mark.parametrize("mode", ["values", "heat"])
async def test_any_size_will_do(tmp_path: Path, size: tuple[int, int], mode: Mode) -> None:
    async with staged(opened(tmp_path, np.zeros((300, 300))), size=size, mode=mode) as (view, pilot):
        for key, _ in KEYS:
            await pilot.press(key)
        await pilot.resize_terminal(7, 3)
        await pilot.pause()
        view.say("nothing to see")
        await pilot.pause()


async def test_numbers_are_read_once_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(tmp_path, np.zeros((100, 100)))
    async with staged(file) as (view, _):
        reads: list[int] = []
        original: Callable[..., NDArray[Any]] = file.window

        def window(index: Index, rows: range, columns: range) -> NDArray[Any]:
            reads.append(len(rows))
            return original(index, rows, columns)

        monkeypatch.setattr(file, "window", window)
        lines(view)
        lines(view)
        assert reads == []
        view.scroll_to(0, 50, animate=False)
        lines(view)
        lines(view)
        assert len(reads) == 1


async def test_a_matrix_of_a_billion_rows_can_be_walked(tmp_path: Path) -> None:
    from fltui.exchange.npy import header

    path = tmp_path / "x.npy"
    head = header("|u1", [10**9, 3])
    with path.open("wb") as sparse:
        sparse.write(head)
        sparse.truncate(len(head) + 3 * 10**9)
    async with staged(ArrayFile.open(path)) as (view, pilot):
        await pilot.press("end")
        await pilot.pause()
        assert view.cursor == (10**9 - 1, 0)
        assert [line.split()[0] for line in lines(view) if line][-1] == str(10**9 - 1)


# The histogram.


@asynccontextmanager
async def histogram(found: Histogram, size: tuple[int, int]) -> AsyncIterator[HistogramView]:
    """A histogram in an app of its own."""
    view = HistogramView()
    async with Stage(view).run_test(size=size) as pilot:
        view.show(found)
        await pilot.pause()
        yield view


async def test_bars_are_as_high_as_their_counts() -> None:
    async with histogram(Histogram(-2.0, 2.0, (8, 4, 0, 1)), (40, 10)) as view:
        found = lines(view)
        assert found[0].lstrip().startswith("8┤█")
        assert found[0].count("█") == 5
        assert found[7].count("█") == 15
        assert found[8].strip().startswith("╰──")
        assert found[9].split() == ["-2.000", "0", "2.000"]


async def test_few_bars_have_a_place_for_every_bin_and_many_share() -> None:
    spread = Histogram(0.0, 64.0, tuple(range(64)))
    async with histogram(spread, (200, 20)) as view:
        assert lines(view)[-1].split() == ["0.000", "32.000", "64.000"]
    async with histogram(spread, (30, 20)) as view:
        assert max(map(len, lines(view))) <= 30
        assert lines(view)[-1].split()[0] == "0.000"


async def test_the_smallest_count_can_still_be_seen() -> None:
    async with histogram(Histogram(0.0, 1.0, (1_000_000, 1)), (40, 10)) as view:
        assert "▁" in lines(view)[-3]
        assert "1,000,000┤" in lines(view)[0]


async def test_equal_numbers_and_no_numbers_are_shown_too() -> None:
    async with histogram(Histogram(0.25, 0.25, (25,)), (40, 10)) as view:
        assert lines(view)[-1].split() == ["0.2500"]
    async with histogram(Histogram(float("nan"), float("nan"), ()), (60, 10)) as view:
        assert "no number is finite" in lines(view)[1]
        view.say("[b]reading[/b]")
        assert "[b]reading[/b]" in lines(view)[1]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (8, 3), (24, 4), (80, 24), (200, 60)])
@pytest.mark.parametrize("counts", [(3,), (0, 1), tuple(range(64)), (1,) * 37])
async def test_a_histogram_fits_any_size(size: tuple[int, int], counts: tuple[int, ...]) -> None:
    async with histogram(Histogram(-5.0, 5.0, counts), size) as view:
        found = lines(view)
        assert len(found) == size[1]
        assert max(map(len, found)) <= size[0]
