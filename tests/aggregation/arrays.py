"""Arrays as terms, and where what becomes of them goes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.terms import Term

Array = NDArray[Any]


class ListSink:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.blocks: list[Array] = []

    def write(self, block: Array) -> None:
        self.blocks.append(block.copy())

    def array(self) -> Array:
        return np.concatenate(self.blocks)


def full(array: Array, weight: float = 1.0) -> Term:
    return Term(ArraySource(array), weight)


def diff(array: Array, weight: float = 1.0) -> Term:
    return Term(ArraySource(array), weight, is_difference=True)
