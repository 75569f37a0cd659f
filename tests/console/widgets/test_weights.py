"""The Weights panel."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import OptionList

from fltui.console.arrays.sources import Shown
from fltui.console.arrays.statistics import CHUNK
from fltui.console.runs.view import RunView
from fltui.console.widgets.chooser import Chooser
from fltui.console.widgets.histogram import HistogramView
from fltui.console.widgets.matrix import MatrixView
from fltui.console.widgets.parts import PartsLine
from fltui.console.widgets.weights import SliceInput, WeightsPanel
from fltui.run.events import ModelSaved
from fltui.run.models import Models
from tests.console.books import Book, hello, weights

HOSTILE = "w\x1b]52;c;eA==\x07\x9b2J\u202e[@click=app.quit]x[/]"


class Stage(App[None]):
    """The panel alone."""

    def compose(self) -> ComposeResult:
        yield WeightsPanel(id="weights")


class Scene:
    """The panel, and how a test looks at it."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        self.panel = pilot.app.query_one(WeightsPanel)

    async def show(self, view: RunView) -> None:
        """Show the run and wait until it is shown."""
        self.panel.show_run(view)
        await self.settle()

    async def press(self, *keys: str) -> None:
        """Press keys one by one, waiting for each."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def settle(self) -> None:
        """Wait for threads and for what they tell."""
        for _ in range(3):
            await self.pilot.app.workers.wait_for_complete()
            await self.pilot.pause()

    @property
    def matrix(self) -> MatrixView:
        return self.panel.query_one(MatrixView)

    def line(self, name: str) -> str:
        """What one of the lines around the matrix shows."""
        line = self.panel.query_one(f"#weights-{name}", PartsLine)
        return line.render_line(0).text.rstrip()

    @property
    def body(self) -> list[list[str]]:
        """The words of the matrix."""
        return [strip.text.split() for strip in self.matrix.render_lines(self.matrix.size.region)]

    @property
    def sentence(self) -> str:
        """What is said in place of a matrix."""
        return " ".join(" ".join(line) for line in self.body).strip()


@asynccontextmanager
async def staged(size: tuple[int, int] = (100, 24)) -> AsyncIterator[Scene]:
    """The panel in an app of its own, the focus where the run screen puts it."""
    async with Stage().run_test(size=size) as pilot:
        first = next(widget for widget in pilot.app.query_one(WeightsPanel).walk_children(Widget) if widget.focusable)
        first.focus()
        await pilot.pause()
        yield Scene(pilot)


def looked_at(book: Book, chosen: int | None = None) -> RunView:
    """The run as a person sees it."""
    return RunView(book.folder, book.folder.state(), chosen=chosen)


def many(folder: Path, **arrays: NDArray[Any]) -> Book:
    """A run of one round with a model of several parameters."""
    book = Book(folder)
    book.start()
    put_model(book, 0, arrays)
    book.ask(0)
    put_model(book, 1, {name: array + array.dtype.type(1) for name, array in arrays.items()})
    return book


def put_model(book: Book, number: int, arrays: dict[str, NDArray[Any]]) -> None:
    """The model that enters round `number`."""
    models = Models(book.folder.models, durable=False)
    with models.new(number, list(arrays)) as new:
        for name, array in arrays.items():
            new.add(name, array)
    found = models.load(number)
    book.write(ModelSaved(round=number, model=found.digest, path=f"models/round-{number:04}", bytes=found.size))


async def test_the_panel_shows_what_the_drawing_shows(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path), chosen=0))
        assert scene.line("selectors") == "global ▾  numpy_key ▾  3×3 float32  after round 0  values ▾"
        assert scene.body[:4] == [
            ["0", "1", "2"],
            ["0", "2.000", "3.000", "4.000"],
            ["1", "5.000", "6.000", "7.000"],
            ["2", "8.000", "9.000", "10.000"],
        ]
        assert scene.line("cursor") == "[0, 0] 2.0"
        assert scene.line("statistics") == "min 2.000  mean 6.000  max 10.000  ‖x‖ 19.596  NaN 0  Inf 0"
        await scene.show(looked_at(hello(tmp_path / "other"), chosen=1))
        assert "‖Δ‖ 3.000" in scene.line("statistics")


async def test_before_anything_is_shown_the_panel_says_so() -> None:
    async with staged() as scene:
        assert scene.sentence == "no round has begun yet: there is no model to show"
        await scene.press("v", "s", "S", "p", "P", "o", "O", "i", "left_square_bracket", "right_square_bracket", "v")
        assert scene.panel.copied() == ""


async def test_a_live_run_is_followed_with_source_place_and_cursor_kept(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.start()
    view = looked_at(book)
    async with staged(size=(60, 14)) as scene:
        await scene.show(view)
        book.model(0, np.zeros((100, 100), np.float32))
        book.ask(0)
        await scene.show(looked_at(book))
        assert "entering round 0" in scene.line("selectors")
        await scene.press("pagedown", "pagedown", "ctrl+pagedown")
        before = scene.matrix.scroll_offset, scene.matrix.cursor
        for number in range(2):
            book.answer("site-0", number, np.full((100, 100), number, np.float32))
            book.close_round(number, np.full((100, 100), number + 1, np.float32), sites=["site-0"])
            await scene.show(looked_at(book))
            assert f"after round {number}" in scene.line("selectors")
            assert (scene.matrix.scroll_offset, scene.matrix.cursor) == before
            assert scene.matrix.cursor_text() == f"{number + 1}.0"
            book.ask(number + 1)


async def test_a_gap_keeps_the_place_for_what_comes_after(tmp_path: Path) -> None:
    book = hello(tmp_path, 1, end=False)
    async with staged() as scene:
        await scene.show(looked_at(book))
        await scene.press("s", "s", "down", "shift+right")
        book.ask(1)
        await scene.show(looked_at(book))
        assert scene.sentence == "site-0 has not answered in round 1 yet"
        assert scene.line("statistics") == scene.line("cursor") == ""
        book.answer("site-0", 1, weights(7))
        await scene.show(looked_at(book))
        assert scene.matrix.cursor == (1, 1)
        assert scene.panel.source == Shown("result", "site-0")


async def test_s_walks_through_the_sources(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        seen = []
        for _ in range(6):
            seen.append((str(scene.panel.source), scene.matrix.cursor_text()))
            await scene.press("s")
        assert seen == [
            ("global", "4.0"),
            ("change", "1.0"),
            ("site-0", "4.0"),
            ("site-0 \N{MINUS SIGN} global", "1.0"),
            ("site-1", "4.0"),
            ("site-1 \N{MINUS SIGN} global", "1.0"),
        ]
        assert scene.panel.source == Shown()


async def test_shift_s_walks_back(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        await scene.press("S")
        assert scene.panel.source == Shown("update", "site-1")
        assert "‖Δ‖ 3.000" in scene.line("statistics")
        assert "‖x‖" not in scene.line("statistics")


async def test_p_walks_through_the_parameters(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(
            looked_at(many(tmp_path, a=np.zeros((30, 3)), b=np.ones(4, np.int32), c=np.zeros((2, 2), bool)))
        )
        await scene.press("down")
        assert scene.panel.parameter == "a"
        await scene.press("p")
        assert (scene.panel.parameter, scene.matrix.cursor) == ("b", (0,))
        assert "4 int32" in scene.line("selectors")
        await scene.press("p", "p")
        assert scene.panel.parameter == "a"


async def test_shift_p_walks_back_and_the_parameter_is_kept_in_other_rounds(tmp_path: Path) -> None:
    book = many(tmp_path, a=np.zeros(3), b=np.ones(4), c=np.zeros(2))
    async with staged() as scene:
        await scene.show(looked_at(book))
        await scene.press("P", "P")
        assert scene.panel.parameter == "b"
        book.ask(1)
        await scene.show(looked_at(book))
        assert scene.panel.parameter == "b"


async def test_v_walks_through_the_views(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        histogram = scene.panel.query_one(HistogramView)
        await scene.press("v")
        assert scene.matrix.mode == "heat"
        assert scene.line("selectors").endswith("heat ▾")
        assert scene.line("cursor").endswith("4.000              12.000")
        await scene.press("v")
        assert (scene.matrix.display, histogram.display, histogram.has_focus) == (False, True, True)
        assert "█" in "".join(strip.text for strip in histogram.render_lines(histogram.size.region))
        assert scene.panel.copied().startswith("min 4.000")
        await scene.press("v")
        assert (scene.matrix.display, scene.matrix.has_focus, scene.matrix.mode) == (True, True, "values")


async def test_the_focus_goes_to_what_can_be_seen(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        assert scene.matrix.has_focus
        await scene.press("v", "v")
        focusable = [widget for widget in scene.panel.walk_children(Widget) if widget.focusable]
        assert focusable[0] is scene.panel.query_one(HistogramView)


async def test_a_slice_can_be_typed(tmp_path: Path) -> None:
    array = np.arange(4 * 2 * 3 * 3, dtype=np.float32).reshape(4, 2, 3, 3)
    async with staged() as scene:
        await scene.show(looked_at(many(tmp_path, a=array)))
        box = scene.panel.query_one(SliceInput)
        assert (box.display, box.value) == (True, "[0, 0, :, :]")
        await scene.press("i")
        assert box.has_focus
        box.value = "3, :, 1, :"
        await scene.press("enter")
        assert box.value == "[3, :, 1, :]"
        assert scene.matrix.has_focus
        assert scene.matrix.cursor == (3, 0, 1, 0)
        assert scene.matrix.cursor_text() == str(array[3, 0, 1, 0])


async def test_what_is_no_slice_is_told_and_escape_leaves_it(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(many(tmp_path, a=np.zeros((4, 2, 3)))))
        box = scene.panel.query_one(SliceInput)
        await scene.press("i")
        box.value = "[9, :, :]"
        await scene.press("enter")
        assert scene.line("cursor") == "axis 0 has 4 places, 0 to 3: there is no 9"
        assert box.has_class("-wrong")
        assert box.has_focus
        await scene.press("escape")
        assert scene.matrix.has_focus
        assert box.value == "[0, :, :]"
        assert not box.has_class("-wrong")
        assert scene.line("cursor").startswith("[0, 0, 0]")


async def test_what_is_pasted_as_a_slice_does_not_act_on_the_terminal(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(many(tmp_path, a=np.zeros((4, 2, 3)))))
        await scene.press("i")
        box = scene.panel.query_one(SliceInput)
        box.value = ":, :, "
        box.post_message(events.Paste("\x1b]0;x\x07\x9b2J"))
        await scene.press("enter")
        assert box.value == r":, :, \x1b]0;x\x07\x9b2J"
        assert scene.line("cursor").startswith(r"'\\x1b]0;x")


async def test_brackets_walk_through_the_slices(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(many(tmp_path, a=np.zeros((2, 2, 3, 3)))))
        box = scene.panel.query_one(SliceInput)
        await scene.press("right_square_bracket", "right_square_bracket")
        assert box.value == "[1, 0, :, :]"
        await scene.press("left_square_bracket")
        assert box.value == "[0, 1, :, :]"


async def test_a_slice_is_kept_in_other_rounds_as_long_as_it_is_one(tmp_path: Path) -> None:
    book = many(tmp_path, a=np.zeros((4, 3, 3)), b=np.zeros((2, 3, 3)))
    async with staged() as scene:
        await scene.show(looked_at(book))
        await scene.press("right_square_bracket", "right_square_bracket", "right_square_bracket")
        book.ask(1)
        await scene.show(looked_at(book))
        assert scene.panel.query_one(SliceInput).value == "[3, :, :]"
        await scene.press("p")
        assert scene.panel.query_one(SliceInput).value == "[0, :, :]"


async def test_a_matrix_has_no_slice_to_type(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        assert not scene.panel.query_one(SliceInput).display
        assert not scene.panel.check_action("edit_slice", ())
        await scene.press("i")
        assert scene.matrix.has_focus


async def test_o_chooses_a_parameter_from_a_list_with_a_filter(tmp_path: Path) -> None:
    book = many(tmp_path, alpha=np.zeros(3), beta=np.ones(4), gamma=np.zeros(2))
    async with staged() as scene:
        await scene.show(looked_at(book))
        await scene.press("o")
        assert isinstance(scene.pilot.app.screen, Chooser)
        await scene.press("g", "a", "enter")
        assert scene.panel.parameter == "gamma"
        await scene.press("o", "up", "enter")
        assert scene.panel.parameter == "beta"
        await scene.press("o", "pagedown", "pageup", "down", "tab", "escape")
        assert scene.panel.parameter == "beta"
        await scene.press("o", "x", "x", "enter")
        assert scene.panel.parameter == "beta"


async def test_shift_o_chooses_a_source_from_a_list(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        await scene.press("O", "down", "down", "enter")
        assert scene.panel.source == Shown("result", "site-0")


async def test_a_click_on_a_selector_opens_its_list(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(many(tmp_path, alpha=np.zeros(3), beta=np.ones(4))))
        line = scene.line("selectors")
        for word, taken in (("alpha", "beta"), ("values", "histogram"), ("global", "change")):
            assert await scene.pilot.click("#weights-selectors", offset=(line.index(word) + 1, 0))
            await scene.settle()
            options = scene.pilot.app.screen.query_one(OptionList)
            texts = [str(option.prompt) for option in options.options]
            assert await scene.pilot.click(OptionList, offset=(2, texts.index(taken)))
            await scene.settle()
            line = scene.line("selectors")
            assert taken in line


async def test_y_copies_the_number_under_the_cursor(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        await scene.press("down", "shift+right")
        assert scene.panel.copied() == "numpy_key[1, 1] = 8.0"


async def test_hostile_names_are_shown_as_they_are_and_do_nothing(tmp_path: Path) -> None:
    book = hello(tmp_path)
    path = book.folder.models / "round-0003" / "model.json"
    path.write_text(path.read_text().replace('"numpy_key"', msgspec.json.encode(HOSTILE).decode(), 1))
    async with staged(size=(160, 24)) as scene:
        await scene.show(looked_at(book))
        assert "w\\x1b]52;c;eA==\\x07\\x9b2J\\u202e[@click=app.quit]x[/] ▾" in scene.line("selectors")
        await scene.press("o")
        text = scene.pilot.app.export_screenshot()
        assert "[@click=app.quit]x[/]" in text.replace("&#160;", " ")
        await scene.pilot.click(OptionList, offset=(40, 0))
        await scene.settle()
        assert scene.pilot.app.is_running
        assert scene.panel.copied().isprintable()


async def test_a_reason_of_a_site_is_never_markup(tmp_path: Path) -> None:
    book = hello(tmp_path, 1, end=False)
    book.ask(1)
    book.reject("site-0", 1, "[@click=app.quit]x[/]")
    async with staged() as scene:
        await scene.show(looked_at(book))
        await scene.press("s", "s")
        assert scene.sentence == "the result of site-0 in round 1 was rejected: [@click=app.quit]x[/]"


async def test_a_result_that_is_not_kept_says_how_to_keep_it(tmp_path: Path) -> None:
    book = hello(tmp_path)
    shutil.rmtree(book.folder.store)
    async with staged() as scene:
        await scene.show(looked_at(book))
        await scene.press("s", "s")
        assert scene.sentence == "the result of site-0 in round 2 is not kept; run with --keep-results to keep it"
        assert scene.panel.copied() == ""
        await scene.press("v", "v")
        histogram = scene.panel.query_one(HistogramView)
        text = "".join(strip.text for strip in histogram.render_lines(histogram.size.region))
        assert "is not kept" in text


async def test_numbers_that_are_none_are_counted_in_plain_sight(tmp_path: Path) -> None:
    array = np.ones((3, 3), np.float32)
    array[0] = np.nan, np.inf, -np.inf
    book = Book(tmp_path)
    book.start()
    put_model(book, 0, {"w": array})
    book.ask(0)
    async with staged(size=(44, 12)) as scene:
        await scene.show(looked_at(book))
        assert "NaN 1  Inf 2" in scene.line("statistics")
        assert scene.body[1] == ["0", "NaN", "+Inf", "-Inf"]


async def test_a_large_array_is_counted_beside_and_remembered(tmp_path: Path) -> None:
    array = np.zeros((3, CHUNK), np.float32)
    array[2, 5] = 7.0
    book = many(tmp_path, a=array, b=np.ones(3))
    async with staged() as scene:
        await scene.show(looked_at(book))
        assert scene.line("statistics").startswith("min 0.000")
        assert "max 7.000" in scene.line("statistics")
        await scene.press("v", "v")
        histogram = scene.panel.query_one(HistogramView)
        text = "".join(strip.text for strip in histogram.render_lines(histogram.size.region))
        assert f"{3 * CHUNK - 1:,}┤" in text
        await scene.press("p", "p")
        assert "max 7.000" in scene.line("statistics")


async def test_a_large_file_that_is_cut_while_it_is_counted_is_told(tmp_path: Path) -> None:
    book = many(tmp_path, a=np.zeros((40, CHUNK), np.float32))
    async with staged() as scene:
        await scene.show(looked_at(book))
        os.truncate(book.folder.models / "round-0000" / "a.npy", 4096)
        await scene.press("v", "v")
        assert "was cut while it was read" in scene.line("statistics")


async def test_what_comes_late_for_something_else_is_dropped(tmp_path: Path) -> None:
    async with staged() as scene:
        await scene.show(looked_at(hello(tmp_path)))
        await scene.pilot.press("s", "s", "s", "v", "v", "s")
        await scene.settle()
        assert scene.panel.source == Shown("result", "site-1")
        assert "site-1" in scene.line("selectors")
        assert "…" not in scene.line("selectors")


async def test_nothing_is_read_again_while_nothing_changes(tmp_path: Path) -> None:
    view = looked_at(hello(tmp_path))
    async with staged() as scene:
        await scene.show(view)
        for _ in range(20):
            scene.panel.show_run(view)
        assert not list(scene.pilot.app.workers)


async def test_a_playback_begins_with_nothing(tmp_path: Path) -> None:
    view = looked_at(hello(tmp_path))
    async with staged() as scene:
        await scene.show(view)
        view.state = type(view.state)()
        await scene.show(view)
        assert "no round has begun yet" in scene.sentence


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (12, 5), (30, 8), (80, 24), (120, 36), (200, 60)])
async def test_any_size_will_do(tmp_path: Path, size: tuple[int, int]) -> None:
    book = many(tmp_path, a=np.zeros((2, 2, 300, 300), np.float32))
    async with staged(size=size) as scene:
        await scene.show(looked_at(book))
        await scene.press("v", "down", "v", "v", "s")
        for other in ((5, 2), (90, 30), size):
            await scene.pilot.resize_terminal(*other)
            await scene.settle()
        for name in ("selectors", "cursor", "statistics"):
            line = scene.panel.query_one(f"#weights-{name}", PartsLine)
            assert line.render_line(0).cell_length == line.size.width


async def test_narrow_lines_leave_out_what_matters_least(tmp_path: Path) -> None:
    async with staged(size=(40, 12)) as scene:
        await scene.show(looked_at(hello(tmp_path)))
        assert scene.line("statistics") == "min 4.000  max 12.000  NaN 0  Inf 0"
        assert scene.line("selectors") == "global ▾  numpy_key ▾  values ▾"


def test_bindings_have_ids_of_their_own_and_titles() -> None:
    for kind in (WeightsPanel, SliceInput, Chooser):
        bindings = [binding for binding in kind.BINDINGS if isinstance(binding, Binding)]
        assert all(binding.id and binding.description for binding in bindings)
        assert len({binding.id for binding in bindings}) == len(bindings)
