"""Which part of an array is shown: two of its axes, the others at a place of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fltui.console.safe import safe
from fltui.errors import BadInputError

Index = tuple[int | None, ...]
"""A slice: a number per fixed axis, None per free one, which are the rows and the columns."""

PER_ROW = 10
"""Elements of a rank 1 array that stand in one row."""


@dataclass(frozen=True)
class Plane:
    """How the elements of a slice lie in rows and columns.

    Attributes:
        index: the slice.
        rows, columns: how many there are.
        start: place of the first element among all that are stored.
        row_step, column_step: elements from one row, one column to the next.
        count: elements of the slice; the last row of a rank 1 array may be shorter than the others.
    """

    index: Index
    rows: int
    columns: int
    start: int
    row_step: int
    column_step: int
    count: int

    def columns_in(self, row: int) -> int:
        """How many columns a row has."""
        return min(self.columns, self.count - row * self.columns)

    def label(self, row: int) -> int:
        """What is written before a row: the index of its first element."""
        return row * PER_ROW if len(self.index) == 1 else row

    def element(self, row: int, column: int) -> tuple[int, ...]:
        """The index in the whole array."""
        if len(self.index) == 1:
            return (row * PER_ROW + column,)
        places = iter((row, column))
        return tuple(next(places) if at is None else at for at in self.index)


def first_slice(shape: Sequence[int]) -> Index:
    """The last two axes, all others at 0."""
    return (*(0 for _ in shape[:-2]), *(None for _ in shape[-2:]))


def fits(index: Index, shape: Sequence[int]) -> bool:
    """Whether `index` is a slice of an array of this shape."""
    return (
        len(index) == len(shape)
        and index.count(None) == min(2, len(shape))
        and all(at is None or 0 <= at < axis for at, axis in zip(index, shape, strict=True))
    )


def plane_of(shape: Sequence[int], index: Index, *, fortran: bool = False) -> Plane:
    """The rows and columns of a slice; none of an array without elements.

    Raises:
        BadInputError: it is not a slice of this shape.
    """
    if not math.prod(shape):
        return Plane(index, 0, 0, 0, 0, 0, 0)
    if not fits(index, shape):
        raise BadInputError(f"{slice_text(index)} is not a slice of an array of shape {tuple(shape)}")
    if not shape:
        return Plane(index, 1, 1, 0, 1, 1, 1)
    if len(shape) == 1:
        return Plane(index, -(-shape[0] // PER_ROW), min(PER_ROW, shape[0]), 0, PER_ROW, 1, shape[0])
    steps = [math.prod(shape[:axis] if fortran else shape[axis + 1 :]) for axis in range(len(shape))]
    start = sum(step * at for step, at in zip(steps, index, strict=True) if at is not None)
    row, column = (axis for axis, at in enumerate(index) if at is None)
    rows, columns = shape[row], shape[column]
    return Plane(index, rows, columns, start, steps[row], steps[column], rows * columns)


def slice_text(index: Index) -> str:
    """``[3, 0, :, :]``."""
    return f"[{', '.join(':' if at is None else str(at) for at in index)}]"


def parse_slice(text: str, shape: Sequence[int]) -> Index:
    """Read what `slice_text` writes; the brackets may be missing, negative numbers count from the end.

    Raises:
        BadInputError: the text is not a slice of an array of this shape; the sentence says why.
    """
    inner = text.strip().removeprefix("[").removesuffix("]").strip().removesuffix(",")
    parts = [part.strip() for part in inner.split(",")] if inner else []
    free = min(2, len(shape))
    if len(parts) != len(shape):
        raise BadInputError(f"the array has {len(shape)} axes, such as {slice_text(first_slice(shape))}")
    if parts.count(":") != free:
        raise BadInputError(f"{free} axes are shown and stand as ':', such as {slice_text(first_slice(shape))}")
    return tuple(None if part == ":" else _place(part, axis, shape[axis]) for axis, part in enumerate(parts))


def _place(part: str, axis: int, length: int) -> int:
    digits = part.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise BadInputError(f"{safe(part, 20)!r} is neither a whole number nor ':'")
    at = int(part)
    if not -length <= at < length:
        raise BadInputError(f"axis {axis} has {length} places, 0 to {length - 1}: there is no {part}")
    return at % length


def next_slice(index: Index, shape: Sequence[int], step: int) -> Index:
    """The slice after or before: the last fixed axis moves on, at its end the one before it; around at both ends."""
    fixed = [axis for axis, at in enumerate(index) if at is not None]
    lengths = [shape[axis] for axis in fixed]
    total = math.prod(lengths)
    if not fixed or not total:
        return index
    number = 0
    for axis, length in zip(fixed, lengths, strict=True):
        number = number * length + (index[axis] or 0)
    number = (number + step) % total
    moved = list(index)
    for axis, length in zip(reversed(fixed), reversed(lengths), strict=True):
        number, moved[axis] = divmod(number, length)
    return tuple(moved)
