"""Long lines made as short as the place where they are drawn, with nothing lost that could be seen there.

A line is cut into as many columns as can be told apart; of each only the lowest and the highest value stay, so that a
spike of one value among a million is still drawn. It takes time linear in the values, and drawing the rest takes time
linear in the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # NumPy is loaded when a plot is first drawn, not with the console
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def decimate(xs: Floats, ys: Floats, columns: int) -> list[tuple[Floats, Floats]]:
    """The pieces of a line, of two points a column at most.

    Args:
        xs: places from 0 to 1, in any order.
        ys: values; where one is not finite the line has a gap, if that can be seen.
        columns: how many places can be told apart.

    Returns:
        Places and values of pieces without gaps, from left to right.
    """
    import numpy as np  # see above

    xs, ys = _sorted(xs, ys)
    finite = np.isfinite(ys)
    if len(xs) > 2 * columns:
        starts = _starts(xs, columns)
        lowest = _first(np.where(finite, ys, np.inf), np.minimum, starts)
        highest = _first(np.where(finite, ys, -np.inf), np.maximum, starts)
        kept = np.unique(np.concatenate([lowest, highest]))
        xs, ys, finite = xs[kept], ys[kept], finite[kept]
    edges = np.flatnonzero(np.diff(finite.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return [(xs[start:end], ys[start:end]) for start, end in edges]


def band(lines: Sequence[tuple[Floats, Floats]], columns: int) -> tuple[Floats, Floats, Floats]:
    """The lowest and the highest value of many lines in every column that has any.

    Args:
        lines: places from 0 to 1, and values; those that are not finite do not count.
        columns: how many places can be told apart.

    Returns:
        Places in rising order, lowest values, highest values.
    """
    import numpy as np  # see above

    xs, ys = (np.concatenate(parts) for parts in zip(*lines, strict=True))
    finite = np.isfinite(ys)
    xs, ys = xs[finite], ys[finite]
    column = _columns(xs, columns)
    first, low, high = (np.full(columns, value) for value in (np.inf, np.inf, -np.inf))
    np.minimum.at(first, column, xs)
    np.minimum.at(low, column, ys)
    np.maximum.at(high, column, ys)
    filled = np.isfinite(first)
    return first[filled], low[filled], high[filled]


def _columns(xs: Floats, columns: int) -> NDArray[np.int64]:
    import numpy as np  # see above

    return np.minimum((xs * columns).astype(np.int64), columns - 1)


def _sorted(xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
    import numpy as np  # see above

    if np.all(xs[1:] >= xs[:-1]):
        return xs, ys
    order = np.argsort(xs, kind="stable")
    return xs[order], ys[order]


def _starts(xs: Floats, columns: int) -> NDArray[np.intp]:
    """Where in rising `xs` a new column begins."""
    import numpy as np  # see above

    return np.flatnonzero(np.diff(_columns(xs, columns), prepend=-1))


def _first(ys: Floats, extreme: np.ufunc, starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where in each column its lowest or highest value stands first."""
    import numpy as np  # see above

    column = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(ys)))
    hits = np.flatnonzero(ys == extreme.reduceat(ys, starts)[column])
    return hits[np.flatnonzero(np.diff(column[hits], prepend=-1))]
