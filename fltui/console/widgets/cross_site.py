"""A matrix of models and sites: a number on a colour for each pair, and a mark on the best of every column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fltui.console.amounts import value_text
from fltui.console.arrays.heat import LEVELS, glyphs, styles
from fltui.console.runs.cross_site import GLOBAL, Sheet
from fltui.console.widgets.columns import cut, fill
from fltui.console.widgets.sentence import sentence_line

BEST = "★"

_NUMBER, _LONGEST = 8, 18
"""Cells of a number, and of the longest name."""

_CORNER = "model"
_STYLES = ("header", "here", "cursor", "odd", "missing")


@dataclass(frozen=True)
class Grid:
    """What is shown.

    Attributes:
        sheet: the values.
        models: the rows, from the top.
        sites: the columns, from the left.
        lowest: the lowest value of a column is the best.
        version: another one whenever something has changed.
    """

    sheet: Sheet
    models: list[str]
    sites: list[str]
    lowest: bool = False
    version: object = None


class CrossSiteView(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows and columns under headers that stay in place, with a cursor on one value. Only what is seen is drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"cross--{name}" for name in _STYLES}
    DEFAULT_CSS = """
    CrossSiteView {
        height: 1fr;
        overflow: auto auto;
        scrollbar-size: 1 1;
        background: transparent;
        color: $foreground;

        & > .cross--header { color: $text-muted; }
        & > .cross--here { color: $text-accent; text-style: bold; }
        & > .cross--cursor { text-style: bold; }
        & > .cross--odd { color: $text-error; background: $error-muted; text-style: bold; }
        & > .cross--missing { color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "Model above", show=False, id="cross.up"),
        Binding("down,j", "move(1, 0)", "Model below", show=False, id="cross.down"),
        Binding("left", "move(0, -1)", "Site to the left", show=False, id="cross.left"),
        Binding("right", "move(0, 1)", "Site to the right", show=False, id="cross.right"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="cross.page_up"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="cross.page_down"),
        Binding("home", "move_to(0)", "First site", show=False, id="cross.first"),
        Binding("end", "move_to(-1)", "Last site", show=False, id="cross.last"),
    ]
    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor is on another value, or the value under it is another."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._grid = Grid(Sheet(), [], [])
        self._cursor = (0, 0)
        self._labels = self._cell = 0

    # What is shown.

    def show(self, grid: Grid) -> None:
        """Show another grid; the cursor stays where it is as far as there is something."""
        self._grid = grid
        self._arrange()

    @property
    def wanted(self) -> Size:
        """Cells that all of it needs."""
        return Size(self._labels + self._cell * len(self._grid.sites), len(self._grid.models) + 1)

    @property
    def cursor(self) -> tuple[str, str] | None:
        """Model and site under the cursor; None without any."""
        grid = self._grid
        if not grid.models or not grid.sites:
            return None
        return grid.models[self._cursor[0]], grid.sites[self._cursor[1]]

    def _arrange(self) -> None:
        """Measure the cells: all columns are of one width, wide enough for their names where there is room."""
        grid = self._grid
        names = [cell_len(_site_name(site)) for site in grid.sites]
        models = [cell_len(model_name(model)) for model in grid.models]
        self._labels = min(_LONGEST, max([*models, len(_CORNER)])) + 2
        ramp = 2 if self.app.no_color else 0
        self._cell = max(_NUMBER, min(_LONGEST, max(names, default=0))) + 2 + ramp
        room = self.container_size.width - self._labels
        if self._cell * len(names) > room:
            self._cell = max(_NUMBER + 2 + ramp, min(self._cell, room // max(1, len(names))))
        self.virtual_size = self.wanted
        rows, columns = len(grid.models), len(grid.sites)
        self._cursor = (max(0, min(self._cursor[0], rows - 1)), max(0, min(self._cursor[1], columns - 1)))
        self.post_message(self.Moved())
        self.refresh()

    def on_resize(self) -> None:
        """Columns may have another width now."""
        self._arrange()

    # The cursor.

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        row, column = self._cursor
        self._go(row + rows, column + columns)

    def action_move_page(self, pages: int) -> None:
        """Move the cursor by what can be seen."""
        self.action_move(pages * self._rows_seen, 0)

    def action_move_to(self, column: int) -> None:
        """Move the cursor to the first (0) or the last (-1) column."""
        self._go(self._cursor[0], column % max(1, len(self._grid.sites)))

    def _go(self, row: int, column: int) -> None:
        """Put the cursor there, or on the nearest there is, and bring it into sight."""
        row = max(0, min(row, len(self._grid.models) - 1))
        column = max(0, min(column, len(self._grid.sites) - 1))
        self._cursor = (row, column)
        top, left, seen = self.scroll_offset.y, self._left, self._columns_seen
        place = (min(max(top, row - self._rows_seen + 1), row), min(max(left, column - seen + 1), column))
        if place != (top, left):
            self.scroll_to(place[1] * self._cell, place[0], animate=False, force=True)
        self.post_message(self.Moved())
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the value that was clicked."""
        where = event.get_content_offset(self)
        if where is None or event.button != 1 or where.y < 1 or where.x < self._labels or not self._cell:
            return
        row, column = self.scroll_offset.y + where.y - 1, self._left + (where.x - self._labels) // self._cell
        if row < len(self._grid.models) and column < len(self._grid.sites):
            event.stop()
            self._go(row, column)

    @property
    def _left(self) -> int:
        """The first column: always a whole one."""
        return -(-self.scroll_offset.x // max(1, self._cell))

    @property
    def _rows_seen(self) -> int:
        return max(1, self.scrollable_content_region.height - 1)

    @property
    def _columns_seen(self) -> int:
        return max(1, (self.scrollable_content_region.width - self._labels) // max(1, self._cell))

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """The header, or a model's row."""
        width, grid = self.scrollable_content_region.width, self._grid
        if width < 1:
            return Strip([])
        if not grid.models or not grid.sites:
            return sentence_line("no model has been evaluated yet", y, width, self._style("missing"), margin=0)
        row = self.scroll_offset.y + y - 1
        if y and row >= len(grid.models):
            return Strip.blank(width, self.rich_style)
        seen = range(self._left, min(len(grid.sites), self._left + self._columns_seen))
        line = self._row(row, seen) if y else self._header(seen)
        return Strip(line).adjust_cell_length(width, self.rich_style)

    def _header(self, seen: range) -> list[Segment]:
        segments = [Segment(fill(_CORNER, self._labels, "left"), self._style("header"))]
        for column in seen:
            style = self._style("here" if column == self._cursor[1] else "header")
            name = _end_of(_site_name(self._grid.sites[column]), self._cell - 2)
            segments.append(Segment(f"{fill(name, self._cell - 2, 'right')}  ", style))
        return segments

    def _row(self, row: int, seen: range) -> list[Segment]:
        model = self._grid.models[row]
        style = self._style("here" if row == self._cursor[0] else "header")
        name = cut(model_name(model), self._labels - 2)
        return [
            Segment(f"{fill(name, self._labels - 1, 'left')} ", style),
            *(self._value(model, self._grid.sites[column], here=(row, column) == self._cursor) for column in seen),
        ]

    def _value(self, model: str, site: str, *, here: bool) -> Segment:
        """A number with the mark of the best behind it, on its colour; without colours glyphs tell the level."""
        grid, plain, width = self._grid, self.app.no_color, self._cell
        value = grid.sheet.value(model, site)
        if value is None:
            text, style = fill("·", width - 2, "right") + "  ", self._style("missing")
        else:
            level = _level(grid.sheet, value)
            mark = BEST if grid.sheet.is_best(model, site, lowest=grid.lowest) else " "
            ramp = glyphs(signed=False)[level or 0][1] if plain else ""
            number = f"{value_text(value):>{width - 2 - 2 * plain}}"
            text = f"{number} {ramp}{mark} " if plain else f"{number}{mark} "
            if level is None:
                style = self._style("odd")
            else:
                style = self.rich_style if plain else styles(signed=False, dark=self.app.current_theme.dark)[level]
        if here:
            text = f"[{text[1:-1]}]"
            style = style + self._style("cursor") if plain or value is None else style + Style(bold=True)
        return Segment(text, style)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"cross--{name}", partial=name == "cursor")


def model_name(model: str) -> str:
    """What a row is called."""
    return "global" if model == GLOBAL else model


def _site_name(site: str) -> str:
    return "mean" if site == GLOBAL else site


def _level(sheet: Sheet, value: float) -> int | None:
    """The colour of a value among all of its metric; None for one that is not finite."""
    if value - value != 0:
        return None
    half = sheet.high / 2 - sheet.low / 2  # in halves: the largest floats do not overflow
    return round((value / 2 - sheet.low / 2) / half * (LEVELS - 1)) if half > 0 else LEVELS // 2


def _end_of(name: str, width: int) -> str:
    """A name within so many cells; of a longer one the end, in which sites of one kind differ."""
    return name if cell_len(name) <= width else f"…{name[1 - width :]}"
