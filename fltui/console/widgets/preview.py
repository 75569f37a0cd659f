"""Shows a preview: path and kind stay on top, the content scrolls below them."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fltui.console.exchange.preview import Preview
from fltui.console.widgets.columns import fill

_HEAD = 2
"""Lines on top."""


class PreviewView(ScrollView, can_focus=True, inherit_bindings=False):
    """A preview in as many lines as it needs; only those that can be seen are drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"preview--path", "preview--about", "preview--problem"}
    DEFAULT_CSS = """
    PreviewView {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: transparent;
        color: $foreground;

        & > .preview--path { text-style: bold; }
        & > .preview--about { color: $text-muted; }
        & > .preview--problem { color: $text-warning; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Line up", show=False, id="preview.up"),
        Binding("down,j", "scroll_down", "Line down", show=False, id="preview.down"),
        Binding("pageup", "page_up", "Page up", show=False, id="preview.page_up"),
        Binding("pagedown", "page_down", "Page down", show=False, id="preview.page_down"),
        Binding("home", "scroll_home", "Beginning", show=False, id="preview.first"),
        Binding("end", "scroll_end", "End", show=False, id="preview.last"),
        Binding("enter,h", "leave", "Back to the tree", show=False, id="preview.back"),
    ]
    ALLOW_SELECT = False

    class Left(Message):
        """A person goes back to where the file was chosen."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._preview = Preview("", "")
        self._lines: list[tuple[str, str]] = []
        self._at_end = True

    @property
    def preview(self) -> Preview:
        """What is shown."""
        return self._preview

    def show(self, preview: Preview) -> None:
        """Show `preview`; the place stays if it is the same file, and a person at the end of a log stays there."""
        if preview == self._preview:
            return
        same = preview.path == self._preview.path
        self._preview = preview
        self._at_end = preview.from_end and (self._at_end or not same)
        self._fold()
        if not same and not self._at_end:
            self.scroll_to(y=0, animate=False, force=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Remember whether a person looks at the end: a smaller window, or a line more, does not change that."""
        super().watch_scroll_y(old_value, new_value)
        self._at_end = self.is_vertical_scroll_end

    def on_resize(self) -> None:
        """Lines are folded for the width there is."""
        self._fold()

    def _fold(self) -> None:
        room = max(1, self.scrollable_content_region.width - 2)
        lines = [(piece, "problem") for piece in _folded(self._preview.problem, room)]
        for line in self._preview.lines:
            if self._preview.wraps and len(line) * 2 > room:
                lines.extend((piece, "") for piece in _folded(line, room))
            else:
                lines.append((line, ""))
        self._lines = lines
        at_end = self._at_end
        self.virtual_size = Size(0, len(lines) + _HEAD if self._preview.about else 0)
        if at_end and self._preview.from_end:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    def action_leave(self) -> None:
        """Go back to the tree."""
        self.post_message(self.Left())

    def render_line(self, y: int) -> Strip:
        """A line of the head, or of the content."""
        width = self.scrollable_content_region.width
        if width < 1:
            return Strip([])
        text, name = self._line(y, width - 2)
        style = self.get_component_rich_style(f"preview--{name}") if name else self.rich_style
        return Strip([Segment(fill(f" {text}", width, "left"), style)], width)

    def _line(self, y: int, room: int) -> tuple[str, str]:
        if not self._preview.about:
            return "", ""
        if y == 0:
            return _end_of(self._preview.path, room), "path"
        if y == 1:
            return self._preview.about, "about"
        place = y - _HEAD + self.scroll_offset.y
        return self._lines[place] if place < len(self._lines) else ("", "")


def _folded(text: str, width: int) -> list[str]:
    if not text:
        return []
    if text.isascii():
        return [text[at : at + width] for at in range(0, len(text), width)]
    return chop_cells(text, width)


def _end_of(path: str, width: int) -> str:
    """The end of a path that is too long: that is where files differ."""
    if cell_len(path) <= width:
        return path
    at = max(0, len(path) - width + 1)
    while at < len(path) and cell_len(path[at:]) > width - 1:
        at += 1
    return f"…{path[at:]}"
