from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import msgspec
import numpy as np
import pytest

from fltui.errors import NotYetError, RefusedError
from fltui.exchange import store as module
from fltui.exchange.collect import (
    LARGEST_NUMBER,
    Spec,
)
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import digest
from fltui.exchange.npy import NpyReader
from fltui.exchange.store import Copied, store_arrays
from fltui.model import ParamsType
from tests.exchange.answers import DISGUISES, MODEL, SPEC, announce, answer, look, take
from tests.exchange.manifests import TASK_ID


def test_accepted_arrays_lie_in_the_store_under_their_digest(site: SiteFolder, store: Path) -> None:
    answer(site, MODEL)
    found = take(site, store)
    assert {file.name for file in store.iterdir()} == {f"{entry.blake3}.npy" for entry in found.arrays}
    for entry in found.arrays:
        np.testing.assert_array_equal(np.load(store / f"{entry.blake3}.npy"), MODEL[entry.name])


def test_what_a_site_does_to_its_file_later_changes_nothing(site: SiteFolder, store: Path) -> None:
    answer(site, MODEL)
    w = take(site, store).arrays[1]
    with (site.results / TASK_ID / "w.npy").open("r+b") as file:
        file.write(b"\0" * w.size)
    np.testing.assert_array_equal(np.load(store / f"{w.blake3}.npy"), MODEL["w"])


def test_storing_again_is_harmless(site: SiteFolder, store: Path) -> None:
    answer(site, MODEL)
    take(site, store)
    before = {file.name: file.read_bytes() for file in store.iterdir()}
    store_arrays(site, look(site), store, durable=True)
    assert {file.name: file.read_bytes() for file in store.iterdir()} == before


def test_a_site_of_this_user_is_taken_in_by_a_second_name(site: SiteFolder, store: Path) -> None:
    answer(site, MODEL)
    for _ in range(2):  # the second time as after an outage: the files have two names already
        found = look(site)
        store_arrays(site, found, store, link=True)
        for entry in found.arrays:
            assert (store / f"{entry.blake3}.npy").samefile(site.results / TASK_ID / entry.file)
        assert len(list(store.iterdir())) == len(found.arrays)


