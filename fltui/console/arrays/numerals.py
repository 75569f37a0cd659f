"""Numbers of an array as text: all of one array in the same manner, so that columns line up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fltui.console.arrays.statistics import Statistics

if TYPE_CHECKING:  # NumPy is loaded when an array is first read, not with the console
    from numpy.typing import NDArray

_LONGEST = 9
"""Cells of a number: as many as ``-1.23e-05`` needs."""

_SHORTEST = 4
"""Cells that ``-Inf`` needs."""


@dataclass(frozen=True)
class Numerals:
    """How the numbers of one array are written.

    Attributes:
        width: cells of every number.
        decimals: digits after the point; 0 for whole numbers, -1 for powers of ten throughout.
        kind: of the dtype, ``b``, ``i``, ``u`` or ``f``.
    """

    width: int
    decimals: int
    kind: str

    @classmethod
    def of(cls, dtype: str, sample: Statistics) -> Numerals:
        """For an array of which `sample` are the statistics of a part.

        Args:
            dtype: NumPy dtype string.
            sample: what is known of its range; what does not fit later is written as a power of ten.
        """
        kind = dtype[1]
        if kind == "b":
            return cls(5, 0, kind)
        low, high = (sample.minimum, sample.maximum) if sample.count else (0.0, 0.0)
        peak, sign = max(abs(low), abs(high)), int(low < 0)
        if kind in "iu":
            return cls(max(_SHORTEST, min(_LONGEST, len(f"{peak:.0f}") + sign)), 0, kind)
        if not peak:
            return cls(5, 3, kind)
        if not 1e-3 <= peak < 1e6:
            return cls(_LONGEST, -1, kind)
        power = math.floor(math.log10(peak))
        decimals = 3 - power if power < 0 else max(1, 3 - max(0, power - 1))
        return cls(max(_SHORTEST + 1, max(1, power + 1) + 1 + decimals + sign), decimals, kind)

    def text(self, value: float) -> str:
        """The text of one number, of `width` cells at most."""
        if self.kind == "b":
            return "True" if value else "False"
        if isinstance(value, int):
            text = str(value)
            return text if len(text) <= self.width else _power(float(value), self.width)
        if value != value:
            return "NaN"
        if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
        if self.decimals < 0:
            return _power(value, self.width) if value else "0"
        text = f"{value + 0.0:.{self.decimals}f}"  # the negative zero is written without its sign
        if len(text) > self.width or (value and abs(value) < 5 * 10.0**-self.decimals):
            return _power(value, self.width)
        return text


def _power(value: float, width: int) -> str:
    """With as many digits as fit, at most three: ``1.23e-05``."""
    text = ""
    for digits in (2, 1, 0):
        mantissa, _, power = f"{value:.{digits}e}".partition("e")
        text = f"{mantissa}e{int(power)}" if len(f"{mantissa}e{power}") > width else f"{mantissa}e{power}"
        if len(text) <= width:
            break
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"


def number_text(value: float, *, whole: bool = False) -> str:
    """A number on its own, to four digits or more: ``2.000``, ``10.000``, ``1.234e-05``, ``NaN``, ``+Inf``.

    Args:
        value: the number.
        whole: it is a whole number: ``2``.
    """
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if whole and abs(value) < 1e12:
        return f"{value:.0f}"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:.{3 if not value or abs(value) >= 1 else 3 - math.floor(math.log10(abs(value)))}f}"


def exact_text(found: NDArray[Any]) -> str:
    """The first element as short as its dtype can be read back: ``0.1`` for a float32 of 0.1."""
    value = found.reshape(-1)[0]
    text = str(value)
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(text, text)
