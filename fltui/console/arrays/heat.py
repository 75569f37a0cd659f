"""Colours and glyphs of numbers: a scale from low to high, or from negative over 0 to positive.

Both scales can be told apart by people who do not see red or green. Without colours a ramp of glyphs takes their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style

if TYPE_CHECKING:  # NumPy is loaded when an array is first read, not with the console
    import numpy as np
    from numpy.typing import NDArray

LEVELS = 63
"""Colours of a scale; the one in the middle stands for 0 where the scale has two sides."""

GLYPHS = " .:-=+*#%@"

# Points of viridis (https://bids.github.io/colormap/), and a blue and an orange of equal weight.
_LOW_TO_HIGH = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")
_TWO_SIDES = {
    True: ("8ecbff", "4a9be8", "2f6296", "23374d", "26272b", "4d3420", "96591c", "e38a1f", "ffc878"),
    False: ("0b4f94", "3b82c4", "8db8de", "cfdfec", "f4f3f0", "f4dcc3", "e9b37c", "cf7f22", "8f4c00"),
}


@dataclass(frozen=True)
class ColourScale:
    """Which number gets which level.

    Attributes:
        low, high: the numbers of the first and the last level; finite.
        signed: the scale has two sides of equal length and 0 in the middle.
    """

    low: float
    high: float
    signed: bool = False

    @classmethod
    def over(cls, low: float, high: float, *, signed: bool) -> ColourScale:
        """A scale that holds all numbers from `low` to `high`; NaN stands for none."""
        if low != low or high != high:
            return cls(0.0, 0.0, signed)
        if not signed:
            return cls(low, high)
        most = max(abs(low), abs(high))
        return cls(-most, most, signed=True)

    def levels(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """The level of every number, 0 to `LEVELS` - 1; of NaN the one in the middle."""
        import numpy as np  # see above

        middle = LEVELS // 2
        half = self.high / 2 - self.low / 2  # in halves: the largest floats do not overflow
        if not half > 0:
            return np.full(values.shape, middle, np.intp)
        with np.errstate(invalid="ignore", over="ignore"):
            places = (values / 2 - self.low / 2) / half * (LEVELS - 1)
        places = np.nan_to_num(places, nan=middle, posinf=LEVELS - 1, neginf=0)
        found = np.rint(np.clip(places, 0, LEVELS - 1)).astype(np.intp)
        if self.signed:  # what is not 0 is never shown as 0
            found[(found == middle) & (values > 0)] = middle + 1
            found[(found == middle) & (values < 0)] = middle - 1
        return found


@cache
def styles(*, signed: bool, dark: bool) -> tuple[Style, ...]:
    """A style per level: the colour behind, and a text colour that can be read on it."""
    points = [ColorTriplet(*bytes.fromhex(point)) for point in (_TWO_SIDES[dark] if signed else _LOW_TO_HIGH)]
    return tuple(_style(_between(points, level / (LEVELS - 1))) for level in range(LEVELS))


@cache
def glyphs(*, signed: bool) -> tuple[str, ...]:
    """A sign and a glyph per level for terminals without colours; no sign on a scale of one side."""
    if not signed:
        return tuple(GLYPHS[level * len(GLYPHS) // LEVELS] * 2 for level in range(LEVELS))
    middle = LEVELS // 2
    found = []
    for level in range(LEVELS):
        away = abs(level - middle)
        glyph = GLYPHS[away * (len(GLYPHS) - 1) // middle]
        found.append(f"{'-' if level < middle else '+' if level > middle else ' '}{glyph}")
    return tuple(found)


def _between(points: list[ColorTriplet], place: float) -> ColorTriplet:
    at = place * (len(points) - 1)
    left = min(int(at), len(points) - 2)
    part = at - left
    return ColorTriplet(
        *(round(a + (b - a) * part) for a, b in zip(points[left], points[left + 1], strict=True)),
    )


def _style(colour: ColorTriplet) -> Style:
    light = 0.299 * colour.red + 0.587 * colour.green + 0.114 * colour.blue
    text = ColorTriplet(16, 16, 20) if light > 125 else ColorTriplet(240, 240, 240)
    return Style(color=Color.from_triplet(text), bgcolor=Color.from_triplet(colour))
