"""How elements are spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fltui.exchange.npy import NpyReader, write_array
from fltui.tracking import histogram as module
from fltui.tracking.histogram import BINS, histogram


def rows(folder: Path, array: NDArray[np.generic]) -> NDArray[np.float64]:
    entry = write_array(folder / "a.npy", "a", array, file="a.npy", durable=False)
    with NpyReader(folder / "a.npy", entry.dtype, entry.shape) as reader:
        return histogram(reader)


def test_it_is_that_of_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 77)
    array = np.random.default_rng(1).normal(size=1000)
    counts, edges = np.histogram(array, BINS)
    found = rows(tmp_path, array)
    assert np.abs(found[:, 2] - counts).sum() <= 2, "an element at an edge may fall beside it"
    assert np.allclose(found[:, 0], edges[:-1])
    assert found[-1, 1] == array.max()


@pytest.mark.parametrize("dtype", ["|b1", "|u1", "<i8", "<f2", "<f4", "<f8"])
def test_every_element_is_counted_once(tmp_path: Path, dtype: str) -> None:
    assert rows(tmp_path, np.arange(100).astype(dtype).reshape(4, 25))[:, 2].sum() == 100


def test_one_value_alone_and_none_at_all(tmp_path: Path) -> None:
    assert rows(tmp_path, np.full(5, 2.0)).tolist() == [[1.5, 2.5, 5.0]]
    assert rows(tmp_path, np.empty(0)).shape == (0, 3)
    assert rows(tmp_path, np.full(3, np.nan)).shape == (0, 3)


def test_what_is_not_finite_is_left_out_and_the_widest_range_holds(tmp_path: Path) -> None:
    found = rows(tmp_path, np.array([np.nan, np.inf, -1.7e308, 1.7e308, 0.0]))
    assert found[:, 2].sum() == 3
    assert np.isfinite(found).all()
