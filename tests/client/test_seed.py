"""The seeds that sites draw from."""

from __future__ import annotations

from itertools import product

from fltui.client.seed import seed_of


def test_every_site_draws_its_own_in_every_round_of_every_run() -> None:
    found = {seed_of(*one) for one in product((0, 7, 71, 1 << 53), ("a", "b", "1"), (0, 1, 11))}
    assert len(found) == 36
    assert all(0 <= seed < 2**63 for seed in found)


def test_a_seed_stays_for_good() -> None:
    assert seed_of(7, "a", 0) == 7933296249071177145
