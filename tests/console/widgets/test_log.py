"""The log panel in a small app of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from fltui.console.logs import lines as loglines
from fltui.console.runs.view import RunView
from fltui.console.safe import safe
from fltui.console.widgets.chooser import Chooser
from fltui.console.widgets.log import LogPanel, PatternInput
from fltui.console.widgets.log_view import LogView
from fltui.run.folder import RunFolder
from fltui.run.logs import LogLine
from fltui.run.state import SiteState

HOSTILE = "\x1b]0;owned\x07\x1b]52;c;YQ==\x07\x9b2J\u202eevil [@click=app.quit]x[/] [bold]b[/]"
FOREVER = "a" * 1500 + "!"


class Shown(App[None]):
    """A log panel with a border, as on the run screen."""

    CSS = "LogPanel { border: round $border; }"

    def compose(self) -> ComposeResult:
        yield LogPanel(id="log")

    @property
    def panel(self) -> LogPanel:
        return self.query_one(LogPanel)

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def rows(self) -> list[str]:
        """The lines that can be seen, without blanks at the end."""
        height = self.view.scrollable_content_region.height
        return [
            strip.text.rstrip()
            for strip in self.view.render_lines(self.view.size.region)[:height]
            if strip.text.strip()
        ]

    @property
    def texts(self) -> list[str]:
        """The last word of each of them."""
        return [row.split()[-1] for row in self.rows]

    @property
    def head(self) -> str:
        return self.panel.border_title or ""

    @property
    def foot(self) -> str:
        return self.panel.border_subtitle or ""


def line(text: str, source: str = "site-1", level: str = "INFO", second: int = 0) -> LogLine:
    return LogLine(f"2026-01-31T12:00:{second:02}.412Z", source, level, text)


def numbered(count: int, first: int = 0) -> list[LogLine]:
    return [line(f"n{number}") for number in range(first, first + count)]


async def start(app: Shown, pilot: Pilot[None], lines: list[LogLine]) -> None:
    app.view.focus()
    app.panel.append(lines)
    await settled(app, pilot)


async def settled(app: Shown, pilot: Pilot[None]) -> None:
    await app.workers.wait_for_complete()
    await pilot.pause()


def entries(app: Shown) -> list[str]:
    """What there is to choose from."""
    return [str(option.prompt) for option in app.screen.query_one(OptionList).options]


async def type_text(pilot: Pilot[None], text: str) -> None:
    pilot.app.query_one(Input).value = text
    await pilot.pause()


# What is shown.


async def test_without_lines_it_says_so() -> None:
    app = Shown()
    async with app.run_test(size=(80, 24)) as pilot:
        await start(app, pilot, [])
        assert app.rows == [" nothing was logged yet"]
        assert app.panel.copied() == ""
        await pilot.press(
            "up", "down", "home", "end", "pageup", "pagedown", "shift+right", "n", "o", "slash", "x", "enter"
        )
        await settled(app, pilot)
        assert app.rows == [" nothing was logged yet"]


async def test_a_line_has_time_source_level_and_text() -> None:
    app = Shown()
    async with app.run_test(size=(80, 24)) as pilot:
        lines = [line("round 1", "server"), line("loss", level="WARN"), line("Traceback", "site-10", "ERROR", 1)]
        await start(app, pilot, [*lines, line("fine", level="DEBUG"), LogLine("", "site-1", "WARN", "Killed")])
        assert app.rows == [
            " 12:00:00.412 server        round 1",
            " 12:00:00.412 site-1  WARN  loss",
            " 12:00:01.412 site-10 ERROR Traceback",
            "              site-1  WARN  Killed",
        ]


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (200, " 12:00:00.412 site-1 ERROR " + "x" * 170 + "…"),
        (60, " 12:00:00 site-1 ERROR " + "x" * 34 + "…"),
        (30, " site-1 E " + "x" * 17 + "…"),
        (10, " " + "x" * 6 + "…"),
    ],
)
async def test_narrow_it_leaves_out_what_matters_least(width: int, row: str) -> None:
    app = Shown()
    async with app.run_test(size=(width, 12)) as pilot:
        await start(app, pilot, [line("x" * 300, level="ERROR")])
        assert app.rows == [row]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (5, 4), (40, 3), (200, 60)])
async def test_any_size_will_do(size: tuple[int, int]) -> None:
    app = Shown()
    async with app.run_test(size=(80, 24)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot.resize_terminal(*size)
        await pilot.press("up", "f", "n", "escape", "shift+right", "pageup", "end")
        await pilot.resize_terminal(80, 24)
        await settled(app, pilot)
        assert app.texts[-1] == "n99"


async def test_what_would_act_on_the_terminal_is_shown() -> None:
    app = Shown()
    async with app.run_test(size=(120, 10)) as pilot:
        await start(app, pilot, [line(safe(HOSTILE))])
        assert app.rows[0].endswith(
            r"\x1b]0;owned\x07\x1b]52;c;YQ==\x07\x9b2J\u202eevil [@click=app.quit]x[/] [bold]b[/]"
        )
        await pilot.press("f")
        await type_text(pilot, "[@click=app.quit]x[/]")
        await pilot.press("enter")
        assert "/[@click=app.quit]x[/]" in app.panel._border_title.plain  # type: ignore[union-attr]
        assert app.is_running


async def test_wide_characters_stay_in_their_columns() -> None:
    app = Shown()
    async with app.run_test(size=(60, 10)) as pilot:
        await start(app, pilot, [line("変数" * 40), line("é" * 10)])
        for left in range(5):
            strips = app.view.render_lines(app.view.size.region)
            width = app.view.scrollable_content_region.width
            assert {strip.cell_length for strip in strips} == {width}, left
            await pilot.press("shift+right")


async def test_long_texts_move_to_the_side_and_back() -> None:
    app = Shown()
    async with app.run_test(size=(80, 10)) as pilot:
        text = "".join(f"{number:04}" for number in range(40))
        await start(app, pilot, [line(text), line("short")])
        room = 80 - 2 - 27
        await pilot.press("shift+right")
        assert app.rows[0].startswith(f" 12:00:00.412 site-1       …{text[17:30]}")
        await pilot.press(*["shift+right"] * 20)
        assert app.rows[0].endswith(text[-10:])
        assert len(app.rows[0].split()[-1]) == room
        await pilot.press(*["shift+left"] * 20)
        assert app.rows[0].endswith(f"{text[: room - 1]}…")


# Following.


async def test_it_follows_until_a_person_moves_up() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        app.panel.append(numbered(5, 100))
        await settled(app, pilot)
        assert app.texts == [f"n{number}" for number in range(95, 105)]
        assert "following" in app.foot
        await pilot.press("up")
        app.panel.append(numbered(42, 105))
        await settled(app, pilot)
        assert app.texts == [f"n{number}" for number in range(95, 105)]
        assert "42 new" in app.foot
        assert app.panel.copied() == "2026-01-31T12:00:00.412Z site-1 INFO n103"
        await pilot.press("end")
        assert app.texts[-1] == "n146"
        assert "following" in app.foot


async def test_the_cursor_has_a_mark() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(3))
        assert not any("▸" in row for row in app.rows)
        await pilot.press("up")
        assert [row[0] for row in app.rows] == [" ", "▸", " "]


async def test_down_from_the_last_line_follows() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(30))
        await pilot.press("up", "down")
        assert not app.view.following
        await pilot.press("down")
        assert app.view.following


@pytest.mark.parametrize(
    ("keys", "cursor"),
    [
        (["up"], 98),
        (["k", "k"], 97),
        (["home"], 0),
        (["home", "down"], 1),
        (["home", "j"], 1),
        (["home", "up"], 0),
        (["pageup"], 89),
        (["pageup", "pageup"], 79),
        (["home", "pagedown"], 10),
        (["home", "end"], 99),
    ],
)
async def test_keys_move_the_cursor_into_sight(keys: list[str], cursor: int) -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot.press(*keys)
        assert app.view.cursor == cursor
        assert f"n{cursor}" in app.texts


async def test_the_wheel_stops_following_and_at_the_end_follows_again() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot._post_mouse_events([events.MouseScrollUp], app.view)
        await pilot.pause()
        assert not app.view.following
        assert app.texts[-1] != "n99"
        assert app.panel.copied().split()[-1] in app.texts
        for _ in range(3):
            await pilot._post_mouse_events([events.MouseScrollDown], app.view)
        await pilot.pause()
        assert app.view.following


async def test_a_click_puts_the_cursor_on_a_line() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot.click(LogView, offset=(5, 3))
        assert app.panel.copied().endswith("n93")
        assert not app.view.following
        assert app.texts[0] == "n90"


async def test_a_click_below_the_last_line_does_nothing() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(2))
        await pilot.click(LogView, offset=(5, 7))
        assert app.view.following


async def test_a_click_on_what_is_new_follows() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot.press("home")
        await pilot.pause()
        await pilot.click(LogPanel, offset=(75, 11))
        assert app.view.following


async def test_a_reader_keeps_the_line_while_old_ones_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglines, "MOST_LINES", 100)
    monkeypatch.setattr(loglines, "_BLOCK", 10)
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot.press("up")
        before = app.rows
        app.panel.append(numbered(55, 100))
        await settled(app, pilot)
        assert app.rows == before
        assert "55 older in the files" in app.foot
        app.panel.append(numbered(100, 155))
        await settled(app, pilot)
        assert app.texts[0] == f"n{app.panel._lines.dropped}"
        assert app.view.cursor == app.panel._lines.dropped


async def test_lines_that_come_before_it_is_shown_are_there() -> None:
    app = Shown()
    panel = LogPanel()
    panel.append([line("early")])
    async with app.run_test(size=(80, 12)) as pilot:
        await app.panel.remove()
        await app.mount(panel)
        await settled(app, pilot)
        assert app.texts == ["early"]


async def test_clearing_forgets_everything() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot.press("home")
        app.panel.clear()
        await settled(app, pilot)
        assert app.rows == [" nothing was logged yet"]
        app.panel.append(numbered(1))
        await settled(app, pilot)
        assert app.texts == ["n0"]
        assert app.view.following


# Filters.


def mixed() -> list[LogLine]:
    return [
        line("a1", "server"),
        line("b1", "site-2"),
        line("a2", "site-10", "WARN"),
        line("b2", "site-2", "ERROR"),
    ]


async def test_a_filter_works_as_it_is_typed() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f", "b")
        await settled(app, pilot)
        assert app.texts == ["b1", "b2"]
        assert "2 of 4 lines" in app.foot
        await pilot.press("2")
        await settled(app, pilot)
        assert app.texts == ["b2"]
        await pilot.press("enter")
        assert app.focused is app.view
        assert not app.query_one(Input).is_on_screen
        assert "/b2" in app.head


async def test_escape_takes_back_what_was_typed() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f", "b", "enter", "f", "x")
        await settled(app, pilot)
        assert app.rows == [" no line passes the filter; F ends it"]
        await pilot.press("escape")
        await settled(app, pilot)
        assert app.texts == ["b1", "b2"]
        assert app.focused is app.view


async def test_keys_are_letters_where_a_person_types() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f", *"fnLwoF", "slash", "N")
        assert app.query_one(Input).value == "fnLwoF/N"


async def test_going_to_a_line_before_there_is_room_for_it() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        app.panel.display = False
        await start(app, pilot, [*numbered(50), line("Traceback"), *numbered(50)])
        app.panel.display = True
        assert app.panel.go_to("site-1", "Trace")
        await settled(app, pilot)
        assert "Traceback" in app.texts


async def test_an_empty_filter_shows_all() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f", "b", "enter", "f", "backspace", "enter")
        await settled(app, pilot)
        assert app.texts == ["a1", "b1", "a2", "b2"]


async def test_what_is_no_regular_expression_is_told_and_changes_nothing() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f", "b", "left_parenthesis")
        await settled(app, pilot)
        assert app.texts == ["b1", "b2"]
        problem = app.query_one(".log--problem", Static)
        assert "not a regular expression" in str(problem.render())
        await pilot.press("enter")
        assert app.focused is app.query_one(Input)
        await pilot.press("1", "right_parenthesis")
        await settled(app, pilot)
        assert app.texts == ["b1"]
        assert str(problem.render()) == ""


async def test_a_pattern_that_takes_forever_is_told_and_not_used() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, [line("b"), line(FOREVER)])
        await pilot.press("f")
        await type_text(pilot, "(a+)+$")
        await settled(app, pilot)
        assert "takes too long" in str(app.query_one(".log--problem", Static).render())
        await pilot.press("escape")
        await settled(app, pilot)
        assert len(app.rows) == 2


async def test_a_line_that_makes_a_search_take_forever_is_not_marked() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, [line("aa")])
        await pilot.press("slash")
        await type_text(pilot, "(a+)+$")
        await pilot.press("enter")
        await settled(app, pilot)
        app.panel.append([line(FOREVER)])
        await settled(app, pilot)
        assert len(app.rows) == 2
        assert app.view.pattern is None


async def test_levels() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        shown = []
        for _ in range(4):
            await pilot.press("L")
            await settled(app, pilot)
            shown.append(len(app.rows))
        assert shown == [2, 1, 4, 4]


async def test_debug_lines_are_shown_on_demand() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, [line("d1", "server", "DEBUG")])
        assert app.rows == [" only debug lines so far; L chooses the level"]
        app.panel.append([line("a1"), line("d2", "server", "DEBUG")])
        await settled(app, pilot)
        assert app.texts == ["a1"]
        assert "info ▾" in app.head
        assert "lines" not in app.foot
        await pilot.press("L", "L", "L")
        await settled(app, pilot)
        assert app.texts == ["d1", "a1", "d2"]
        assert "debug ▾" in app.head
        assert "lines" not in app.foot
        await pilot.press("F")
        await settled(app, pilot)
        assert app.texts == ["a1"]


async def test_sources_one_after_the_other() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        shown = []
        for key in ("w", "w", "w", "w", "W"):
            await pilot.press(key)
            await settled(app, pilot)
            shown.append(app.texts)
        assert shown == [["a1"], ["b1", "b2"], ["a2"], ["a1", "b1", "a2", "b2"], ["a2"]]
        assert "site-10" in app.head


async def test_sites_of_the_run_that_say_nothing_can_be_chosen() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        view = RunView(RunFolder(Path("/runs/r")))
        view.state.sites["site-3"] = SiteState()
        app.panel.show_run(view)
        await pilot.press("w", "w", "w")
        await settled(app, pilot)
        assert "site-3" in app.head
        assert app.rows == [" no line passes the filter; F ends it"]


async def test_a_source_can_be_chosen_from_a_list() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("O")
        assert isinstance(app.screen, Chooser)
        assert entries(app) == ["all sites", "server", "site-2", "site-10"]
        await pilot.press(*"10", "enter")
        await settled(app, pilot)
        assert app.texts == ["a2"]
        await pilot.press("O", "up", "escape")
        await settled(app, pilot)
        assert app.texts == ["a2"]
        await pilot.press("O", "home", *["up"] * 3, "enter")
        await settled(app, pilot)
        assert len(app.rows) == 4


async def test_only_the_source_under_the_cursor_and_all_again() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("up", "o")
        await settled(app, pilot)
        assert app.texts == ["a2"]
        await pilot.press("o")
        await settled(app, pilot)
        assert len(app.rows) == 4


async def test_the_end_of_the_filter() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f", "b", "enter", "L", "L", "w", "F")
        await settled(app, pilot)
        assert len(app.rows) == 4
        assert "all sites" in app.head


async def test_the_parts_of_the_title_can_be_clicked() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        title = app.panel._border_title.plain  # type: ignore[union-attr]
        await pilot.click(LogPanel, offset=(3 + title.index("all sites"), 0))
        await pilot.pause()
        await pilot.click(OptionList, offset=(2, entries(app).index("server")))
        await settled(app, pilot)
        assert app.texts == ["a1"]
        await pilot.press("F")
        title = app.panel._border_title.plain  # type: ignore[union-attr]
        await pilot.click(LogPanel, offset=(3 + title.index("info"), 0))
        await pilot.pause()
        assert entries(app) == ["everything", "info and above", "warnings and errors", "errors only"]
        await pilot.click(OptionList, offset=(2, 3))
        await settled(app, pilot)
        assert app.texts == ["b2"]
        title = app.panel._border_title.plain  # type: ignore[union-attr]
        await pilot.click(LogPanel, offset=(3 + title.index("filter"), 0))
        assert app.focused is app.query_one(Input)


async def test_the_screens_plain_title_gives_way_to_the_filter() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        app.panel.border_title = "Log"
        app.panel.show_run(RunView(RunFolder(Path("/runs/r"))))
        assert "all sites" in app.head


async def test_the_cursor_stays_where_it_is_on_the_screen_when_the_filter_changes() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(300))
        await pilot.press("home", *["pagedown"] * 12, "up", "up", "up")
        row = app.texts.index("n117")
        await pilot.press("f", "7", "enter")
        await settled(app, pilot)
        assert app.texts[row] == "n117"
        assert app.panel.copied().endswith("n117")
        await pilot.press("F")
        await settled(app, pilot)
        assert app.texts[row] == "n117"


# Search.


async def test_a_search_goes_to_the_newest_match_and_on() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, numbered(100))
        await pilot.press("slash", *"N?5$".replace("N?", "n.?"), "enter")
        await settled(app, pilot)
        seen = [app.view.cursor]
        for key in ("N", "N", "n", "n", "n"):
            await pilot.press(key)
            await settled(app, pilot)
            seen.append(app.view.cursor)
        assert seen == [95, 85, 75, 85, 95, 5]
        assert "n5" in app.texts


async def test_a_search_is_marked_and_filters_nothing() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("slash", "b")
        await settled(app, pilot)
        assert len(app.rows) == 4
        strip = app.view.render_lines(app.view.size.region)[1]
        marked = [segment.text for segment in strip if segment.style and segment.style.underline]
        assert marked == ["b"]
        await pilot.press("escape")
        assert app.view.pattern is None


async def test_a_match_far_to_the_right_comes_into_sight() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, [line("x" * 500 + "needle" + "x" * 500), line("other")])
        await pilot.press("slash", *"needle", "enter")
        await settled(app, pilot)
        assert "needle" in app.rows[0]


async def test_a_search_without_a_match_is_told() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("slash", *"zzz", "enter")
        await settled(app, pilot)
        assert [note.message for note in app._notifications] == ["'zzz' is in no line that is shown"]
        assert app.view.following


# Going to a traceback.


async def test_going_to_a_line_ends_the_filter_and_puts_the_cursor_there() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        traceback = [line("Traceback (most recent call last):", level="WARN"), line("at1"), line("Error1")]
        lines = [*numbered(50), *traceback, *numbered(50), line("Traceback (most recent call last):", "site-2")]
        await start(app, pilot, [*lines, *numbered(50)])
        await pilot.press("f", "z", "enter", "shift+right")
        assert app.panel.go_to("site-1", "Traceback (most recent call last)")
        await settled(app, pilot)
        assert app.view.cursor == 50
        assert next(row for row in app.rows if row.startswith("▸")).endswith("Traceback (most recent call last):")
        assert "Error1" in app.texts
        assert not app.view.following


async def test_going_to_a_line_that_is_not_there_changes_nothing() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f", "b", "enter")
        await settled(app, pilot)
        assert not app.panel.go_to("site-2", "Traceback")
        assert app.texts == ["b1", "b2"]
        assert app.view.following


async def test_going_to_the_last_line_of_a_source() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, mixed())
        assert app.panel.go_to("server", "")
        assert app.panel.copied().endswith("a1")


async def test_going_to_a_line_prefers_those_that_are_shown_at_first() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        await start(app, pilot, [*mixed(), line("d1", "server", "DEBUG"), line("d2", "site-3", "DEBUG")])
        assert app.panel.go_to("server", "")
        assert app.panel.copied().endswith("a1")
        assert "d1" not in app.texts
        assert app.panel.go_to("site-3", "")
        await settled(app, pilot)
        assert app.panel.copied().endswith("d2")
        assert app.texts[-2:] == ["d1", "d2"]
        assert "debug ▾" in app.head


async def test_what_is_pasted_does_not_act_on_the_terminal() -> None:
    app = Shown()
    async with app.run_test(size=(120, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f")
        app.query_one(Input).post_message(events.Paste(HOSTILE))
        await pilot.pause()
        assert app.query_one(Input).value == safe(HOSTILE)
        assert app.query_one(Input).render_line(0).text.strip().isprintable()


async def test_every_key_has_a_name_of_its_own() -> None:
    ids = [binding.id for kind in (LogPanel, LogView, PatternInput) for binding in kind.BINDINGS]  # type: ignore[union-attr]
    assert len(ids) == len(set(ids))
    assert all(each and each.startswith("log.") for each in ids)
