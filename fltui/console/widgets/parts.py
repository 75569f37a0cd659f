"""A line of short texts of which as many are shown as fit; some of them can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from fltui.console.widgets.columns import cut

_GAP = 2
_SHORT, _SHORTEST = 16, 5
"""Cells to which a choice is cut before others are left out, and after."""


@dataclass(frozen=True)
class Part:
    """A short text.

    Attributes:
        pieces: harmless texts, each in a style: one of `PartsLine.STYLES` or a style of its own.
        opens: what a click on it opens; such a part is cut before others are left out.
        rank: parts of the highest rank are left out first, of equals the last.
        right: it and all behind it stand at the right edge.
    """

    pieces: tuple[tuple[str, str | Style], ...]
    opens: str = ""
    rank: int = 0
    right: bool = False

    @property
    def width(self) -> int:
        """Cells."""
        return sum(cell_len(text) for text, _ in self.pieces)

    def cut_to(self, width: int) -> Part:
        """The same with its first text cut, so that it has about `width` cells."""
        (text, style), *rest = self.pieces
        left = width - sum(cell_len(other) for other, _ in rest)
        return Part(((cut(text, max(1, left)), style), *rest), self.opens, self.rank, self.right)


def choice(name: str, opens: str) -> Part:
    """A part that opens a list to choose from."""
    return Part(((name, "choice"), (" ▾", "label")), opens)


def value(label: str, text: str, style: str = "value", rank: int = 0) -> Part:
    """A value behind its name."""
    return Part(((f"{label} ", "label"), (text, style)), rank=rank)


class PartsLine(Widget):
    """One line of parts."""

    STYLES: ClassVar[tuple[str, ...]] = ("label", "value", "choice", "error")
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"parts--{style}" for style in STYLES}
    DEFAULT_CSS = """
    PartsLine {
        height: 1;
        padding: 0 1;

        & > .parts--label { color: $text-muted; }
        & > .parts--value { color: $foreground; }
        & > .parts--choice { color: $text-accent; text-style: bold; }
        & > .parts--error { color: $text-error; text-style: bold; }
    }
    """
    ALLOW_SELECT = False

    class Opened(Message):
        """A part was clicked that opens something."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._parts: list[Part] = []
        self._places: list[tuple[int, Part]] = []

    def show(self, parts: Sequence[Part]) -> None:
        """Show these parts."""
        if list(parts) != self._parts:
            self._parts = list(parts)
            self.refresh()

    @property
    def text(self) -> str:
        """Everything there is to show, whether it fits or not."""
        return (" " * _GAP).join("".join(text for text, _ in part.pieces) for part in self._parts)

    def render_line(self, y: int) -> Strip:
        """The parts that fit."""
        width = self.size.width
        if y or width < 1:
            return Strip.blank(width, self.rich_style)
        shown = _fit(self._parts, width)
        spare = width - _total(shown)
        segments: list[Segment] = []
        self._places, at = [], 0
        for part in shown:
            if at:
                push = max(0, spare) if part.right else 0
                spare -= push
                segments.append(Segment(" " * (_GAP + push), self.rich_style))
                at += _GAP + push
            self._places.append((at, part))
            segments += [Segment(text, self._style(style)) for text, style in part.pieces]
            at += part.width
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def on_click(self, event: events.Click) -> None:
        """Tell which part was clicked."""
        where = event.get_content_offset(self)
        if where is None or event.button != 1:
            return
        for at, part in self._places:
            if at <= where.x < at + part.width and part.opens:
                event.stop()
                self.post_message(self.Opened(part.opens))

    def _style(self, style: str | Style) -> Style:
        return self.get_component_rich_style(f"parts--{style}") if isinstance(style, str) else style


def _total(parts: Sequence[Part]) -> int:
    return sum(part.width for part in parts) + _GAP * max(0, len(parts) - 1)


def _fit(parts: Sequence[Part], width: int) -> list[Part]:
    shown = _cut(parts, width, _SHORT)
    while len(shown) > 1 and _total(shown) > width and any(part.rank for part in shown):
        worst = max(range(len(shown)), key=lambda place: (shown[place].rank, place))
        del shown[worst]
    shown = _cut(shown, width, _SHORTEST)
    while len(shown) > 1 and _total(shown) > width:
        shown.pop()
    return shown


def _cut(parts: Sequence[Part], width: int, least: int) -> list[Part]:
    """The parts that open something, the longest first, cut as far as needed."""
    shown = list(parts)
    choices = sorted((place for place, part in enumerate(parts) if part.opens), key=lambda place: -parts[place].width)
    for place in choices:
        over = _total(shown) - width
        if over > 0 and shown[place].width > least:
            shown[place] = shown[place].cut_to(max(least, shown[place].width - over))
    return shown
