"""Who is asked in a round, where not all are."""

from __future__ import annotations

import random

from fltui.arguments import plain
from fltui.errors import BadInputError

SEEDS = 1 << 32
"""Rounds that a run may have until a draw of its could be one of another seed's."""


def checked_sampling(sampling: object, sites: int, where: str) -> float | int | None:
    """A part of the sites, above 0 up to 1, as `float`, or a number of them as `int`; None for all.

    Raises:
        BadInputError: it is neither.
    """
    found = plain(sampling)
    is_part = isinstance(found, float) and 0 < found <= 1
    is_number = isinstance(found, int) and 1 <= found <= sites
    if sampling is not None and not is_part and not is_number:
        raise BadInputError(
            f"{where}: sampling is {sampling!r}, expected a part of the sites such as 0.5, or a number of them from "
            f"1 to num_clients, which is {sites}"
        )
    return found


def sample_size(sampling: float | int | None, sites: int, most: int) -> int:
    """How many of so many sites are asked.

    Args:
        sampling: a part of them (float) or a number (int); None asks `most`.
        sites: how many there are.
        most: how many are asked without sampling.
    """
    if sampling is None:
        return min(sites, most)
    if isinstance(sampling, float):
        return max(1, round(sampling * min(sites, most)))
    return min(sites, sampling)


def draw(sites: tuple[str, ...], count: int, seed: int, number: int) -> tuple[str, ...]:
    """The sites that are asked in round `number`, by name: the same for the same seed."""
    if len(sites) <= count:
        return sites
    return tuple(sorted(random.Random(seed * SEEDS + number).sample(sites, count)))
