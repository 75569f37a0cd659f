"""The range of an axis and the round values that are written along it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # NumPy is loaded when a plot is first drawn, not with the console
    import numpy as np
    from numpy.typing import NDArray

_LIMIT = 1.7e308
_STEPS = (1.0, 2.0, 2.5, 5.0)


@dataclass(frozen=True)
class AxisScale:
    """A range of values as the places 0 to 1. Everything is computed in halves: the largest floats do not overflow.

    Attributes:
        low: the value at 0.
        high: the value at 1, above `low`.
    """

    low: float
    high: float

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where `values` lie."""
        placed: NDArray[np.float64] = (values / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return placed

    def ticks(self, most: int, *, whole: bool = False) -> list[tuple[float, str]]:
        """Round values in the range, as many as there is room for, each with its place and its text.

        Args:
            most: how many there is room for.
            whole: only whole numbers.
        """
        half = self.high / 2 - self.low / 2
        if most < 1 or half > _LIMIT / 4:
            return [(0.0, f"{self.low:.2g}"), (1.0, f"{self.high:.2g}")][: max(0, most)]
        for step in _steps(half * 2 / most):
            if whole and step % 1:
                continue
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first < most:
                values = [number * step for number in range(first, last + 1)]
                return [((value / 2 - self.low / 2) / half, _text(value, step)) for value in values]
        return []


def scale_of(lines: Sequence[NDArray[np.float64]], margin: float = 0.0) -> AxisScale:
    """A range that holds all finite values.

    Args:
        lines: the values.
        margin: part of the range to be added at either end. One value alone is put in the middle of a range around it;
            without any the range is 0 to 1.
    """
    import numpy as np  # see above

    low, high = math.inf, -math.inf
    for line in lines:
        finite = line[np.isfinite(line)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        return AxisScale(0.0, 1.0)
    largest = max(abs(low), abs(high))
    half = high / 2 - low / 2
    if half <= largest * 1e-12 or half < 1e-290:
        room = largest / 10 if largest > 1e-280 else 1.0
    else:
        room = min(half * 2 * margin, _LIMIT)
    return AxisScale(max(low - room, -_LIMIT), min(high + room, _LIMIT))


def _steps(least: float) -> Iterable[float]:
    """1, 2, 2.5, 5, 10, ... in the decades around `least`."""
    power = max(-300, math.floor(math.log10(least)) - 1) if least > 0 else -300
    for exponent in range(power, power + 4):
        for factor in _STEPS:
            yield float(f"{factor}e{exponent}")


def _text(value: float, step: float) -> str:
    """A multiple of `step` with as many digits as tell it from the next."""
    power = math.floor(math.log10(step) + 1e-9)
    part = step / 10.0**power % 1 > 1e-6  # 2.5 has a digit more
    if max(abs(value), step) >= 1e6 or step < 1e-4:
        digits = math.floor(math.log10(max(abs(value), step))) - power + 1 + part
        mantissa, _, exponent = f"{value:.{max(0, min(6, digits) - 1)}e}".partition("e")
        return f"{mantissa}e{int(exponent)}" if value else "0"
    return f"{value + 0.0:.{max(0, -power + part)}f}"
