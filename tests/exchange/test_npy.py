from __future__ import annotations

import errno
import io
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import blake3
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fltui.errors import NotYetError, RefusedError
from fltui.exchange import npy
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import (
    DTYPES,
    NpyReader,
    NpyWriter,
    canonical,
    file_size,
    header,
    open_beneath,
    read_array,
    read_bytes,
    read_checked,
    write_array,
)

Array = NDArray[Any]
dtypes = st.sampled_from(sorted(DTYPES))
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, shapes))


def read_back(path: Path, entry: ArrayEntry) -> Array:
    with open_beneath(path.parent, path.name) as fd:
        return read_array(fd, entry, path.name)


def saved(array: Array) -> bytes:
    """What NumPy itself writes."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@given(dtypes, shapes | st.lists(st.integers(0, 2**48 - 1), max_size=32).map(tuple))
def test_the_header_is_what_numpy_writes(dtype: str, shape: tuple[int, ...]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    assert header(dtype, shape) == file.getvalue()


@given(arrays)
def test_a_written_file_is_what_numpy_saves(tmp_path: Path, array: Array) -> None:
    entry = write_array(tmp_path / "w.npy", "w", array, file="w.npy")
    assert (tmp_path / "w.npy").read_bytes() == saved(array)
    assert entry.size == file_size(entry.dtype, entry.shape) == len(saved(array))


@given(arrays)
def test_a_round_trip_keeps_every_bit(tmp_path: Path, array: Array) -> None:
    entry = write_array(tmp_path / "w.npy", "w", array, file="w.npy")
    found = read_back(tmp_path / "w.npy", entry)
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found.flags.writeable


@given(dtypes.flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 40))), st.lists(st.integers(0, 40)))
def test_blocks_add_up_to_the_array(tmp_path: Path, array: Array, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut <= array.size), array.size]
    with NpyWriter(tmp_path / "w.npy", array.dtype.str, array.shape) as out:
        for start, end in itertools.pairwise(edges):
            out.write(array[start:end])
    entry = ArrayEntry("w", "w.npy", array.dtype.str, [array.size], out.size, out.digest)
    assert read_back(tmp_path / "w.npy", entry).tobytes() == array.tobytes()


@given(arrays, st.data())
def test_a_reader_gives_any_stretch_of_elements(tmp_path: Path, array: Array, data: st.DataObject) -> None:
    entry = write_array(tmp_path / "w.npy", "w", array, file="w.npy")
    start = data.draw(st.integers(0, array.size))
    out = np.empty(data.draw(st.integers(0, array.size - start)), array.dtype)
    with NpyReader(tmp_path / "w.npy", entry.dtype, entry.shape) as source:
        source.read(start, out)
    assert out.tobytes() == array.reshape(-1)[start : start + out.size].tobytes()


@pytest.mark.parametrize("chunk", [128, 136])
def test_chunks_hold_whole_elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(npy, "CHUNK", chunk)
    array = np.arange(100.0)
    entry = write_array(tmp_path / "w.npy", "w", array, file="w.npy")
    pieces: list[bytes] = []
    with open_beneath(tmp_path, "w.npy") as fd:
        read_checked(fd, entry, lambda piece: pieces.append(bytes(piece)), "w.npy")
    assert {len(piece) % 8 for piece in pieces} == {0}
    assert len(pieces) > 1
    assert b"".join(pieces) == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3).T, np.arange(6, dtype=">i4"), np.arange(12.0)[::2], np.array(1.5)],
    ids=["fortran", "big-endian", "strided", "scalar"],
)
def test_any_layout_travels_in_c_order_and_little_endian(tmp_path: Path, array: Array) -> None:
    entry = write_array(tmp_path / "w.npy", "w", array, file="w.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), array)
    np.testing.assert_array_equal(read_back(tmp_path / "w.npy", entry), array)


def test_a_canonical_array_is_not_copied() -> None:
    array = np.arange(3.0)
    assert np.shares_memory(canonical(array), array)


@pytest.mark.parametrize("dtype", [">f4", "<c8", "|O", "<U3", "<M8[s]", "<f16", "f4", "", "<f4', 'x': '"])
def test_other_dtypes_have_no_header(dtype: str) -> None:
    with pytest.raises(RefusedError, match="does not travel"):
        header(dtype, [1])


def test_an_array_may_have_32_axes_and_no_more() -> None:
    assert header("<f4", [1] * 32)
    with pytest.raises(RefusedError, match="33 axes"):
        header("<f4", [1] * 33)


def test_an_array_of_objects_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        write_array(tmp_path / "w.npy", "w", np.array([{}]), file="w.npy")
    assert not (tmp_path / "w.npy").exists()


def test_a_private_file_that_ends_early_is_noticed(tmp_path: Path) -> None:
    entry = write_array(tmp_path / "w.npy", "w", np.arange(4.0), file="w.npy")
    os.truncate(tmp_path / "w.npy", entry.size - 1)
    with NpyReader(tmp_path / "w.npy", entry.dtype, entry.shape) as source, pytest.raises(RefusedError, match="early"):
        source.read(0, np.empty(4))


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:64],
        lambda data: data + b"\0",
        lambda data: flip(data, -1 + len(data)),
        lambda data: flip(data, 20),
        lambda data: b"\0" * len(data),
    ],
    ids=["empty", "truncated", "header only", "longer", "changed byte", "changed header", "zeros"],
)
def test_bytes_that_differ_from_the_manifest_are_awaited(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    entry = write_array(tmp_path / "w.npy", "w", np.arange(4.0), file="w.npy")
    (tmp_path / "w.npy").write_bytes(spoil((tmp_path / "w.npy").read_bytes()))
    with pytest.raises(NotYetError, match=r"w\.npy"):
        read_back(tmp_path / "w.npy", entry)


@pytest.mark.parametrize(
    "claim",
    [{"dtype": "<i8"}, {"shape": [2, 2]}, {"shape": [4, 1]}],
)
def test_a_header_that_differs_though_the_digest_holds_is_refused(tmp_path: Path, claim: dict[str, Any]) -> None:
    entry = write_array(tmp_path / "w.npy", "w", np.arange(4.0), file="w.npy")
    with pytest.raises(RefusedError, match="header"):
        read_back(tmp_path / "w.npy", msgspec.structs.replace(entry, **claim))


def test_a_fortran_file_of_the_right_size_is_refused(tmp_path: Path) -> None:
    data = saved(np.asfortranarray(np.eye(2)))
    (tmp_path / "w.npy").write_bytes(data)
    entry = write_array(tmp_path / "c.npy", "w", np.eye(2), file="w.npy")
    claimed = msgspec.structs.replace(entry, blake3=blake3.blake3(data).hexdigest())
    with pytest.raises(RefusedError, match="C order"):
        read_back(tmp_path / "w.npy", claimed)


def test_what_is_not_there_is_awaited(tmp_path: Path) -> None:
    with pytest.raises(NotYetError, match="a/b is not there"), open_beneath(tmp_path, "a", "b"):
        pass


def test_a_root_that_is_not_there_is_awaited(tmp_path: Path) -> None:
    with pytest.raises(NotYetError), open_beneath(tmp_path / "none", "a"):
        pass


def test_a_share_that_fails_when_a_file_is_closed_has_not_delivered_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    close = os.close

    def closing(fd: int) -> None:
        close(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))  # as a mount of rclone: the file was changed meanwhile

    monkeypatch.setattr(os, "close", closing)
    with pytest.raises(NotYetError, match="a cannot be read: Input/output error"), open_beneath(tmp_path, "a") as fd:
        assert os.read(fd, 9) == b"x"


def test_a_share_that_has_lost_an_open_file_has_not_delivered_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x")

    def stale(fd: int) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with pytest.raises(NotYetError, match="a cannot be read: Stale"), open_beneath(tmp_path, "a") as fd:
        monkeypatch.setattr(os, "fstat", stale)
        read_bytes(fd, 9, "a")


def make_symlink(path: Path) -> None:
    (path.parent / "real").write_bytes(b"x")
    path.symlink_to("real")


def make_hard_link(path: Path) -> None:
    (path.parent / "real").write_bytes(b"x")
    os.link(path.parent / "real", path)


def make_dangling_link(path: Path) -> None:
    path.symlink_to("/proc/none")


@pytest.mark.parametrize("make", [make_symlink, make_dangling_link, make_hard_link, Path.mkdir, os.mkfifo])
def test_only_a_plain_file_with_one_name_is_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "w.npy")
    with pytest.raises(RefusedError, match=r"w\.npy"), open_beneath(tmp_path, "w.npy"):
        pass


def test_many_names_are_fine_where_the_caller_says_so(tmp_path: Path) -> None:
    make_hard_link(tmp_path / "w.npy")
    with open_beneath(tmp_path, "w.npy", links=None) as fd:
        assert os.read(fd, 10) == b"x"


def test_no_link_is_followed_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/w.npy").write_bytes(b"x")
    (tmp_path / "results").symlink_to("secret", target_is_directory=True)
    with pytest.raises(RefusedError, match="plain folders"), open_beneath(tmp_path, "results", "w.npy"):
        pass


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_bytes(b"x")
    with pytest.raises(RefusedError, match="plain folders"), open_beneath(tmp_path, "results", "w.npy"):
        pass


@pytest.mark.parametrize(("size", "fits"), [(0, True), (10, True), (11, False)])
def test_small_files_are_read_up_to_a_limit(tmp_path: Path, size: int, fits: bool) -> None:
    (tmp_path / "m.json").write_bytes(b"x" * size)
    with open_beneath(tmp_path, "m.json") as fd:
        if fits:
            assert read_bytes(fd, 10, "m.json") == b"x" * size
        else:
            with pytest.raises(RefusedError, match="11 bytes; 10 are the most"):
                read_bytes(fd, 10, "m.json")


@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (1000,)])
@pytest.mark.parametrize("mode", ["r", "c", None])
def test_blocks_are_the_elements_however_the_array_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], mode: Literal["r", "c"] | None
) -> None:
    monkeypatch.setattr(npy, "_AT_ONCE", 64)
    array = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "x.npy", array)
    found = array if mode is None or not array.size else np.load(tmp_path / "x.npy", mmap_mode=mode)
    if mode == "c" and array.size > 1:
        found[-1] = array[-1] = -7  # what was changed in memory alone must not be let go
    pieces = [piece.copy() for piece in npy.blocks_of(np.asarray(found))]
    assert all(piece.nbytes <= 64 for piece in pieces)
    assert b"".join(piece.tobytes() for piece in pieces) == array.tobytes()
    assert np.asarray(found).tobytes() == array.tobytes()


def test_a_reader_that_holds_no_file_reads_the_same(tmp_path: Path) -> None:
    array = np.arange(1000.0)
    np.save(tmp_path / "w.npy", array)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    with NpyReader(tmp_path / "w.npy", "<f8", (1000,), held=False) as reader:
        if before:
            assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
        out = np.empty(10)
        for start in (0, 500, 990):
            reader.read(start, out)
            np.testing.assert_array_equal(out, array[start : start + 10])
    (tmp_path / "w.npy").unlink()
    with pytest.raises(FileNotFoundError):
        reader.read(0, out)
