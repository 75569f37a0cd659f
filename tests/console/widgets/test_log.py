"""The log panel: what it shows, and how it follows."""

from __future__ import annotations

import pytest
from textual import events

from fltui.console.logs import lines as loglines
from fltui.console.safe import safe
from fltui.console.widgets.log import LogPanel, PatternInput
from fltui.console.widgets.log_view import LogView
from fltui.run.logs import LogLine
from tests.console.widgets.log_panel import (
    HOSTILE,
    Shown,
    line,
    numbered,
    settled,
    start,
    type_text,
)


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


async def test_every_key_has_a_name_of_its_own() -> None:
    ids = [binding.id for kind in (LogPanel, LogView, PatternInput) for binding in kind.BINDINGS]  # type: ignore[union-attr]
    assert len(ids) == len(set(ids))
    assert all(each and each.startswith("log.") for each in ids)
