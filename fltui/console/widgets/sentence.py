"""A sentence in place of what there is to show."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip

from fltui.console.widgets.columns import fill


def sentence_line(text: str, y: int, width: int, style: Style, *, margin: int = 1) -> Strip:
    """One line of a sentence that is wrapped to the width there is.

    Args:
        text: harmless.
        y: which line, from 0; lines before and behind the sentence are blank.
        width: cells.
        style: of the whole line.
        margin: blank cells on either side.
    """
    lines = Content(text).wrap(max(1, width - 2 * margin))
    line = " " * margin + lines[y].plain if 0 <= y < len(lines) else ""
    return Strip([Segment(fill(line, width, "left"), style)], max(0, width))
