"""How the numbers of an array are spread: bars of block characters that fit any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from fltui.console.arrays.numerals import number_text
from fltui.console.arrays.statistics import Histogram
from fltui.console.widgets.sentence import sentence_line

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_WIDEST_BAR = 6


class HistogramView(Widget, can_focus=True):
    """Bars over an axis of values, the counts at their left; in one line a bar is one character."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"histogram--bar", "histogram--axis", "histogram--sentence"}
    DEFAULT_CSS = """
    HistogramView {
        height: 1fr;

        & > .histogram--bar { color: $text-primary; }
        & > .histogram--axis { color: $text-muted; }
        & > .histogram--sentence { color: $text-muted; }
    }
    """
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._histogram: Histogram | None = None
        self._sentence = ""
        self._drawn: tuple[object, ...] = ()
        self._lines: list[list[Segment]] = []

    def show(self, histogram: Histogram) -> None:
        """Show a histogram."""
        self._histogram = histogram
        self._sentence = "" if histogram.counts else "no number is finite: there is nothing to count"
        self.refresh()

    def say(self, sentence: str) -> None:
        """Show a harmless sentence instead."""
        self._histogram, self._sentence = None, sentence
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the drawing."""
        width, height = self.size
        if width < 1:
            return Strip([])
        found = self._histogram
        if found is None or self._sentence:
            return sentence_line(self._sentence, y - 1, width, self.get_component_rich_style("histogram--sentence"))
        key = (found, width, height, self.get_component_rich_style("histogram--bar"))
        if key != self._drawn:
            self._drawn = key
            self._lines = self._draw(found, width, height)
        line = self._lines[y] if y < len(self._lines) else []
        return Strip(line).adjust_cell_length(width, self.rich_style)

    def _draw(self, found: Histogram, width: int, height: int) -> list[list[Segment]]:
        axis = self.get_component_rich_style("histogram--axis")
        bar = self.get_component_rich_style("histogram--bar")
        labelled = height >= 5
        gutter = len(f"{max(found.counts):,}") + 3 if labelled and width >= 24 else 1
        counts, size = _bars(found.counts, width - gutter - 1)
        gap = 1 if size >= 3 else 0
        peak, rows = max(counts), height - 2 if labelled else max(1, height - (height > 1))
        heights = [max(1, round(count / peak * rows * 8)) if count else 0 for count in counts]
        ticks = _count_ticks(peak, rows) if gutter > 1 else {}
        lines: list[list[Segment]] = []
        for row in range(rows - 1, -1, -1):
            label = f"{ticks[row]:,}" if row in ticks else ""
            edge = f"{label:>{gutter - 1}}{'┤' if label else '│'}" if gutter > 1 else " "
            blocks = "".join(
                _EIGHTHS[max(0, min(8, eighths - row * 8))] * (size - gap) + " " * gap for eighths in heights
            )
            lines.append([Segment(edge, axis), Segment(blocks, bar)])
        if height > 1:
            long = len(counts) * size
            if labelled:
                lines.append([Segment(f"{' ' * (gutter - 1)}{'╰' if gutter > 1 else ' '}{'─' * long}", axis)])
            lines.append([Segment(" " * gutter + _value_labels(found, long), axis)])
        return lines


def _bars(counts: Sequence[int], room: int) -> tuple[list[int], int]:
    """Counts of as many bars as fit, bins taken together, and the cells of each."""
    room = max(1, room)
    together = 1 << math.ceil(math.log2(max(1, len(counts) / room)))  # 64 bins make equal bars
    merged = [sum(counts[at : at + together]) for at in range(0, len(counts), together)]
    return merged, max(1, min(_WIDEST_BAR, room // len(merged)))


def _count_ticks(peak: int, rows: int) -> dict[int, int]:
    """Counts that are written at the left, by row from below: the highest, and half of it where there is room."""
    ticks = {rows - 1: peak}
    if rows >= 7 and peak >= 4:
        ticks[rows // 2 - 1] = round(peak * (rows // 2) / rows)
    return ticks


def _value_labels(found: Histogram, width: int) -> str:
    """The ends of the range, and 0 or the middle between them where there is room."""
    low, high = number_text(found.low, whole=found.whole), number_text(found.high, whole=found.whole)
    if found.low == found.high:
        return low
    line = list(" " * max(width, len(low) + len(high) + 1))
    line[: len(low)] = low
    line[-len(high) :] = high
    half = found.high / 2 - found.low / 2
    if found.low < 0 < found.high:
        middle, at = "0", (-found.low / 2) / half
    elif not found.whole:
        middle, at = number_text(found.low / 2 + found.high / 2), 0.5
    else:
        return "".join(line)
    place = round(at * (width - 1)) - len(middle) // 2
    if place > len(low) + 1 and place + len(middle) + 1 < len(line) - len(high):
        line[place : place + len(middle)] = middle
    return "".join(line)
