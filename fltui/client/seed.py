"""The seed of what one site draws in one round, made from the seed of the run."""

from __future__ import annotations

import blake3


def seed_of(run_seed: int, site: str, number: int) -> int:
    """The first 63 bits of a BLAKE3 digest.

    Args:
        run_seed: of the run.
        site: the name of the site.
        number: of the round.

    Returns:
        A whole number from 0 to 2**63 - 1; the same for good, so that later versions repeat a run.
    """
    text = f"fltui seed\n{run_seed}\n{site}\n{number}\n"
    return int.from_bytes(blake3.blake3(text.encode()).digest(8), "little") >> 1
