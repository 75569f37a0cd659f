"""A matrix of any size: only the numbers that can be seen are read from the file and drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fltui.console.arrays.files import Array
from fltui.console.arrays.heat import ColourScale, glyphs, styles
from fltui.console.arrays.numerals import Numerals, exact_text
from fltui.console.arrays.slices import Index, Plane
from fltui.console.widgets.sentence import sentence_line
from fltui.errors import FltuiError

Mode = Literal["values", "heat"]
"""Numbers, or colours."""

_GAPS = (2, 1)
"""Cells between two columns of numbers; the second where all columns fit with it, but not with the first."""

_COMPACT = 4
"""Cells of a colour without a number: ``+Inf`` has room."""

_MARK = 3
"""Cells of the glyphs that stand behind a number for its colour."""

_STYLES = ("header", "here", "cursor", "nan", "infinite", "sentence")

_MOST = 4096
"""Rows and columns that are read at once: a terminal shows fewer, a broken size asks for more."""


class MatrixView(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows and columns of an array under headers that stay in place, with a cursor on one number."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"matrix--{name}" for name in _STYLES}
    DEFAULT_CSS = """
    MatrixView {
        height: 1fr;
        overflow: auto auto;
        scrollbar-size: 1 1;
        background: transparent;
        color: $foreground;

        & > .matrix--header { color: $text-muted; }
        & > .matrix--here { color: $text-accent; text-style: bold; }
        & > .matrix--cursor {
            color: $block-cursor-blurred-foreground;
            background: $block-cursor-blurred-background;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .matrix--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
        & > .matrix--nan { color: $text-error; background: $error-muted; text-style: bold; }
        & > .matrix--infinite { color: $text-warning; background: $warning-muted; text-style: bold; }
        & > .matrix--sentence { color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "Row above", show=False, id="matrix.up"),
        Binding("down,j", "move(1, 0)", "Row below", show=False, id="matrix.down"),
        Binding("shift+left", "move(0, -1)", "Column to the left", show=False, id="matrix.left"),
        Binding("shift+right", "move(0, 1)", "Column to the right", show=False, id="matrix.right"),
        Binding("pageup", "move_page(-1, 0)", "Page up", show=False, id="matrix.page_up"),
        Binding("pagedown", "move_page(1, 0)", "Page down", show=False, id="matrix.page_down"),
        Binding("ctrl+pageup", "move_page(0, -1)", "Page to the left", show=False, id="matrix.page_left"),
        Binding("ctrl+pagedown", "move_page(0, 1)", "Page to the right", show=False, id="matrix.page_right"),
        Binding("home", "move_to(0, None)", "First row", show=False, id="matrix.first_row"),
        Binding("end", "move_to(-1, None)", "Last row", show=False, id="matrix.last_row"),
        Binding("shift+home", "move_to(None, 0)", "First column", show=False, id="matrix.first_column"),
        Binding("shift+end", "move_to(None, -1)", "Last column", show=False, id="matrix.last_column"),
    ]
    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor is on another number, or the number under it is another."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._array: Array | None = None
        self._plane: Plane | None = None
        self._numerals = Numerals(9, 3, "f")
        self._scale = ColourScale(0.0, 0.0)
        self._mode: Mode = "values"
        self._sentence = ""
        self._cursor = (0, 0)
        self._place = (0, 0)
        self._generation = 0
        self._frame = _Frame()
        self._cell = self._labels = 0
        self._roomy = False

    # What is shown.

    def show(self, array: Array, index: Index, numerals: Numerals, scale: ColourScale) -> None:
        """Show a slice of an array; place and cursor stay as far as there is something.

        Args:
            array: what to read.
            index: the slice.
            numerals: how numbers are written.
            scale: how they are coloured.
        """
        self._array, self._plane = array, array.plane(index)
        self._numerals, self._scale = numerals, scale
        self._sentence = "" if self._plane.count else "the array has no elements"
        self._generation += 1
        self._arrange()

    def reslice(self, index: Index) -> None:
        """Show another slice of the same array."""
        if self._array is not None:
            self.show(self._array, index, self._numerals, self._scale)

    def say(self, sentence: str) -> None:
        """Show a harmless sentence instead of a matrix; the place is remembered for the next one."""
        if sentence != self._sentence or self._array is not None:
            self._array = self._plane = None
            self._sentence = sentence
            self._generation += 1
            self._arrange()

    def rescale(self, scale: ColourScale) -> None:
        """Colour the numbers by another scale."""
        if scale != self._scale:
            self._scale = scale
            self.refresh()

    @property
    def scale(self) -> ColourScale:
        """How the numbers are coloured."""
        return self._scale

    @property
    def mode(self) -> Mode:
        """Numbers, or colours."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode != self._mode:
            self._mode = mode
            self._arrange()

    def begin(self) -> None:
        """Go to the first number."""
        self._cursor = self._place = (0, 0)
        self._go()

    # The cursor.

    @property
    def cursor(self) -> tuple[int, ...] | None:
        """Index in the whole array of the number under the cursor; None without a matrix."""
        return self._plane.element(*self._cursor) if self._plane is not None and self._plane.count else None

    def cursor_text(self) -> str:
        """The number under the cursor, exactly; empty without one."""
        if self._array is None or self._plane is None or not self._plane.count:
            return ""
        row, column = self._cursor
        try:
            return exact_text(self._array.window(self._plane.index, range(row, row + 1), range(column, column + 1)))
        except FltuiError:
            return ""

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self._cursor = (self._cursor[0] + rows, self._cursor[1] + columns)
        self._follow_cursor()

    def action_move_page(self, rows: int, columns: int) -> None:
        """Move the cursor by what can be seen."""
        self.action_move(rows * self._rows_seen, columns * self._columns_seen)

    def action_move_to(self, row: int | None, column: int | None) -> None:
        """Move the cursor to the first (0) or last (-1) row or column."""
        if self._plane is not None:
            rows, columns = self._plane.rows, self._plane.columns
            self._cursor = (
                self._cursor[0] if row is None else row % max(1, rows),
                self._cursor[1] if column is None else column % max(1, columns),
            )
            self._follow_cursor()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the number that was clicked."""
        where = event.get_content_offset(self)
        if where is None or self._plane is None or event.button != 1 or not self._cell:
            return
        row, column = self._top + where.y - 1, self._left + (where.x - self._labels) // self._cell
        if where.y > 0 and where.x >= self._labels and row < self._plane.rows and column < self._plane.columns_in(row):
            event.stop()
            self._cursor = (row, column)
            self._follow_cursor()

    def _clamp(self) -> None:
        """Keep the cursor on a number."""
        if self._plane is not None and self._plane.count:
            row = max(0, min(self._cursor[0], self._plane.rows - 1))
            self._cursor = (row, max(0, min(self._cursor[1], self._plane.columns_in(row) - 1)))

    def _follow_cursor(self) -> None:
        """Bring the cursor into sight."""
        self._clamp()
        row, column = self._cursor
        self._place = (
            min(max(self._top, row - self._rows_seen + 1), row),
            min(max(self._left, column - self._columns_seen + 1), column),
        )
        self._go()
        self.post_message(self.Moved())
        self.refresh()

    # Where what stands.

    @property
    def _top(self) -> int:
        return self.scroll_offset.y

    @property
    def _left(self) -> int:
        """The first column: always a whole one."""
        return -(-self.scroll_offset.x // max(1, self._cell))

    @property
    def _rows_seen(self) -> int:
        return max(1, min(_MOST, self.scrollable_content_region.height - 1))

    @property
    def _columns_seen(self) -> int:
        room = self.scrollable_content_region.width - self._labels
        return max(1, min(_MOST, room // max(1, self._cell)))

    def _measure(self, plane: Plane) -> None:
        """Choose how wide a column is, and whether colours have room for their numbers.

        A vertical scrollbar has its cell whether it is shown or not: it must not come and go with what it changes.
        """
        room = self.container_size.width - 1
        self._labels = len(str(plane.label(plane.rows - 1))) + 2
        mark = _MARK if self._mode == "heat" and self.app.no_color else 0
        cells = [self._numerals.width + mark + gap for gap in _GAPS]
        fitting = [cell for cell in cells if self._labels + plane.columns * cell <= room]
        if self._mode == "heat":
            self._roomy = bool(fitting) and fitting[0] == cells[0]
            self._cell = cells[0] if self._roomy else _COMPACT
        else:
            self._cell = fitting[0] if fitting else cells[0]

    def _arrange(self) -> None:
        """Measure the cells; then go where a person last was."""
        plane = self._plane
        if plane is None or not plane.count:
            self.virtual_size = Size(0, 0)
        else:
            self._measure(plane)
            self.virtual_size = Size(self._labels + plane.columns * self._cell, plane.rows + 1)
            self._clamp()
            self._go()
        self.post_message(self.Moved())
        self.refresh()

    def _go(self) -> None:
        """Scroll to the remembered place."""
        row, column = self._place
        if (self._top, self._left) != self._place:
            self.scroll_to(column * self._cell, row, animate=False, force=True)

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Remember where a person is."""
        super().watch_scroll_x(old_value, new_value)
        self._remember()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Remember where a person is."""
        super().watch_scroll_y(old_value, new_value)
        self._remember()

    def _remember(self) -> None:
        if self._plane is not None and self._plane.count:
            self._place = (self._top, self._left)

    def on_resize(self) -> None:
        """Columns may have another width now."""
        if self._plane is not None:
            self._arrange()

    # Drawing.

    def render_lines(self, crop: Region) -> list[Strip]:
        """All lines of one frame: what they share is looked up once."""
        self._prepare()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """The header, a row, or a line of the sentence."""
        frame = self._frame
        if frame.width < 1:
            return Strip([])
        if frame.sentence or self._plane is None:
            return sentence_line(frame.sentence, y - 1, frame.width, frame.styles["sentence"])
        if y == 0:
            line = Strip(self._header(self._plane))
        elif y <= len(frame.values):
            line = Strip(self._row(self._plane, y - 1))
        else:
            return Strip.blank(frame.width, frame.base)
        return line.adjust_cell_length(frame.width, frame.base)

    def _prepare(self) -> None:
        """Read what can be seen unless it has been read, and look up the styles."""
        frame = self._frame
        frame.top, frame.left = self._top, self._left
        frame.width, frame.base = self.scrollable_content_region.width, self.rich_style
        frame.styles = {name: self.get_component_rich_style(f"matrix--{name}") for name in _STYLES}
        frame.sentence = self._sentence
        frame.plain, dark = self.app.no_color, self.app.current_theme.dark
        frame.palette = styles(signed=self._scale.signed, dark=dark)
        frame.marks = glyphs(signed=self._scale.signed)
        if self._array is None or self._plane is None or frame.sentence:
            return
        rows, columns = self._rows_seen, self._columns_seen
        seen = (self._generation, frame.top, frame.left, rows, columns, self._scale, self._mode)
        if seen != frame.seen:
            frame.seen, frame.values, frame.levels, frame.problem = seen, [], [], ""
            try:
                window = self._array.window(
                    self._plane.index, range(frame.top, frame.top + rows), range(frame.left, frame.left + columns)
                )
            except FltuiError as error:
                frame.problem = str(error)
            else:
                frame.values = window.tolist()
                if self._mode == "heat":
                    frame.levels = self._scale.levels(window.astype(float)).tolist()
        frame.sentence = frame.problem

    def _header(self, plane: Plane) -> list[Segment]:
        """The numbers of the columns; where they are too long for all, of every second or third, and the cursor's."""
        left, names = self._frame.left, self._frame.styles
        shown = range(left, min(plane.columns, left + self._columns_seen))
        every = -(-(len(str(plane.columns - 1)) + 1) // self._cell)
        edge = 1 if self._mode == "heat" else 0
        ends = {column: (place + 1) * self._cell - edge for place, column in enumerate(shown)}
        here = self._cursor[1]
        segments = [Segment(" " * self._labels, names["header"])]
        used = 0
        for column, end in ends.items():
            if column != here:
                behind = ends[here] - len(str(here)) if column < here in ends else end
                if column % every or end - used < len(str(column)) or end > behind:
                    continue
            segments.append(Segment(f"{column:>{end - used}}", names["here" if column == here else "header"]))
            used = end
        return segments

    def _row(self, plane: Plane, place: int) -> list[Segment]:
        frame = self._frame
        row = frame.top + place
        here = row == self._cursor[0]
        label = f"{plane.label(row):>{self._labels - 1}} "
        head = Segment(label, frame.styles["here" if here else "header"])
        values = frame.values[place][: max(0, plane.columns_in(row) - frame.left)]
        cursor = self._cursor[1] - frame.left if here else -1
        if self._mode == "heat":
            return [head, *self._colours(values, frame.levels[place], cursor)]
        return [head, *self._numbers(values, cursor)]

    def _numbers(self, values: list[float], cursor: int) -> list[Segment]:
        width, frame = self._cell, self._frame
        segments: list[Segment] = []
        plain: list[str] = []
        for place, value in enumerate(values):
            text = self._numerals.text(value)
            style = frame.styles["cursor"] if place == cursor else frame.odd_style(value)
            if style is None:
                plain.append(text.rjust(width))
                continue
            gap = " " * (width - max(self._numerals.width, len(text)))
            segments.append(Segment("".join([*plain, gap]), frame.base))
            segments.append(Segment(text.rjust(width - len(gap)), style))
            plain = []
        segments.append(Segment("".join(plain), frame.base))
        return segments

    def _colours(self, values: list[float], levels: list[int], cursor: int) -> list[Segment]:
        frame = self._frame
        segments: list[Segment] = []
        for place, (value, level) in enumerate(zip(values, levels, strict=False)):
            odd = frame.odd_style(value)
            style = odd or (frame.base if frame.plain else frame.palette[level])
            cell = self._colour_cell(value, level, odd=odd is not None)
            if place == cursor:
                if odd is None or self._roomy:
                    cell = f"[{cell[1:-1]}]"
                style = style + (frame.styles["cursor"] if frame.plain or odd else Style(bold=True))
            segments.append(Segment(cell, style))
        return segments

    def _colour_cell(self, value: float, level: int, *, odd: bool) -> str:
        """What stands on a colour: the number where there is room, and without colours a sign and glyphs."""
        width, plain, mark = self._cell, self._frame.plain, self._frame.marks[level]
        if odd:
            text = self._numerals.text(value)
            return f"{text:>{width - 1}} " if self._roomy else text.center(width)
        if self._roomy:
            text = self._numerals.text(value)
            return f"{text:>{width - 1 - _MARK}} {mark} " if plain else f"{text:>{width - 1}} "
        return mark[0] + mark[1] * (width - 1) if plain else " " * width


@dataclass
class _Frame:
    """What the lines of one frame share."""

    top: int = 0
    left: int = 0
    width: int = 0
    base: Style = field(default_factory=Style.null)
    styles: dict[str, Style] = field(default_factory=dict)
    palette: tuple[Style, ...] = ()
    marks: tuple[str, ...] = ()
    plain: bool = False
    sentence: str = ""
    problem: str = ""
    seen: tuple[object, ...] = ()
    values: list[list[float]] = field(default_factory=list)
    levels: list[list[int]] = field(default_factory=list)

    def odd_style(self, value: float) -> Style | None:
        """Of NaN and the infinities; None for any other number."""
        if value - value == 0:
            return None
        return self.styles["nan" if value != value else "infinite"]
