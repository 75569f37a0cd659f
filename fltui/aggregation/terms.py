"""What is aggregated: one parameter of each site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import Source

Row = NDArray[np.float64]
"""Elements of a block, one-dimensional."""


@dataclass(frozen=True)
class Term:
    """One array with its weight.

    Attributes:
        source: the elements.
        weight: finite and not negative.
        is_difference: the elements are to be added to the base's.
    """

    source: Source
    weight: float
    is_difference: bool = False


def are_differences(terms: Sequence[Term]) -> bool:
    """Whether all are differences, so that they can be aggregated as such and added to the base once."""
    return all(term.is_difference for term in terms)
