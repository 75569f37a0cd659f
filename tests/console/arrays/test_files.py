"""Arrays read from files, a window at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fltui.console.arrays.files import ArrayFile, Difference, dtype_text, shape_text
from fltui.console.arrays.slices import PER_ROW, Index, first_slice
from fltui.errors import NotYetError, RefusedError
from fltui.exchange.npy import DTYPES, header

ALL_ROWS = range(1 << 40)


def saved(folder: Path, array: NDArray[Any], name: str = "x.npy") -> Path:
    """The array as a file."""
    path = folder / name
    np.save(path, array)
    return path


def wrapped(array: NDArray[Any]) -> NDArray[Any]:
    """A rank 1 array in rows of ten, filled up with zeros."""
    rows = -(-len(array) // PER_ROW)
    full = np.zeros(rows * PER_ROW, array.dtype)
    full[: len(array)] = array
    return full.reshape(rows, PER_ROW)[:, : min(PER_ROW, len(array))]


def expected(array: NDArray[Any], index: Index) -> NDArray[Any]:
    """The whole plane, by NumPy."""
    if array.ndim == 0:
        return array.reshape(1, 1)
    if array.ndim == 1:
        return wrapped(array)
    return array[tuple(slice(None) if at is None else at for at in index)]


@st.composite
def slices(draw: st.DrawFn) -> tuple[tuple[int, ...], Index]:
    """A shape of rank 0 to 5 and a slice of it."""
    shape = tuple(draw(st.lists(st.integers(1, 7), max_size=5)))
    if len(shape) == 1:
        shape = (draw(st.integers(1, 45)),)
    if len(shape) < 3:
        return shape, first_slice(shape)
    free = draw(st.lists(st.integers(0, len(shape) - 1), min_size=2, max_size=2, unique=True))
    return shape, tuple(None if axis in free else draw(st.integers(0, length - 1)) for axis, length in enumerate(shape))


spans = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda ends: range(min(ends), max(ends)))


@given(found=slices(), rows=spans, columns=spans, fortran=st.booleans(), dtype=st.sampled_from(sorted(DTYPES)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_window_is_what_numpy_slices(
    tmp_path: Path, found: tuple[tuple[int, ...], Index], rows: range, columns: range, fortran: bool, dtype: str
) -> None:
    shape, index = found
    array = (np.arange(int(np.prod(shape, dtype=int))) % 100).astype(dtype).reshape(shape)
    if fortran and shape:
        array = np.asfortranarray(array)
    got = ArrayFile.open(saved(tmp_path, array)).window(index, rows, columns)
    want = expected(array, index)[rows.start : rows.stop, columns.start : columns.stop]
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, want)


@given(found=slices(), rows=spans, columns=spans)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_window_of_a_difference_is_the_difference_of_windows(
    tmp_path: Path, found: tuple[tuple[int, ...], Index], rows: range, columns: range
) -> None:
    shape, index = found
    size = int(np.prod(shape, dtype=int))
    left = np.linspace(-1, 1, size, dtype=np.float32).reshape(shape)
    right = np.arange(size, dtype=np.int64).reshape(shape)
    both = ArrayFile.open(saved(tmp_path, left, "a.npy")), ArrayFile.open(saved(tmp_path, right, "b.npy"))
    got = Difference(*both).window(index, rows, columns)
    want = expected(left.astype(np.float64) - right.astype(np.float64), index)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, want[rows.start : rows.stop, columns.start : columns.stop])


def test_far_columns_of_a_large_stride_are_read_one_by_one(tmp_path: Path) -> None:
    array = np.arange(3 * 40_000 * 4, dtype=np.float64).reshape(3, 40_000, 4)
    found = ArrayFile.open(saved(tmp_path, array)).window((None, 39_999, None), ALL_ROWS, ALL_ROWS)
    np.testing.assert_array_equal(found, array[:, 39_999, :])


def test_only_what_is_visible_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = ArrayFile.open(saved(tmp_path, np.zeros((500, 500), np.float32)))
    reads: list[int] = []

    def preadv(fd: int, buffers: list[memoryview], at: int) -> int:
        reads.append(len(buffers[0]))
        return original(fd, buffers, at)

    original: Callable[[int, list[memoryview], int], int] = os.preadv
    monkeypatch.setattr(os, "preadv", preadv)
    opened.window((None, None), range(100, 130), range(300, 320))
    assert reads == [80] * 30


def test_a_window_ends_where_the_array_ends(tmp_path: Path) -> None:
    found = ArrayFile.open(saved(tmp_path, np.ones((3, 4)))).window((None, None), range(2, 9), range(3, 9))
    assert found.shape == (1, 1)


def test_an_array_without_elements_has_an_empty_window(tmp_path: Path) -> None:
    opened = ArrayFile.open(saved(tmp_path, np.ones((0, 3, 4))))
    assert opened.size == 0
    assert opened.window((0, None, None), ALL_ROWS, ALL_ROWS).shape == (0, 0)
    assert opened.read(0, 0).shape == (0,)


def test_bytes_of_a_bool_that_are_neither_0_nor_1_are_true(tmp_path: Path) -> None:
    path = tmp_path / "b.npy"
    path.write_bytes(header("|b1", [2, 2]) + b"\x00\x02\xff\x01")
    found = ArrayFile.open(path).window((None, None), ALL_ROWS, ALL_ROWS)
    assert found.tolist() == [[False, True], [True, True]]


def test_equal_infinities_differ_by_nan_without_a_warning(tmp_path: Path) -> None:
    opened = ArrayFile.open(saved(tmp_path, np.array([np.inf, -np.inf, np.nan, 1.0])))
    found = Difference(opened, opened).window((None,), ALL_ROWS, ALL_ROWS)
    np.testing.assert_array_equal(found, [[np.nan, np.nan, np.nan, 0.0]])


def test_large_integers_differ_in_float64(tmp_path: Path) -> None:
    left = ArrayFile.open(saved(tmp_path, np.array([0], np.uint64), "a.npy"))
    right = ArrayFile.open(saved(tmp_path, np.array([2**64 - 1], np.uint64), "b.npy"))
    assert Difference(left, right).read(0, 1).tolist() == [-(2.0**64)]


def test_other_shapes_are_not_subtracted(tmp_path: Path) -> None:
    left = ArrayFile.open(saved(tmp_path, np.ones((3, 3)), "a.npy"))
    right = ArrayFile.open(saved(tmp_path, np.ones((4, 3)), "b.npy"))
    with pytest.raises(RefusedError, match=r"the shapes differ: 3×3 and 4×3"):
        Difference(left, right)


def test_other_orders_are_not_subtracted(tmp_path: Path) -> None:
    left = ArrayFile.open(saved(tmp_path, np.ones((3, 3)), "a.npy"))
    right = ArrayFile.open(saved(tmp_path, np.asfortranarray(np.ones((3, 3))), "b.npy"))
    with pytest.raises(RefusedError, match="by rows, the other by columns"):
        Difference(left, right)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format_are_read(tmp_path: Path, version: tuple[int, int]) -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version=version)
    found = ArrayFile.open(tmp_path / "x.npy").window((None, None), ALL_ROWS, ALL_ROWS)
    np.testing.assert_array_equal(found, array)


def head(text: str) -> bytes:
    """A header of the first version."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "was cut while it was read"),
        (b"PK\x03\x04" + b"\0" * 60, "is not an .npy"),
        (b"\x93NUMPY\x09\x00" + b"\0" * 60, "is not an .npy"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "has a header of 2147483647 bytes; 65536 are the most"),
        (head("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"), "is not an .npy of little-endian"),
        (head("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }"), "is not an .npy of little-endian"),
        (head("{'descr': '<f2', 'fortran_order': False, 'shape': (3), }"), "is not an .npy of little-endian"),
        (head("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "is not an .npy of little-endian"),
        (head("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }"), "is not an .npy of little-endian"),
        (head("__import__('os').abort()"), "is not an .npy of little-endian"),
        (head("(" * 60_000), "is not an .npy of little-endian"),
        (head("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 40 + "), }"), "40 axes; 32 are the most"),
        (header("<f4", [3, 3]) + b"\0" * 35, "has 163 of 164 bytes"),
        (header("<f4", [3, 3]) + b"\0" * 37, "has 165 bytes, 164 belong to its array"),
        (header("<f4", [2**40, 2**40])[:128], "has 128 of"),
    ],
)
def test_what_is_not_such_a_file_is_told_in_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises((NotYetError, RefusedError), match=re.escape(sentence)):
        ArrayFile.open(path, "the model")