def test_without_names_for_open_files_the_site_s_own_name_serves(
    site: SiteFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HAS_PROC", False)
    test_a_site_of_this_user_is_taken_in_by_a_second_name(site, store)


def test_without_them_what_is_replaced_while_it_is_read_gets_no_second_name(
    site: SiteFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HAS_PROC", False)
    test_what_is_replaced_while_it_is_read_gets_no_second_name(site, store, monkeypatch)


def test_where_there_are_no_links_a_copy_is_made(
    site: SiteFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    answer(site, MODEL)
    monkeypatch.setattr(os, "link", refuse)
    found = look(site)
    store_arrays(site, found, store, link=True)
    for entry in found.arrays:
        assert digest((store / f"{entry.blake3}.npy").read_bytes()) == entry.blake3
        assert not (store / f"{entry.blake3}.npy").samefile(site.results / TASK_ID / entry.file)


def test_what_is_replaced_while_it_is_read_gets_no_second_name(
    site: SiteFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def replaced_first(source: str, target: Path, **how: Any) -> None:
        for entry in found.arrays:
            other = site.results / TASK_ID / "other"
            other.write_bytes(b"other")
            other.replace(site.results / TASK_ID / entry.file)
        link(source, target, **how)

    answer(site, MODEL)
    monkeypatch.setattr(os, "link", replaced_first)
    found = look(site)
    found = msgspec.structs.replace(found, arrays=found.arrays[:1])
    store_arrays(site, found, store, link=True)
    names = {f"{entry.blake3}.npy" for entry in found.arrays}
    assert {path.name: digest(path.read_bytes()) for path in store.iterdir()} == {name: name[:-4] for name in names}


@pytest.mark.parametrize("link", [False, True])
def test_nothing_is_kept_of_an_array_that_is_refused(site: SiteFolder, store: Path, link: bool) -> None:
    answer(site, {**MODEL, "w": np.full_like(MODEL["w"], np.nan)})
    found = look(site)
    with pytest.raises(RefusedError, match="holds NaN or Inf"):
        store_arrays(site, found, store, link=link)
    assert f"{found.arrays[1].blake3}.npy" not in {path.name for path in store.iterdir()}


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_signed_zeros_and_subnormals_pass_unchanged(site: SiteFolder, store: Path, dtype: str) -> None:
    kind = np.finfo(dtype)
    largest = min(float(kind.max), LARGEST_NUMBER)
    array = np.array([-0.0, 0.0, kind.smallest_subnormal, -kind.smallest_subnormal, largest, -largest], dtype)
    answer(site, {"w": array})
    (entry,) = take(site, store, {"w": (dtype, (6,))}).arrays
    assert np.load(store / f"{entry.blake3}.npy").tobytes() == array.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
@pytest.mark.parametrize("at", [0, 1_000_000])
def test_an_array_that_is_not_finite_is_refused(
    site: SiteFolder, store: Path, dtype: str, value: float, at: int
) -> None:
    array = np.ones(1_000_001, dtype)
    array[at] = value
    answer(site, {"w": array})
    with pytest.raises(RefusedError, match="'w' holds NaN or Inf"):
        take(site, store, None)
    assert list(store.iterdir()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"PK\x03\x04" + data[4:],
    ],
    ids=["empty", "truncated", "longer", "changed byte", "changed magic"],
)
def test_arrays_that_differ_from_the_manifest_are_awaited(
    site: SiteFolder, store: Path, spoil: Callable[[bytes], bytes]
) -> None:
    answer(site, MODEL)
    path = site.results / TASK_ID / "w.npy"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(NotYetError, match=r"w\.npy"):
        take(site, store)
    assert not [file for file in store.iterdir() if file.name.startswith(".")]


def test_arrays_that_have_not_come_are_awaited(site: SiteFolder, store: Path) -> None:
    answer(site, MODEL)
    shutil.rmtree(site.results / TASK_ID)
    with pytest.raises(NotYetError, match="is not there"):
        take(site, store)


def test_a_late_array_completes_the_result(site: SiteFolder, store: Path) -> None:
    answer(site, MODEL)
    path = site.results / TASK_ID / "w.npy"
    path.rename(site.staging("site") / "w.npy")
    with pytest.raises(NotYetError):
        take(site, store)
    (site.staging("site") / "w.npy").rename(path)
    assert len(take(site, store).arrays) == len(list(store.iterdir()))


def test_a_wrong_header_with_the_right_digest_is_refused(site: SiteFolder, store: Path) -> None:
    b, w = answer(site, MODEL).arrays
    path = site.results / TASK_ID / "w.npy"
    data = path.read_bytes().replace(b"'<f4'", b"'<i4'")
    path.write_bytes(data)
    announce(site, [b, msgspec.structs.replace(w, blake3=blake3.blake3(data).hexdigest())])
    with pytest.raises(RefusedError, match="header"):
        take(site, store)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_an_array_that_is_no_plain_file_is_refused(
    site: SiteFolder, store: Path, disguise: Callable[[Path], None]
) -> None:
    answer(site, MODEL)
    disguise(site.results / TASK_ID / "w.npy")
    with pytest.raises(RefusedError, match=r"w\.npy"):
        take(site, store)


def test_a_linked_folder_of_arrays_is_refused(site: SiteFolder, store: Path) -> None:
    answer(site, MODEL)
    (site.results / TASK_ID).rename(site.root / "elsewhere")
    (site.results / TASK_ID).symlink_to(site.root / "elsewhere", target_is_directory=True)
    with pytest.raises(RefusedError, match="plain folders"):
        take(site, store)


# Reading no more than has to be read.


def spoil(path: Path) -> bytes:
    """Change an array and leave its size; what it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    return whole


@pytest.mark.parametrize("cut", [1, 60])
def test_nothing_is_read_before_every_array_has_its_size(site: SiteFolder, store: Path, cut: int) -> None:
    sent = answer(site, MODEL)
    last = site.results / TASK_ID / sent.arrays[-1].file
    last.write_bytes(last.read_bytes()[:-cut])
    copied = Copied()
    with pytest.raises(NotYetError, match=r"has \d+ of \d+ bytes"):
        store_arrays(site, look(site), store, copied=copied)
    assert (copied.read, list(store.iterdir())) == (0, [])


def test_what_was_copied_is_not_read_again(site: SiteFolder, store: Path) -> None:
    sent = answer(site, MODEL)
    first, last = sent.arrays
    copied = Copied()
    right = spoil(site.results / TASK_ID / last.file)
    for number in range(1, 4):
        with pytest.raises(NotYetError, match="differs from the digest"):
            store_arrays(site, look(site), store, copied=copied)
        assert copied.read == first.size + number * last.size
    (site.results / TASK_ID / first.file).unlink()
    (site.results / TASK_ID / last.file).write_bytes(right)
    store_arrays(site, look(site), store, copied=copied)
    assert {path.name for path in store.iterdir()} == {f"{entry.blake3}.npy" for entry in sent.arrays}


def test_what_was_copied_as_it_is_is_looked_at_again_as_a_difference(site: SiteFolder, store: Path) -> None:
    largest = {"w": np.full(4, np.finfo(np.float32).max)}
    spec: Spec = {"w": SPEC["w"]}
    copied = Copied()
    entry = answer(site, largest).arrays[0]
    store_arrays(site, look(site, spec), store, copied=copied)
    announce(site, [entry], params_type=ParamsType.DIFF)

    def base(_: str) -> NpyReader:
        return NpyReader(store / f"{entry.blake3}.npy", entry.dtype, entry.shape)

    with pytest.raises(RefusedError, match="is a difference that, added to the model, is beyond"):
        store_arrays(site, look(site, spec), store, base, copied=copied)
