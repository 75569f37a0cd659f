"""Plots as characters: lines in braille dots by plotext, with the number of a colour for every stretch of text.

No text of sites gets into plotext, and no colour of a theme: what it writes is taken apart again here.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock
from typing import TYPE_CHECKING, Any

from fltui.console.plots.decimate import band, decimate
from fltui.console.plots.scale import AxisScale, scale_of

if TYPE_CHECKING:  # NumPy and plotext are loaded when a plot is first drawn, not with the console
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Piece = tuple[Floats, Floats]

Values = tuple["array[float]", "array[float]"]
"""Rounds or steps, and the value at each."""

Row = list[tuple[str, int]]
"""One line of a plot: stretches of text, each with its `Ink` or 0."""

MOST_LINES = 8
"""Of more sites than this only the band between the lowest and the highest is drawn."""

MARKS = "○△□◇▽+×*"
"""What the lines of sites are told apart by where there is no colour."""

GLOBAL_MARK = "●"
LABEL_WIDTH = 6
_LEAST_WIDTH, _LEAST_HEIGHT = 16, 4
_ACROSS, _UPWARDS = 2, 4  # dots of braille in a cell

_TOKEN = re.compile(r"\x1b\[(?:38;5;)?(\d+)m|([^\x1b]+)")
_lock = Lock()  # plotext has one figure for the whole process


class Ink(IntEnum):
    """What a stretch of a plot belongs to. The lines of sites have `SITE` and the numbers that follow."""

    AXIS = 1
    BAND = 2
    CHOSEN = 3
    GLOBAL = 4
    SITE = 16


@dataclass(frozen=True)
class Plot:
    """What is drawn.

    Attributes:
        overall: values of the model as a whole.
        sites: values of each site, by the number that gives it its mark.
        chosen: a round to be marked by a vertical line.
    """

    overall: Values | None
    sites: dict[int, Values]
    chosen: float | None = None


def draw(plot: Plot, width: int, height: int) -> list[Row]:
    """The lines of a plot, `height` of them, each at most `width` cells wide; nothing where there is no room.

    Args:
        plot: what is drawn.
        width: cells, with the values at the left.
        height: lines, with the rounds at the bottom.
    """
    if width < _LEAST_WIDTH or height < _LEAST_HEIGHT:
        return []
    overall = None if plot.overall is None else _floats(plot.overall)
    sites = {number: _floats(values) for number, values in plot.sites.items()}
    lines = [*([] if overall is None else [overall]), *sites.values()]
    if not any(_is_finite(ys) for _, ys in lines):
        return [[("no finite value", int(Ink.AXIS))]]
    x_scale = _x_scale([xs for xs, _ in lines])
    y_scale = scale_of([ys for _, ys in lines], margin=0.04)
    y_ticks = [(place, text.rjust(LABEL_WIDTH)) for place, text in y_scale.ticks(max(2, (height - 2) // 3))]
    columns, rows = width - 1 - max([LABEL_WIDTH, *(len(text) for _, text in y_ticks)]), height - 2
    if columns < 2:
        return []

    def pieces(line: Piece) -> list[Piece]:
        return [(xs, y_scale.place(ys)) for xs, ys in decimate(x_scale.place(line[0]), line[1], _ACROSS * columns)]

    def column(place: float) -> float:
        return float(_cell(place, columns, _ACROSS)) / (columns - 1)

    def row(place: float) -> float:
        return float(_cell(place, rows, _UPWARDS)) / max(1, rows - 1)

    with _lock:
        figure = _figure(width, height)
        if plot.chosen is not None and x_scale.low <= plot.chosen <= x_scale.high:
            figure.vline(column((plot.chosen - x_scale.low) / (x_scale.high - x_scale.low)), int(Ink.CHOSEN))
        if len(sites) > MOST_LINES:
            _fill(figure, [(x_scale.place(xs), ys) for xs, ys in sites.values()], y_scale, columns)
            drawn = {}
        else:
            drawn = {number: pieces(line) for number, line in sites.items()}
        for number, line in drawn.items():
            _line(figure, line, Ink.SITE + number)
        marked: list[tuple[str, int, list[Piece]]] = []
        if overall is not None:
            _line(figure, found := pieces(overall), Ink.GLOBAL)
            if sum(len(xs) for xs, _ in found) <= max(1, columns // 4):
                marked.append((GLOBAL_MARK, int(Ink.GLOBAL), found))
        for order, (number, line) in enumerate(drawn.items()):
            chosen = _spread(line, columns, (order + 0.5) / len(drawn))
            marked.append((MARKS[number % len(MARKS)], Ink.SITE + number, chosen))
        _mark(figure, marked, columns, rows)
        figure.yticks([row(place) for place, _ in y_ticks], [text for _, text in y_ticks])
        x_ticks = x_scale.ticks(max(1, columns // 10), whole=True)
        figure.xticks([column(place) for place, _ in x_ticks], [text for _, text in x_ticks])
        return _rows(figure.build())[:height]


def _cell(places: Any, cells: int, dots: int) -> Any:
    """The number of the cell that holds the braille dot for a place."""
    import numpy as np  # see above

    return np.floor(0.5 + (dots * cells - 1) * places) // dots


def _mark(figure: Any, marked: list[tuple[str, int, list[Piece]]], columns: int, rows: int) -> None:
    """Put the marks of lines into the cells that hold their points."""
    cells = [[(_cell(xs, columns, _ACROSS), _cell(ys, rows, _UPWARDS)) for xs, ys in line] for _, _, line in marked]
    for (mark, ink, _), given in zip(marked, _shared(cells), strict=True):
        xs, ys = [x / (columns - 1) for x, _ in given], [y / max(1, rows - 1) for _, y in given]
        figure.scatter(xs, ys, marker=mark, color=ink)


def _shared(marks: list[list[Piece]]) -> list[list[tuple[float, float]]]:
    """The cells that each line marks; one that several want goes to each of them in turn, so that none is hidden."""
    wanted: dict[tuple[float, float], list[int]] = {}
    for line, pieces in enumerate(marks):
        for cell in {cell for xs, ys in pieces for cell in zip(xs.tolist(), ys.tolist(), strict=True)}:
            wanted.setdefault(cell, []).append(line)
    given: list[list[tuple[float, float]]] = [[] for _ in marks]
    for turn, cell in enumerate(sorted(wanted)):
        lines = wanted[cell]
        given[lines[turn % len(lines)]].append(cell)
    return given


def _floats(values: Values) -> Piece:
    import numpy as np  # see above

    return np.frombuffer(values[0], dtype=np.float64), np.frombuffer(values[1], dtype=np.float64)


def _is_finite(ys: Floats) -> bool:
    import numpy as np  # see above

    return bool(np.isfinite(ys).any())


def _x_scale(lines: Sequence[Floats]) -> AxisScale:
    """All rounds or steps; one alone stands in the middle."""
    first = next(float(line[0]) for line in lines if line.size)
    alone = all((line == first).all() for line in lines)
    return AxisScale(first - 0.5, first + 0.5) if alone else scale_of(lines)


def _figure(width: int, height: int) -> Any:
    """An empty figure whose axes go from 0 to 1."""
    import plotext

    plotext.clear_figure()
    plotext.limit_size(False, False)  # the terminal's size is not asked for
    plotext.plot_size(width, height)
    plotext.canvas_color("default")
    plotext.axes_color("default")
    plotext.ticks_color(int(Ink.AXIS))
    plotext.frame(False)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(0, 1)
    plotext.ylim(0, 1)
    return plotext


def _line(figure: Any, pieces: list[Piece], ink: int) -> None:
    for xs, ys in pieces:
        figure.plot(xs.tolist(), ys.tolist(), marker="braille", color=int(ink))


def _spread(pieces: list[Piece], columns: int, shift: float) -> list[Piece]:
    """Some points of a line, far from one another, and not where those of other lines are."""
    import numpy as np  # see above

    if not pieces:
        return []
    xs, ys = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    if len(xs) > max(1, columns // 4):
        wanted = (np.arange(4) + shift) / 4
        chosen = np.unique(np.minimum(np.searchsorted(xs, xs[0] + wanted * (xs[-1] - xs[0])), len(xs) - 1))
        xs, ys = xs[chosen], ys[chosen]
    return [(xs, ys)]


def _fill(figure: Any, lines: list[Piece], y_scale: AxisScale, columns: int) -> None:
    """The band between the lowest and the highest value: both edges, and a stripe in every cell between them.

    All in one line: dots of different lines do not share a cell.
    """
    import numpy as np  # see above

    xs, low, high = band(lines, _ACROSS * columns)
    if not xs.size:
        return
    low, high = y_scale.place(low), y_scale.place(high)
    cells = np.arange(np.ceil(xs[0] * columns), np.floor(xs[-1] * columns) + 1) / columns
    stripes = np.column_stack([np.interp(cells, xs, high), np.interp(cells, xs, low)])
    stripes[1::2] = stripes[1::2, ::-1]  # down one, up the next, then back along the low edge and forth along the high
    way = np.concatenate([cells.repeat(2), xs[::-1], xs]), np.concatenate([stripes.ravel(), low[::-1], high])
    _line(figure, [way], Ink.BAND)


def _rows(text: str) -> list[Row]:
    rows: list[Row] = []
    for line in text.splitlines():
        row: Row = []
        ink = 0
        for code, stretch in _TOKEN.findall(line):
            if code:
                ink = int(code)
            else:
                row.append((stretch, ink))
        rows.append(row)
    return rows
