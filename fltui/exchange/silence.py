"""For how long a site may be silent: judged by what changes in its status, by the clock of whoever looks."""

from __future__ import annotations

SILENCE = 30.0
"""Seconds without any change of its status after which a site is lost."""

LONGEST_SILENCE = 300.0
"""The most, where a site's status comes seldom: twice as long as it took the last times, then."""

_GAPS = 2
"""How many times that is: one pause is no pace."""


def with_gap(gaps: tuple[float, ...], gap: float) -> tuple[float, ...]:
    """The seconds between the last changes, after one more."""
    return (*gaps, gap)[-_GAPS:]


def patience(gaps: tuple[float, ...], least: float = SILENCE) -> float:
    """Seconds without a change after which a site is lost.

    Args:
        gaps: seconds between its last changes, see `with_gap`.
        least: where they came in quick succession, or are not known.
    """
    return min(max(least, 2 * min(gaps)), LONGEST_SILENCE) if len(gaps) == _GAPS else least
