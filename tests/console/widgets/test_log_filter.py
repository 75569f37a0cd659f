"""Filters of the log panel: patterns, levels, sources."""

from __future__ import annotations

from pathlib import Path

from textual import events
from textual.widgets import Input, OptionList, Static

from fltui.console.runs.view import RunView
from fltui.console.safe import safe
from fltui.console.widgets.chooser import Chooser
from fltui.console.widgets.log import LogPanel
from fltui.run.folder import RunFolder
from fltui.run.state import SiteState
from tests.console.widgets.log_panel import (
    FOREVER,
    HOSTILE,
    Shown,
    entries,
    line,
    mixed,
    numbered,
    settled,
    start,
    type_text,
)


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


async def test_what_is_pasted_does_not_act_on_the_terminal() -> None:
    app = Shown()
    async with app.run_test(size=(120, 12)) as pilot:
        await start(app, pilot, mixed())
        await pilot.press("f")
        app.query_one(Input).post_message(events.Paste(HOSTILE))
        await pilot.pause()
        assert app.query_one(Input).value == safe(HOSTILE)
        assert app.query_one(Input).render_line(0).text.strip().isprintable()
