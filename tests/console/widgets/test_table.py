"""The table of any length."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from fltui.console.widgets.columns import cut, fill, fit
from fltui.console.widgets.table import Cell, Column, Row, Table

HOSTILE = "[@click=app.quit]漢字[/]"


class TableApp(App[None]):
    """One table."""

    def __init__(self, columns: Sequence[Column] | None = None, *, select_on_click: bool = False) -> None:
        super().__init__()
        self.table = Table(columns or COLUMNS, placeholder="no rows at all", select_on_click=select_on_click)
        self.highlighted: list[str | None] = []
        self.selected: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        assert event.control is self.table
        self.highlighted.append(event.key)

    def on_table_selected(self, event: Table.Selected) -> None:
        assert event.control is self.table
        self.selected.append(event.key)


COLUMNS = [Column("name", "name", most=10), Column("value", "value", 6, "right")]


def rows(*names: str) -> list[Row]:
    """A row per name; its value is its place."""
    return [Row(name, (name, Cell(str(place), "muted"))) for place, name in enumerate(names)]


def many(count: int) -> list[Row]:
    """Rows named by number."""
    return rows(*map(str, range(count)))


def lines(table: Table) -> list[str]:
    """What the table shows, from the top."""
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


async def shown(app: TableApp, pilot: Pilot[None], found: Sequence[Row]) -> Table:
    """The app's table, with rows."""
    app.table.set_rows(found)
    await pilot.pause()
    return app.table


async def test_a_table_shows_a_header_and_rows_in_columns() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, rows("first", "second"))
        assert lines(table)[:4] == [" name         value", " first            0", " second           1", ""]


async def test_only_rows_in_sight_are_made() -> None:
    app = TableApp()
    asked: list[int] = []

    def row(place: int) -> Row:
        asked.append(place)
        return Row(str(place), (str(place),))

    async with app.run_test(size=(40, 6)) as pilot:
        app.table.set_keys(list(map(str, range(100_000))), row)
        await pilot.pause()
        assert set(asked) == set(range(5))
        asked.clear()
        await pilot.press("end")
        assert set(asked) == set(range(99_995, 100_000))


async def test_the_header_stays_while_rows_scroll() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(50))
        await pilot.press("end")
        found = lines(table)
        assert found[0].split() == ["name", "value"]
        assert [line.split()[0] for line in found[1:]] == ["45", "46", "47", "48", "49"]


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("down", "6"),
        ("j", "6"),
        ("up", "4"),
        ("k", "4"),
        ("pagedown", "10"),
        ("pageup", "0"),
        ("home", "0"),
        ("end", "49"),
    ],
)
async def test_keys_move_the_cursor(keys: str, wanted: str) -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(50))
        table.go_to(5)
        await pilot.press(keys)
        assert table.cursor_key == wanted
        assert app.highlighted[-1] == wanted


async def test_enter_selects_the_row_with_the_cursor() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        await shown(app, pilot, many(3))
        await pilot.press("down", "enter")
        await pilot.pause()
        assert app.selected == ["1"]


async def test_a_click_highlights_and_a_click_on_the_highlighted_row_selects() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(3))
        await pilot.press("down")
        await pilot.click(table, offset=(3, 3))
        assert (table.cursor_key, app.selected) == ("2", [])
        await pilot.click(table, offset=(3, 3))
        await pilot.pause()
        assert app.selected == ["2"]


async def test_a_double_click_selects() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(3))
        await pilot.double_click(table, offset=(3, 3))
        await pilot.pause()
        assert app.selected[-1] == "2"


async def test_the_click_that_brings_the_focus_does_not_select() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(3))
        app.set_focus(None)
        await pilot.click(table, offset=(3, 1))
        await pilot.pause()
        assert (table.cursor_key, app.selected) == ("0", [])


async def test_one_click_selects_where_that_is_wanted() -> None:
    app = TableApp(select_on_click=True)
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(3))
        await pilot.click(table, offset=(3, 2))
        await pilot.pause()
        assert app.selected == ["1"]


async def test_clicks_on_the_header_and_below_the_rows_do_nothing() -> None:
    app = TableApp(select_on_click=True)
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(2))
        await pilot.click(table, offset=(3, 0))
        await pilot.click(table, offset=(3, 4))
        await pilot.pause()
        assert (table.cursor_key, app.selected) == ("0", [])


async def test_the_wheel_scrolls_and_what_comes_later_does_not_drag_back() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(50))
        table.scroll_to(y=20, animate=False)
        await pilot.pause()
        table.set_rows(many(60))
        await pilot.pause()
        assert (table.scroll_offset.y, table.cursor_key) == (20, "0")
        await pilot.press("down")
        assert table.scroll_offset.y == 1


