"""The columns of a table: which fit into a width, and text that is cut and padded to a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

GAP = 2
"""Cells between two columns."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: names it, for whoever makes the columns.
        title: harmless text of the header.
        width: in cells; None takes what the others leave, from `least` to `most`.
        align: of title and cells.
        rank: where there is no room for all, columns of the highest rank are left out first, of equals the last.
        least: cells under which a flexible column is not shown.
        most: cells that a flexible column has at most; None for no limit.
    """

    key: str
    title: str
    width: int | None = None
    align: Literal["left", "right"] = "left"
    rank: int = 0
    least: int = 8
    most: int | None = None

    @property
    def needed(self) -> int:
        """Cells without which it is not shown."""
        return self.least if self.width is None else self.width


def fit(columns: Sequence[Column], room: int) -> list[tuple[int, int]]:
    """The columns that are shown in `room` cells: place in `columns` and width of each, from the left.

    The first of the lowest rank is always shown, cut if need be.
    """
    shown = list(range(len(columns)))
    while len(shown) > 1 and _total(columns, shown) > room:
        shown.remove(max(shown, key=lambda place: (columns[place].rank, place)))
    spare = room - _total(columns, shown)
    widths = {place: columns[place].needed for place in shown}
    flexible = [place for place in shown if columns[place].width is None]
    flexible.sort(key=lambda place: _most(columns[place]))
    for done, place in enumerate(flexible):
        more = max(0, min(spare // (len(flexible) - done), _most(columns[place]) - widths[place]))
        widths[place] += more
        spare -= more
    return [(place, min(widths[place], max(0, room))) for place in shown]


def _total(columns: Sequence[Column], shown: Sequence[int]) -> int:
    return sum(columns[place].needed for place in shown) + GAP * (len(shown) - 1)


def _most(column: Column) -> int:
    return 1 << 30 if column.most is None else column.most


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells; what is left out is marked with ``…``."""
    length = len(text) if text.isascii() else cell_len(text)
    if length <= width:
        return text
    if width < 2:
        return "…"[: max(0, width)]
    return f"{text[: width - 1] if text.isascii() else set_cell_size(text, width - 1)}…"


def fill(text: str, width: int, align: str) -> str:
    """`text` in exactly `width` cells."""
    text = cut(text, width)
    blank = " " * (width - (len(text) if text.isascii() else cell_len(text)))
    return blank + text if align == "right" else text + blank
