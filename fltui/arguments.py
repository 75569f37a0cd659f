"""Arguments of the parts of a job: checked, and made plain numbers, whatever kind of number they were."""

from __future__ import annotations

import math
from numbers import Integral, Real

from fltui.errors import BadInputError


def check_whole(
    part: object, name: str, least: int, most: int | None = None, *, optional: bool = False, expected: str = ""
) -> None:
    """Make sure that an argument of a frozen dataclass is a whole number within bounds, and let it be an `int`.

    Args:
        part: the dataclass.
        name: of its argument.
        least, most: the bounds.
        optional: it may be None.
        expected: what to say that it has to be, where the bounds do not tell.

    Raises:
        BadInputError: it is not.
    """
    value = getattr(part, name)
    if optional and value is None:
        return
    found = plain(value)
    if not isinstance(found, int) or found < least or (most is not None and found > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise wrong(part, name, expected or f"a whole number {bounds}")
    object.__setattr__(part, name, found)


def check_number(
    part: object,
    name: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    optional: bool = False,
    expected: str = "",
) -> None:
    """Make sure that an argument of a frozen dataclass is a finite number within bounds, and let it be a plain one.

    Args:
        part: the dataclass.
        name: of its argument.
        least, above, most, below: the bounds.
        optional: it may be None.
        expected: what to say that it has to be, where the bounds do not tell.

    Raises:
        BadInputError: it is not.
    """
    value = getattr(part, name)
    if optional and value is None:
        return
    found = plain(value)
    if found is None or not (least <= found <= most and above < found < below):
        raise wrong(part, name, expected or f"a number {_bounds(least, above, most, below)}".rstrip())
    object.__setattr__(part, name, found)


def _bounds(least: float, above: float, most: float, below: float) -> str:
    end = f"below {below:g}" if below < math.inf else f"{most:g}" if most < math.inf else ""
    if least > -math.inf:
        return f"from {least:g} to {end}" if end else f"of at least {least:g}"
    if above > -math.inf and end:
        return f"above {above:g} and {'' if below < math.inf else 'at most '}{end}"
    return f"above {above:g}" if above > -math.inf else end and f"{'' if below < math.inf else 'of at most '}{end}"


def plain(value: object) -> float | int | None:
    """A finite number as Python's own; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number that is no float
        return None
    return None if not finite else int(value) if isinstance(value, Integral) else float(value)


def wrong(part: object, name: str, expected: str) -> BadInputError:
    """The error of an argument that makes no sense."""
    return BadInputError(f"{type(part).__name__}: {name} is {getattr(part, name)!r:.200}, expected {expected}")
