"""Searching in the log panel, and going to a line such as a traceback."""

from __future__ import annotations

from tests.console.widgets.log_panel import (
    Shown,
    line,
    mixed,
    numbered,
    settled,
    start,
)


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


async def test_going_to_a_line_before_there_is_room_for_it() -> None:
    app = Shown()
    async with app.run_test(size=(80, 12)) as pilot:
        app.panel.display = False
        await start(app, pilot, [*numbered(50), line("Traceback"), *numbered(50)])
        app.panel.display = True
        assert app.panel.go_to("site-1", "Trace")
        await settled(app, pilot)
        assert "Traceback" in app.texts


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
