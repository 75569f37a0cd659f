"""What the elements of an array amount to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fltui.console.arrays.files import ArrayFile, Difference
from fltui.console.arrays.statistics import (
    BINS,
    CHUNK,
    Findings,
    Remembered,
    Statistics,
    Watch,
    find_out,
    histogram_of,
    sample_of,
    statistics_of,
)


def opened(folder: Path, array: NDArray[Any], name: str = "x.npy") -> ArrayFile:
    """The array, saved and opened."""
    np.save(folder / name, array)
    return ArrayFile.open(folder / name)


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int32, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_statistics_are_those_of_numpy(tmp_path: Path, array: NDArray[Any]) -> None:
    file = opened(tmp_path, array)
    found = statistics_of(file)
    assert found is not None
    values = array.astype(np.float64).ravel()
    finite = values[np.isfinite(values)]
    assert found.count == finite.size
    assert found.nan == np.isnan(values).sum()
    assert (found.above, found.below) == ((values == np.inf).sum(), (values == -np.inf).sum())
    if finite.size:
        assert (found.minimum, found.maximum) == (finite.min(), finite.max())
        assert found.minimum <= found.mean * (1 + 1e-12) or found.mean == pytest.approx(found.minimum)
    with np.errstate(all="ignore"):
        norm = np.linalg.norm(finite)
        if np.isfinite(norm) and (norm > 1e-150 or not finite.any()):
            assert found.norm == pytest.approx(norm, rel=1e-12)
    spread = histogram_of(file, found)
    assert spread is not None
    assert sum(spread.counts) == finite.size


def test_statistics_of_many_stretches_are_those_of_one(tmp_path: Path) -> None:
    array = np.random.default_rng(7).normal(3.0, 2.0, 3 * CHUNK + 17)
    array[[5, CHUNK, -1]] = np.nan, np.inf, -np.inf
    file = opened(tmp_path, array)
    found = statistics_of(file)
    assert found is not None
    finite = array[np.isfinite(array)]
    assert (found.minimum, found.maximum, found.count) == (finite.min(), finite.max(), finite.size)
    assert (found.nan, found.above, found.below) == (1, 1, 1)
    assert found.mean == pytest.approx(finite.mean(), rel=1e-12)
    assert found.norm == pytest.approx(np.linalg.norm(finite), rel=1e-12)
    spread = histogram_of(file, found)
    assert spread is not None
    np.testing.assert_array_equal(spread.counts, np.histogram(finite, BINS)[0])


def test_the_largest_and_smallest_numbers_do_not_overflow(tmp_path: Path) -> None:
    file = opened(tmp_path, np.array([1.7e308, -1.7e308, 1e308]))
    found = statistics_of(file)
    assert found is not None
    assert found.mean == pytest.approx(1e308 / 3)
    spread = histogram_of(file, found)
    assert spread is not None
    assert (sum(spread.counts), spread.counts[0], spread.counts[-1]) == (3, 1, 1)
    tiny = statistics_of(opened(tmp_path, np.full(4, 1e-200)))
    assert tiny is not None
    assert tiny.norm == pytest.approx(2e-200)
    subnormal = opened(tmp_path, np.array([0.0, 5e-324]))
    least = statistics_of(subnormal)
    assert least is not None
    assert histogram_of(subnormal, least) is not None


def test_small_whole_numbers_have_a_bin_each(tmp_path: Path) -> None:
    file = opened(tmp_path, np.array([[True, False], [True, True]]))
    found = statistics_of(file)
    assert found is not None
    spread = histogram_of(file, found)
    assert spread is not None
    assert (spread.low, spread.high, spread.counts, spread.whole) == (0, 1, (1, 3), True)
    file = opened(tmp_path, np.array([-2, 1, 1], np.int8))
    found = statistics_of(file)
    assert found is not None
    spread = histogram_of(file, found)
    assert spread is not None
    assert spread.counts == (1, 0, 0, 2)


def test_equal_numbers_have_one_bin(tmp_path: Path) -> None:
    file = opened(tmp_path, np.full((5, 5), 0.25))
    found = statistics_of(file)
    assert found is not None
    spread = histogram_of(file, found)
    assert spread is not None
    assert (spread.low, spread.high, spread.counts) == (0.25, 0.25, (25,))


def test_an_array_without_a_finite_number_has_no_range(tmp_path: Path) -> None:
    file = opened(tmp_path, np.array([np.nan, np.inf, np.inf]))
    found = statistics_of(file)
    assert found is not None
    assert math.isnan(found.minimum)
    assert (found.count, found.norm, found.nan, found.above) == (0, 0.0, 1, 2)
    spread = histogram_of(file, found)
    assert spread is not None
    assert spread.counts == ()


def test_a_difference_is_counted_as_an_array(tmp_path: Path) -> None:
    left = opened(tmp_path, np.full((3, 3), 3, np.int32), "a.npy")
    right = opened(tmp_path, np.full((3, 3), 2, np.int32), "b.npy")
    found = statistics_of(Difference(left, right))
    assert found == Statistics(9, 1.0, 1.0, 1.0, 3.0)


def test_counting_stops_when_it_is_cancelled(tmp_path: Path) -> None:
    file = opened(tmp_path, np.zeros(3 * CHUNK))
    told: list[float] = []
    watch = Watch(lambda: len(told) == 2, told.append)
    assert statistics_of(file, watch) is None
    assert told == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    known = Statistics(3 * CHUNK, 0.0, 0.0, 1.0)
    assert histogram_of(file, known, Watch(lambda: True)) is None


def test_a_sample_tells_the_range_of_ends_and_middle(tmp_path: Path) -> None:
    array = np.zeros(1_000_001)
    array[[0, 500_000, -1]] = 1.0, 5.0, -3.0
    found = sample_of(opened(tmp_path, array))
    assert (found.minimum, found.maximum) == (-3.0, 5.0)
    assert sample_of(opened(tmp_path, np.zeros((0, 3)))).count == 0


def test_what_was_counted_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    remembered = Remembered(most=2)
    file = opened(tmp_path, np.ones(3))
    found = find_out(file, None, Findings(), histogram=False)
    remembered.keep(file, None, found)
    assert remembered.of(ArrayFile.open(tmp_path / "x.npy")) is found
    assert remembered.of(file, Difference(file, file)) == Findings()
    (tmp_path / "x.npy").rename(tmp_path / "old.npy")
    assert remembered.of(opened(tmp_path, np.ones(4))) == Findings()
    for name in ("a.npy", "b.npy"):
        remembered.keep(opened(tmp_path, np.ones(2), name), None, found)
    assert len(remembered) == 2
    assert remembered.of(file) == Findings()


def test_what_changed_while_it_was_counted_is_not_remembered(tmp_path: Path) -> None:
    remembered = Remembered()
    file = opened(tmp_path, np.ones(3))
    with (tmp_path / "x.npy").open("ab") as appended:
        appended.write(b"more")
    remembered.keep(file, None, Findings(Statistics()))
    assert len(remembered) == 0


def test_only_what_is_not_known_is_counted(tmp_path: Path) -> None:
    left = opened(tmp_path, np.full(4, 3.0), "a.npy")
    base = Difference(left, opened(tmp_path, np.full(4, 1.0), "b.npy"))
    told: list[float] = []
    first = find_out(left, None, Findings(), histogram=False, watch=Watch(tell=told.append))
    assert (first.histogram, first.distance, len(told)) == (None, None, 1)
    second = find_out(left, base, first, histogram=True, watch=Watch(tell=told.append))
    assert second.statistics is first.statistics
    assert (second.distance, len(told)) == (4.0, 3)
    assert find_out(left, base, second, histogram=True, watch=Watch(tell=told.append)) == second
    assert len(told) == 3
