"""The lines of a log on the screen: they follow what comes, or stay where a person reads."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from fltui.console.logs.lines import LogLines
from fltui.console.logs.patterns import Pattern, TooSlowError, patience
from fltui.console.widgets.columns import fill
from fltui.console.widgets.sentence import sentence_line
from fltui.run.logs import LogLine

_SIDEWAYS = 16
"""Cells that the text moves to the side at a time."""

_ABOVE = 2
"""Lines that stay in sight above one that is on top."""

_PATIENCE = 0.01
"""Seconds of computing that the matches in one line may take."""

_STYLES = {"DEBUG": "muted", "INFO": "", "WARN": "warning", "ERROR": "error"}


class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """Time, source, level and text, a line each; long texts move to the side, the columns before them stay.

    It follows the end until a person scrolls up or moves the cursor; then the lines stay where they are, whatever
    comes, is dropped or filtered out. ``end``, and scrolling to the end, follow again.

    Args:
        lines: what is shown; who changes them calls `settle`.
        id: of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--cursor",
        "log--error",
        "log--match",
        "log--muted",
        "log--placeholder",
        "log--source",
        "log--warning",
    }
    DEFAULT_CSS = """
    LogView {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: transparent;
        color: $foreground;

        & > .log--muted { color: $text-muted; }
        & > .log--placeholder { color: $text-muted; }
        & > .log--source { color: $text-secondary; }
        & > .log--warning { color: $text-warning; }
        & > .log--error { color: $text-error; text-style: bold; }
        & > .log--match { color: $text-accent; text-style: bold underline; }
        & > .log--cursor {
            color: $block-cursor-blurred-foreground;
            background: $block-cursor-blurred-background;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .log--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Line above", show=False, id="log.up"),
        Binding("down,j", "move(1)", "Line below", show=False, id="log.down"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="log.page_up"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="log.page_down"),
        Binding("home", "first", "First line", show=False, id="log.first"),
        Binding("end", "follow", "Follow", id="log.follow", tooltip="Go to the end and show lines as they come"),
        Binding("shift+left", "sideways(-1)", "Text left", show=False, id="log.left"),
        Binding("shift+right", "sideways(1)", "Text right", show=False, id="log.right"),
    ]
    ALLOW_SELECT = False

    class Changed(Message):
        """It follows or does not, or another line is looked at."""

    class TooSlow(Message):
        """The matches in a line took too long to find; they are not shown any more."""

    def __init__(self, lines: LogLines, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._lines = lines
        self._placeholder = ""
        self._pattern: Pattern | None = None
        self._following = True
        self._cursor = self._top = self._known = 0
        self._row = 0
        self._left = 0
        self._settling = False
        self._palette: dict[str, Style] = {}
        self._cursor_palette: dict[str, Style] = {}

    # What is looked at.

    @property
    def following(self) -> bool:
        """Whether the end stays in sight."""
        return self._following

    @property
    def new(self) -> int:
        """How many of the shown lines came since it stopped following."""
        return 0 if self._following else len(self._lines.shown) - self._lines.place(self._known)

    @property
    def cursor(self) -> int | None:
        """Number of the line that is looked at, the last one while following; None if there are none."""
        shown = self._lines.shown
        return shown[self._place] if shown else None

    @property
    def _place(self) -> int:
        last = len(self._lines.shown) - 1
        return last if self._following else min(self._lines.place(self._cursor), last)

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height)

    @property
    def placeholder(self) -> str:
        """Harmless sentence that is shown instead of lines."""
        return self._placeholder

    @placeholder.setter
    def placeholder(self, text: str) -> None:
        if text != self._placeholder:
            self._placeholder = text
            self.refresh()

    @property
    def pattern(self) -> Pattern | None:
        """What is marked in the texts."""
        return self._pattern

    @pattern.setter
    def pattern(self, pattern: Pattern | None) -> None:
        self._pattern = pattern
        self.refresh()

    # Moving.

    def settle(self, *, hold_cursor: bool = False) -> None:
        """Show the lines as they are now: at the end, or those that were in sight.

        Args:
            hold_cursor: the cursor's line stays where it is on the screen rather than the one on top, as far as both
                are still shown.
        """
        count = len(self._lines.shown)
        top = self._place - self._row if hold_cursor else self._lines.place(self._top)
        if count != self.virtual_size.height:
            # Assigned, it would have the whole screen laid out anew, many times a second, for a longer scrollbar.
            size = Size(0, count)
            self.set_reactive(Widget.virtual_size, size)
            self._settling = True
            self._scroll_update(size)
        self._scroll(self.max_scroll_y if self._following else top)
        self.refresh()

    def go_to(self, number: int, *, on_top: bool = False) -> None:
        """Stop following and put the cursor on a line that is shown, or on the next one that is.

        Args:
            number: of the line.
            on_top: scroll it to the top, so that what follows it can be read; otherwise only as far as is needed.
        """
        self._stop()
        self._cursor = number
        place, top, page = self._place, self.scroll_offset.y, self._page
        if on_top:
            top = place - min(_ABOVE, page // 4)
        elif not top <= place < top + page:
            top = place - page // 2
        self._reveal()
        self._show_from(top)

    def follow(self) -> None:
        """Go to the end and stay there."""
        self._following = True
        self.settle()
        self.post_message(self.Changed())

    def _stop(self) -> None:
        if self._following:
            self._cursor = self.cursor or 0
            self._known = self._lines.dropped + self._lines.kept
            self._following = False
            self._look_from(self.scroll_offset.y)

    def _show_from(self, top: int) -> None:
        self._scroll(top)
        self.refresh()
        self.post_message(self.Changed())

    def _scroll(self, top: float) -> None:
        """Scroll without looking like a person who does."""
        self._settling = True
        try:
            self.scroll_to(y=top, animate=False, force=True)
        finally:
            self._settling = False
        self._look_from(self.scroll_offset.y)

    def _reveal(self) -> None:
        """Move the texts so that the first match under the cursor is in sight; without one, their beginning."""
        text = self._lines[self.cursor].text if self.cursor is not None else ""
        spans = self._spans(text)
        begin, end = (cell_len(text[:at]) for at in (spans[0] if spans else (0, 0)))
        room = self._columns(self.scrollable_content_region.width)[-1]
        if not spans or end < room:
            self._left = 0
        elif not self._left < begin <= end < self._left + room:
            self._left = max(0, begin - room // 2)

    def _look_from(self, top: int) -> None:
        """Remember what is in sight when the line at `top` is the first that is."""
        shown = self._lines.shown
        self._top = shown[min(top, len(shown) - 1)] if shown else 0
        self._row = max(0, min(self._place - top, self._page - 1))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """A person scrolled: up stops following, to the very end follows again."""
        super().watch_scroll_y(old_value, new_value)
        if self._settling:
            return
        if new_value < self.max_scroll_y:
            self._stop()
            top = round(new_value)
            place = max(top, min(self._place, top + self._page - 1))
            self._cursor = self._lines.shown[min(place, len(self._lines.shown) - 1)]
            self._look_from(top)
        elif new_value > old_value:
            self._following = True
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        """Keep in sight what was."""
        self.settle()
        self.action_sideways(0)  # a wider line needs to move less

    # Keys and mouse.

    def action_move(self, lines: int) -> None:
        """Move the cursor; down from the last line follows."""
        shown, place = self._lines.shown, self._place
        if lines > 0 and (self._following or place == len(shown) - 1):
            self.follow()
        elif shown:
            self._stop()
            place = max(0, min(place + lines, len(shown) - 1))
            self._cursor = shown[place]
            self._show_from(min(max(self.scroll_offset.y, place - self._page + 1), place))

    def action_move_page(self, pages: int) -> None:
        """Move the cursor by what can be seen."""
        self.action_move(pages * self._page)

    def action_first(self) -> None:
        """Move the cursor to the first line."""
        self.action_move(-len(self._lines.shown))

    def action_follow(self) -> None:
        """See `follow`."""
        self.follow()

    def action_sideways(self, steps: int) -> None:
        """Move the texts to the side, as far as the longest in sight goes."""
        top, room = self.scroll_offset.y, self._columns(self.scrollable_content_region.width)[-1]
        texts = [self._lines[number].text for number in self._lines.shown[top : top + self._page]]
        most = max((cell_len(text) for text in texts), default=0) - room
        self._left = max(0, min(self._left + steps * _SIDEWAYS, max(most, self._left if steps < 0 else 0)))
        self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """With a modifier it goes to the side."""
        self._scroll_sideways(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """With a modifier it goes to the side."""
        self._scroll_sideways(event, -1)

    def _scroll_sideways(self, event: events.MouseEvent, steps: int) -> None:
        if event.shift or event.ctrl:
            event.stop()
            self.action_sideways(steps)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        """Move the texts."""
        event.stop()
        self.action_sideways(1)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        """Move the texts."""
        event.stop()
        self.action_sideways(-1)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the line."""
        where = event.get_content_offset(self)
        shown = self._lines.shown
        if where is None or event.button != 1 or self.scroll_offset.y + where.y >= len(shown):
            return
        event.stop()
        self.go_to(shown[self.scroll_offset.y + where.y])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """There is no need to follow while it does."""
        return not (action == "follow" and self._following)

    # Drawing.

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw what can be seen; every style is asked for once and not for every line."""
        self._palette = self._styles_on(self.rich_style)
        self._cursor_palette = self._styles_on(self.get_component_rich_style("log--cursor"))
        return super().render_lines(crop)

    def _styles_on(self, base: Style) -> dict[str, Style]:
        ground = Style.from_color(bgcolor=base.bgcolor)
        names = ("error", "match", "muted", "placeholder", "source", "warning")
        return {"": base, **{name: self.get_component_rich_style(f"log--{name}") + ground for name in names}}

    def render_line(self, y: int) -> Strip:
        """One line of the log, or of the placeholder."""
        width = self.scrollable_content_region.width
        if width < 1:
            return Strip([])
        shown = self._lines.shown
        place = self.scroll_offset.y + y
        if not shown:
            return sentence_line(self._placeholder, y, width, self._palette["placeholder"])
        if place >= len(shown):
            return Strip.blank(width, self._palette[""])
        under_cursor = not self._following and place == self._place
        return self._line(self._lines[shown[place]], width, under_cursor=under_cursor)

    def _columns(self, width: int) -> tuple[slice, int, int, int]:
        """What is shown of the time, and the widths of source, level and text."""
        longest = self._lines.source_width
        if width >= 64:
            clock, source, level = slice(11, 23), min(longest, 16), 5
        elif width >= 44:
            clock, source, level = slice(11, 19), min(longest, 10), 5
        elif width >= 24:
            clock, source, level = slice(0, 0), min(longest, 8), 1
        else:
            clock, source, level = slice(0, 0), 0, 0
        used = 1 + sum(size + 1 for size in (clock.stop - clock.start, source, level) if size)
        return clock, source, level, width - used

    def _line(self, line: LogLine, width: int, *, under_cursor: bool) -> Strip:
        palette = self._cursor_palette if under_cursor else self._palette
        base = palette[""]
        plain = under_cursor and self.has_focus
        clock, source, level, room = self._columns(width)
        segments = [Segment("▸" if under_cursor else " ", base)]
        if clock.stop:
            text = f"{line.time[clock]:{clock.stop - clock.start}} "
            segments.append(Segment(text, base if plain else palette["muted"]))
        if source:
            text = f"{fill(line.source, source, 'left')} "
            segments.append(Segment(text, base if plain else palette["source"]))
        if level:
            word = "" if line.level == "INFO" else line.level
            segments.append(Segment(f"{word[:level]:{level}} ", base if plain else palette[_STYLES[line.level]]))
        parts = self._parts(line.text, base, palette["match"])
        return Strip([*segments, *_window(parts, self._left, room, base)], width)

    def _parts(self, text: str, base: Style, marked: Style) -> list[Segment]:
        """The text, with what matches marked."""
        parts, at = [], 0
        for begin, end in self._spans(text):
            parts += [Segment(text[at:begin], base), Segment(text[begin:end], marked)]
            at = end
        return [*parts, Segment(text[at:], base)]

    def _spans(self, text: str) -> list[tuple[int, int]]:
        if self._pattern is not None:
            try:
                with patience(_PATIENCE):
                    return self._pattern.spans(text)
            except TooSlowError:
                self._pattern = None
                self.post_message(self.TooSlow())
        return []


def _window(parts: list[Segment], left: int, room: int, base: Style) -> list[Segment]:
    """The cells from `left` on, exactly `room` of them; ``…`` where there is more on a side."""
    if room < 1:
        return []
    if len(parts) == 1 and parts[0].text.isascii():
        text = parts[0].text
        shown = text[left : left + room]
        if left and shown:
            shown = f"…{shown[1:]}"
        if len(text) > left + room:
            shown = f"{shown[:-1]}…"
        return [Segment(f"{shown:{room}}", base)]
    strip = Strip(parts)
    before, after = bool(left and strip.cell_length > left), strip.cell_length > left + room
    strip = strip.crop_extend(left + before, left + room - after, base)
    return [*[Segment("…", base)] * before, *strip, *[Segment("…", base)] * after]
