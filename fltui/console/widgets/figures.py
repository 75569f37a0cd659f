"""What is written below an array: its statistics, and the scale of its colours."""

from __future__ import annotations

from rich.style import Style

from fltui.console.arrays.heat import LEVELS, ColourScale, glyphs, styles
from fltui.console.arrays.numerals import number_text
from fltui.console.arrays.statistics import Findings
from fltui.console.widgets.parts import Part, value

_LEGEND = 12
"""Cells of the scale of colours."""


def statistics_parts(known: Findings, *, signed: bool, whole: bool) -> list[Part]:
    """``min 2.000  mean 6.000  max 10.000  ‖x‖ 19.596  ‖Δ‖ 3.000  NaN 0  Inf 0``; nothing without statistics.

    Args:
        known: of the array.
        signed: it is a difference, whose norm is ``‖Δ‖``.
        whole: its numbers are whole.
    """
    found = known.statistics
    if found is None:
        return []
    low, mean, high = "-", "-", "-"
    if found.count:
        low, high = number_text(found.minimum, whole=whole), number_text(found.maximum, whole=whole)
        mean = number_text(found.mean)
    parts = [value("min", low), value("mean", mean, rank=2), value("max", high)]
    if not signed:
        parts.append(value("‖x‖", number_text(found.norm), rank=4))
    distance = found.norm if signed else known.distance
    if distance is not None:
        parts.append(value("‖Δ‖", number_text(distance), rank=3))
    return [*parts, _odd("NaN", found.nan), _odd("Inf", found.above + found.below)]


def _odd(label: str, count: int) -> Part:
    """How many there are, which nobody must miss."""
    return value(label, f"{count:,}", "error" if count else "value", rank=0 if count else 1)


def legend(scale: ColourScale, *, plain: bool, dark: bool, whole: bool) -> Part:
    """The colours of a scale between the numbers at its ends; glyphs if it is `plain`."""
    levels = [round(place * (LEVELS - 1) / (_LEGEND - 1)) for place in range(_LEGEND)]
    ramp: list[tuple[str, str | Style]] = [
        ("".join(glyphs(signed=scale.signed)[level][1] for level in levels), "value")
    ]
    if not plain:
        palette = styles(signed=scale.signed, dark=dark)
        ramp = [(" ", palette[level]) for level in levels]
    low, high = (number_text(end, whole=whole) for end in (scale.low, scale.high))
    return Part(((f"{low} ", "label"), *ramp, (f" {high}", "label")), rank=1, right=True)