def test_a_missing_file_is_told_as_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotYetError, match="the model is not there"):
        ArrayFile.open(tmp_path / "x.npy", "the model")


def test_links_folders_fifos_and_impossible_names_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "link.npy").symlink_to(saved(tmp_path, np.ones(3)))
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "fifo.npy")
    for name in ("link.npy", "folder.npy", "fifo.npy", "x.npy/y.npy", "nul\0.npy"):
        with pytest.raises(RefusedError):
            ArrayFile.open(tmp_path / name)


def test_a_file_that_is_cut_later_gives_a_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path, np.ones((100, 100)))
    opened = ArrayFile.open(path, "the model")
    os.truncate(path, 4000)
    assert opened.window((None, None), range(2), range(2)).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    with pytest.raises(NotYetError, match="the model was cut while it was read"):
        opened.window((None, None), range(90, 100), range(2))
    assert not opened.is_unchanged()


def test_a_deleted_file_can_still_be_read(tmp_path: Path) -> None:
    path = saved(tmp_path, np.ones((2, 2)))
    opened = ArrayFile.open(path)
    path.unlink()
    assert opened.read(0, 4).tolist() == [1.0] * 4


def test_the_stamp_changes_with_the_file(tmp_path: Path) -> None:
    before = ArrayFile.open(saved(tmp_path, np.ones(3)))
    assert before.stamp == ArrayFile.open(tmp_path / "x.npy").stamp
    assert before.is_unchanged()
    (tmp_path / "x.npy").unlink()
    (tmp_path / "keeps-the-inode").touch()
    assert before.stamp != ArrayFile.open(saved(tmp_path, np.ones(4))).stamp


def test_the_file_is_closed_when_nobody_holds_it(tmp_path: Path) -> None:
    fd = os.open(saved(tmp_path, np.ones(3)), os.O_RDONLY)
    opened = ArrayFile(fd, "the model")
    os.fstat(fd)
    del opened
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_shapes_and_dtypes_are_told_in_words() -> None:
    assert [dtype_text(dtype) for dtype in ("<f4", "|b1", "|u1", "<i8")] == ["float32", "bool", "uint8", "int64"]
    assert (shape_text((3, 4)), shape_text(())) == ("3×4", "scalar")
