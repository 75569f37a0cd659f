"""The floor of large models does the work that it is to be the floor of."""

from __future__ import annotations

from pathlib import Path

import blake3
import numpy as np
import pytest

from benchmarks.bytes_floor import BLOCK, answer, average, write_first

_ELEMENTS = 2 * BLOCK + 17


def _digest(path: Path) -> str:
    return blake3.blake3(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("elements", [1, BLOCK, _ELEMENTS])
def test_a_site_adds_one_and_digests_both(tmp_path: Path, elements: int) -> None:
    model, result = tmp_path / "model", tmp_path / "site-0"
    write_first(model, elements)
    said = answer(model, result)
    assert said == f"{_digest(model)} {_digest(result)}"
    before, after = np.fromfile(model, np.float32), np.fromfile(result, np.float32)
    assert before.size == elements
    assert np.array_equal(after, before + 1)


def test_the_server_averages_and_digests_all(tmp_path: Path) -> None:
    arrays = [np.random.default_rng(seed).random(_ELEMENTS, np.float32) for seed in range(3)]
    results = [tmp_path / f"site-{number}" for number in range(3)]
    for path, array in zip(results, arrays, strict=True):
        array.tofile(path)
    model = tmp_path / "model"
    assert average(results, model) == [_digest(path) for path in (*results, model)]
    expected = np.mean(arrays, axis=0, dtype=np.float64).astype(np.float32)
    assert np.array_equal(np.fromfile(model, np.float32), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(tmp_path: Path, bad: float) -> None:
    array = np.ones(_ELEMENTS, np.float32)
    array[-1] = bad
    array.tofile(tmp_path / "site-0")
    with pytest.raises(ValueError, match="site-0 is not finite"):
        average([tmp_path / "site-0"], tmp_path / "model")


@pytest.mark.parametrize("second", [1, _ELEMENTS - 1, _ELEMENTS + BLOCK])
def test_results_of_different_sizes_are_refused(tmp_path: Path, second: int) -> None:
    for name, size in (("site-0", _ELEMENTS), ("site-1", second)):
        np.ones(size, np.float32).tofile(tmp_path / name)
    with pytest.raises(ValueError, match="the results of the floor end differently"):
        average([tmp_path / "site-0", tmp_path / "site-1"], tmp_path / "model")
