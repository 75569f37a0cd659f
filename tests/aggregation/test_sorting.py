from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from fltui.aggregation.coordinates import Coordinates, median
from fltui.aggregation.sorting import sorted_rows
from tests.aggregation.arrays import full


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33, 63, 64, 65, 100])
def test_every_column_is_sorted(count: int, dtype: str) -> None:
    random = np.random.RandomState(count)
    rows = random.standard_normal((count, 40)).astype(dtype)
    rows[:, :10] = random.randint(-2, 3, (count, 10))  # equal ones, too
    expected = np.sort(rows, axis=0)
    found = sorted_rows(rows)
    assert {row.dtype for row in found} == {np.dtype(dtype)}
    np.testing.assert_array_equal(np.stack(found), expected)


@pytest.mark.parametrize("count", range(2, 15))
def test_all_zeros_and_ones_are_sorted_and_so_is_everything(count: int) -> None:
    """Knuth, "The Art of Computer Programming", volume 3, 5.3.4, theorem Z: it is enough for a network."""
    rows = (np.arange(2**count) >> np.arange(count)[:, None] & 1).astype(np.float32)
    expected = np.sort(rows, axis=0)
    np.testing.assert_array_equal(np.stack(sorted_rows(rows)), expected)


def test_of_zeros_none_keeps_its_sign() -> None:
    for signs in permutations([0.0, -0.0, -0.0, 0.0, -0.0]):
        out = np.empty(3)
        Coordinates([full(np.full(3, sign)) for sign in signs], median).block(0, np.zeros(3), out)
        assert out.tobytes() == np.zeros(3).tobytes()