async def test_the_cursor_stays_on_its_key_when_rows_come_before_it() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, rows("b", "c"))
        await pilot.press("down")
        table.set_rows(rows("a", "b", "c"))
        await pilot.pause()
        assert (table.cursor, table.cursor_key) == (2, "c")
        assert app.highlighted == ["b", "c"]


async def test_the_cursor_stays_near_when_its_row_goes() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, rows("a", "b", "c"))
        await pilot.press("end")
        table.set_rows(rows("a", "b"))
        await pilot.pause()
        assert (table.cursor_key, app.highlighted[-1]) == ("b", "b")
        table.set_rows([])
        await pilot.pause()
        assert (table.cursor_key, app.highlighted[-1], table.row_count) == (None, None, 0)


async def test_the_cursor_stays_in_sight_when_the_table_shrinks() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 20)) as pilot:
        table = await shown(app, pilot, many(50))
        table.go_to(15)
        await pilot.resize_terminal(40, 6)
        await pilot.pause()
        assert "15" in " ".join(lines(table)).split()


async def test_a_key_that_is_not_there_is_not_gone_to() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(3))
        assert table.go_to_key("2")
        assert not table.go_to_key("7")
        assert table.cursor_key == "2"


async def test_an_empty_table_shows_a_wrapped_sentence() -> None:
    app = TableApp()
    async with app.run_test(size=(12, 6)) as pilot:
        await pilot.pause()
        assert lines(app.table)[:3] == [" no rows at", " all", ""]
        app.table.placeholder = "[b]no[/b]"
        await pilot.press("down", "enter", "end")
        await pilot.pause()
        assert lines(app.table)[0] == " [b]no[/b]"
        assert app.selected == []


async def test_markup_is_shown_as_it_is_and_wide_characters_keep_the_columns() -> None:
    app = TableApp([Column("name", HOSTILE, 9), Column("value", "value", 6)])
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, [Row("a", ("漢字漢字漢字", "|")), Row("b", (HOSTILE, "|"))])
        found = lines(table)
        assert found[0] == " [@click=…  value"
        assert found[1] == " 漢字漢字…  |"
        assert found[2] == " [@click=…  |"
        assert all(table.render_line(y).cell_length == table.size.width for y in range(6))


async def test_columns_of_low_rank_go_when_the_table_gets_narrow() -> None:
    columns = [Column("a", "aaaa", 6), Column("b", "bbbb", 6, rank=2), Column("c", "cccc", 6, rank=1)]
    app = TableApp(columns)
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, [Row("1", ("1", "2", "3"))])
        assert lines(table)[0].split() == ["aaaa", "bbbb", "cccc"]
        await pilot.resize_terminal(18, 6)
        await pilot.pause()
        assert [lines(table)[y].split() for y in (0, 1)] == [["aaaa", "cccc"], ["1", "3"]]
        table.set_columns(columns[:2])
        await pilot.pause()
        assert lines(table)[0].split() == ["aaaa", "bbbb"]


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 2), (5, 3)])
async def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    app = TableApp()
    async with app.run_test(size=size) as pilot:
        await shown(app, pilot, many(20))
        await pilot.press("down", "end", "pageup", "enter")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.table.row_count == 20


async def test_the_cursor_is_told_from_other_rows_with_and_without_the_focus() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        table = await shown(app, pilot, many(3))
        other = {segment.style for segment in table.render_line(2)}
        with_focus = {segment.style for segment in table.render_line(1)}
        app.set_focus(None)
        await pilot.pause()
        without = {segment.style for segment in table.render_line(1)}
        assert not with_focus & other
        assert not without & (other | with_focus)


def test_flexible_columns_share_what_is_left() -> None:
    columns = [Column("a", "a", most=10), Column("b", "b"), Column("c", "c", 4)]
    assert fit(columns, 100) == [(0, 10), (1, 82), (2, 4)]
    assert fit(columns, 24) == [(0, 8), (1, 8), (2, 4)]
    assert fit(columns, 23) == [(0, 10), (1, 11)]
    assert fit(columns, 3) == [(0, 3)]
    assert fit(columns, 0) == [(0, 0)]


@pytest.mark.parametrize(
    ("text", "width", "wanted"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("漢字", 3, "漢…"), ("漢字", 2, " …"), ("abc", 1, "…"), ("abc", 0, "")],
)
def test_text_is_cut_by_cells(text: str, width: int, wanted: str) -> None:
    assert cut(text, width) == wanted


def test_text_is_filled_on_the_side_that_it_is_not_aligned_to() -> None:
    assert fill("漢", 4, "left") == "漢  "
    assert fill("漢", 4, "right") == "  漢"
