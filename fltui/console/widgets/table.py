"""A table of any length: it asks for and draws only the rows that can be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fltui.console.widgets.columns import GAP, Column, fill, fit
from fltui.console.widgets.sentence import sentence_line

__all__ = ["Cell", "Column", "Row", "Table"]


class Cell(NamedTuple):
    """Harmless text, and the style it is shown in: one of `Table.STYLES`, or empty."""

    text: str
    style: str = ""


class Row(NamedTuple):
    """A row: a key of its own, and a cell for every column."""

    key: str
    cells: Sequence[str | Cell]


class Table(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows under a header that stays in place, with a cursor on one of them.

    Columns that do not fit are left out, see `Column.rank`. A click puts the cursor on a row, a click on the row with
    the cursor, a double click and ``enter`` select it.

    Args:
        columns: from the left.
        placeholder: harmless sentence that is shown instead of rows.
        select_on_click: one click selects.
        id: of the widget.
    """

    STYLES: ClassVar[tuple[str, ...]] = ("accent", "error", "muted", "running", "strong", "success", "warning")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--placeholder",
        *(f"table--{style}" for style in STYLES),
    }
    DEFAULT_CSS = """
    Table {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: transparent;
        color: $foreground;

        & > .table--header { color: $text-muted; text-style: none; }
        & > .table--placeholder { color: $text-muted; }
        & > .table--cursor {
            color: $block-cursor-blurred-foreground;
            background: $block-cursor-blurred-background;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .table--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
        & > .table--accent { color: $text-accent; }
        & > .table--error { color: $text-error; }
        & > .table--muted { color: $text-muted; }
        & > .table--running { color: $text-primary; }
        & > .table--strong { text-style: bold; }
        & > .table--success { color: $text-success; }
        & > .table--warning { color: $text-warning; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Row above", show=False, id="table.up"),
        Binding("down,j", "move(1)", "Row below", show=False, id="table.down"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="table.page_down"),
        Binding("home", "move_first", "First row", show=False, id="table.first"),
        Binding("end", "move_last", "Last row", show=False, id="table.last"),
        Binding("enter", "select", "Open", show=False, id="table.select", tooltip="Open the row with the cursor"),
    ]
    ALLOW_SELECT = False

    class Highlighted(Message):
        """The cursor is on another row; `key` is None where there are no rows."""

        def __init__(self, table: Table, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    class Selected(Message):
        """A row was selected."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        placeholder: str = "",
        select_on_click: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(id=id)
        self._columns = list(columns)
        self._placeholder = placeholder
        self._select_on_click = select_on_click
        self._keys: Sequence[str] = ()
        self._row: Callable[[int], Row] = _no_row
        self._cursor = 0
        self._key: str | None = None
        self._in_sight = True
        self._just_focused = False
        self._fitted: tuple[int, list[tuple[int, int]]] = (-1, [])

    # What is shown.

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows in place of all others; the cursor stays on its key, or where it stands if that is gone."""
        self.set_keys([row.key for row in rows], rows.__getitem__)

    def set_keys(self, keys: Sequence[str], row: Callable[[int], Row]) -> None:
        """Show rows that are made when they come into sight.

        Args:
            keys: of all rows, in order.
            row: gives the row at a place; called again whenever it is drawn.
        """
        self._cursor = self._place_of_cursor(keys)
        self._keys, self._row = keys, row
        self.virtual_size = Size(0, len(keys) + 1 if keys else 0)
        self._cursor_moved(scroll=self._in_sight)
        self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns; rows must have cells for them from now on."""
        if list(columns) != self._columns:
            self._columns = list(columns)
            self._fitted = (-1, [])
            self.refresh()

    @property
    def placeholder(self) -> str:
        """Sentence that is shown instead of rows."""
        return self._placeholder

    @placeholder.setter
    def placeholder(self, text: str) -> None:
        if text != self._placeholder:
            self._placeholder = text
            self.refresh()

    # The cursor.

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self._keys)

    @property
    def cursor(self) -> int:
        """Place of the cursor's row, from 0."""
        return self._cursor

    @property
    def cursor_key(self) -> str | None:
        """Key of the cursor's row; None where there are no rows."""
        return self._key

    def go_to(self, place: int) -> None:
        """Put the cursor on the row at `place`, or on the nearest there is, and scroll there."""
        before = self._cursor
        self._cursor = max(0, min(place, len(self._keys) - 1))
        self._cursor_moved(scroll=True)
        if before != self._cursor:
            self.refresh()

    def go_to_key(self, key: str) -> bool:
        """Put the cursor on the row with this key; whether there is one."""
        try:
            self.go_to(self._keys.index(key))
        except ValueError:
            return False
        return True

    def _place_of_cursor(self, keys: Sequence[str]) -> int:
        if self._key is None or not keys:
            return 0
        if self._cursor < len(keys) and keys[self._cursor] == self._key:
            return self._cursor
        try:
            return keys.index(self._key)
        except ValueError:
            return min(self._cursor, len(keys) - 1)

    def _cursor_moved(self, *, scroll: bool) -> None:
        """Tell of a new key; bring the cursor into sight if `scroll`."""
        key = self._keys[self._cursor] if self._keys else None
        if scroll:
            self._scroll_to_cursor()
        if key != self._key:
            self._key = key
            self.post_message(self.Highlighted(self, key))

    @property
    def _page(self) -> int:
        """Rows that can be seen at a time."""
        return self.scrollable_content_region.height - 1

    def _scroll_to_cursor(self) -> None:
        self._in_sight = True
        page, top = self._page, self.scroll_offset.y
        if page < 1:
            return
        wanted = min(max(top, self._cursor - page + 1), self._cursor)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Remember whether the cursor can be seen: what comes and goes later does not drag a person back to it."""
        super().watch_scroll_y(old_value, new_value)
        self._in_sight = 0 <= self._cursor - round(new_value) < max(1, self._page)

    def on_resize(self) -> None:
        """Keep the cursor in sight if it was."""
        if self._in_sight:
            self._scroll_to_cursor()

    # Keys and mouse.

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._just_focused = False
        self.go_to(self._cursor + rows)

    def action_move_page(self, pages: int) -> None:
        """Move the cursor by what can be seen."""
        self.action_move(pages * max(1, self._page))

    def action_move_first(self) -> None:
        """Move the cursor to the first row."""
        self.action_move(-len(self._keys))

    def action_move_last(self) -> None:
        """Move the cursor to the last row."""
        self.action_move(len(self._keys))

    def action_select(self) -> None:
        """Select the cursor's row."""
        if self._key is not None:
            self.post_message(self.Selected(self, self._key))

    def on_focus(self) -> None:
        """The click that brings the focus here only does that."""
        self._just_focused = True

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row, or select it."""
        where = event.get_content_offset(self)
        if where is None or event.button != 1:
            return
        place = self.scroll_offset.y + where.y - 1
        if where.y < 1 or place >= len(self._keys):
            return
        event.stop()
        again = place == self._cursor and not self._just_focused
        self._just_focused = False
        self.go_to(place)
        if self._key is not None and (self._select_on_click or again or event.chain > 1):
            self.post_message(self.Selected(self, self._key))

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """The header, a row, or a line of the placeholder."""
        width = self.scrollable_content_region.width
        if width < 1:
            return Strip([])
        if not self._keys:
            return sentence_line(self._placeholder, y, width, self._style("placeholder"))
        if y == 0:
            titles = [column.title for column in self._columns]
            return self._line(titles, width, self._style("header"), own_styles=False)
        place = self.scroll_offset.y + y - 1
        if place >= len(self._keys):
            return Strip.blank(width, self.rich_style)
        cells = self._row(place).cells
        if place != self._cursor:
            return self._line(cells, width, self.rich_style)
        return self._line(cells, width, self._style("cursor"), own_styles=not self.has_focus)

    def _line(self, cells: Sequence[str | Cell], width: int, base: Style, *, own_styles: bool = True) -> Strip:
        edge = 1 if width > 2 else 0
        if self._fitted[0] != width:
            self._fitted = (width, fit(self._columns, width - 2 * edge))
        segments = [Segment(" " * edge, base)]
        ground = Style.from_color(bgcolor=base.bgcolor)
        used = edge
        for place, size in self._fitted[1]:
            cell = cells[place] if place < len(cells) else ""
            text, name = cell if isinstance(cell, Cell) else (cell, "")
            style = base
            if name and own_styles:
                style = self._style(name) + ground
            if used > edge:
                segments.append(Segment(" " * GAP, base))
                used += GAP
            segments.append(Segment(fill(text, size, self._columns[place].align), style))
            used += size
        segments.append(Segment(" " * (width - used), base))
        return Strip(segments, width)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"table--{name}")


def _no_row(place: int) -> Row:
    raise IndexError(place)
