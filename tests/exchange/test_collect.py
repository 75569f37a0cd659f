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
from numpy.typing import NDArray

from fltui.errors import NotYetError, RefusedError
from fltui.exchange import collect
from fltui.exchange.collect import (
    LARGEST_NUMBER,
    Copied,
    Spec,
    read_result,
    read_status,
    store_arrays,
)
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import MANIFEST_LIMIT, ArrayEntry, Result, Status, digest, encode
from fltui.exchange.npy import NpyReader
from fltui.exchange.publish import open_site, put_arrays, put_document
from fltui.model import ParamsType
from tests.exchange.manifests import TASK_ID, result, task

DIGEST = digest(encode(task()))
MODEL = {"w": np.arange(4.0, dtype=np.float32), "b": np.array([0.5, -1.5])}
SPEC: Spec = {name: (array.dtype.str, array.shape) for name, array in MODEL.items()}


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """The folder of site-1, made by both sides."""
    site = SiteFolder(tmp_path / "site-1", "site-1")
    open_site(site, "server")
    open_site(site, "site")
    return site


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The run's private store."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def answer(site: SiteFolder, params: dict[str, NDArray[Any]], /, **changes: Any) -> Result:
    """Publish a result as a site does, with some fields of the manifest changed."""
    entries = put_arrays(params, site.results / TASK_ID, site.staging("site"))
    return announce(site, entries, **changes)


def announce(site: SiteFolder, entries: list[ArrayEntry], /, **changes: Any) -> Result:
    """Publish the manifest of a result alone."""
    found = msgspec.structs.replace(result(*entries, in_reply_to=DIGEST), **changes)
    put_document(found, site.results / f"{TASK_ID}.json", site.staging("site"))
    return found


def look(site: SiteFolder, expected: Spec | None = SPEC) -> Result:
    """What the server makes of the manifest."""
    return read_result(site, task(), DIGEST, expected)[0]


def take(site: SiteFolder, store: Path, expected: Spec | None = SPEC) -> Result:
    """What the server makes of the whole result."""
    found = look(site, expected)
    store_arrays(site, found, store)
    return found


# The manifest of a result


def test_a_result_is_read_back(site: SiteFolder) -> None:
    sent = answer(site, MODEL)
    assert look(site) == sent


def test_a_result_that_is_not_there_is_awaited(site: SiteFolder) -> None:
    with pytest.raises(NotYetError):
        look(site)


def test_half_a_manifest_is_awaited(site: SiteFolder) -> None:
    answer(site, MODEL)
    os.truncate(site.results / f"{TASK_ID}.json", 200)
    with pytest.raises(NotYetError):
        look(site)


@pytest.mark.parametrize(
    "changes",
    [{"site": "site-2"}, {"task_id": TASK_ID + "1"}, {"run": "another"}, {"round": 2}],
    ids=lambda changes: str(next(iter(changes))),
)
def test_a_result_for_something_else_is_refused(site: SiteFolder, changes: dict[str, Any]) -> None:
    answer(site, MODEL, **changes)
    with pytest.raises(RefusedError, match="is a result of site"):
        look(site)


def test_a_result_for_a_task_of_other_content_is_stale(site: SiteFolder) -> None:
    answer(site, MODEL, in_reply_to="0" * 64)
    with pytest.raises(RefusedError, match="stale"):
        look(site)


def test_a_result_of_another_protocol_is_refused(site: SiteFolder) -> None:
    answer(site, MODEL, protocol=2)
    with pytest.raises(RefusedError, match="speaks protocol 2"):
        look(site)


@pytest.mark.parametrize("weight", [0, 1, 0.25, 2**53])
def test_a_weight_is_any_finite_number_from_0(site: SiteFolder, weight: float) -> None:
    answer(site, MODEL, meta={"NUM_STEPS_CURRENT_ROUND": weight})
    assert look(site).meta["NUM_STEPS_CURRENT_ROUND"] == weight


@pytest.mark.parametrize("weight", [True, -1, -0.5, "8", None, [8], {}], ids=repr)
def test_another_weight_is_refused(site: SiteFolder, weight: Any) -> None:
    answer(site, MODEL, meta={"NUM_STEPS_CURRENT_ROUND": weight})
    with pytest.raises(RefusedError, match="expected a number from 0 to 2"):
        look(site)


def test_a_result_needs_no_weight(site: SiteFolder) -> None:
    answer(site, MODEL, meta={})
    assert look(site).meta == {}


@pytest.mark.parametrize("value", ["high", None, True, [0.5]], ids=repr)
def test_a_metric_that_is_no_number_is_refused(site: SiteFolder, value: Any) -> None:
    answer(site, MODEL, metrics={"accuracy": value})
    with pytest.raises(RefusedError, match="Expected `float`"):
        look(site)


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"1e999"])
@pytest.mark.parametrize("place", ["metrics", "meta"])
def test_a_number_that_is_not_finite_is_refused(site: SiteFolder, place: str, literal: bytes) -> None:
    answer(site, MODEL, **{place: {"x": 12345.5}})
    path = site.results / f"{TASK_ID}.json"
    path.write_bytes(path.read_bytes().replace(b"12345.5", literal))
    with pytest.raises(RefusedError, match="breaks protocol"):
        look(site)


def test_a_missing_parameter_is_refused(site: SiteFolder) -> None:
    answer(site, {"w": MODEL["w"]})
    with pytest.raises(RefusedError, match="lacks the parameter 'b'"):
        look(site)


def test_an_extra_parameter_is_refused(site: SiteFolder) -> None:
    answer(site, {**MODEL, "extra": np.zeros(1)})
    with pytest.raises(RefusedError, match="has the parameter 'extra'"):
        look(site)


@pytest.mark.parametrize(
    "array",
    [np.zeros(4), np.zeros(4, np.int32), np.zeros(3, np.float32), np.zeros((2, 2), np.float32), np.float32(0)],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_another_dtype_or_shape_is_refused(site: SiteFolder, array: NDArray[Any]) -> None:
    answer(site, {**MODEL, "w": np.asarray(array)})
    with pytest.raises(RefusedError, match=r"'w' is .*, expected <f4 \(4,\)"):
        look(site)


def test_an_empty_answer_is_refused_where_there_is_no_model(site: SiteFolder) -> None:
    answer(site, {})
    with pytest.raises(RefusedError, match="no arrays"):
        look(site, expected=None)


def test_a_round_without_a_model_takes_what_the_site_has(site: SiteFolder) -> None:
    answer(site, {"new": np.zeros((2, 3), np.float16)})
    assert look(site, expected=None).arrays[0].shape == [2, 3]


def test_a_parameter_listed_twice_is_refused(site: SiteFolder) -> None:
    first, second = answer(site, MODEL).arrays
    announce(site, [first, first, second])
    with pytest.raises(RefusedError, match="twice"):
        look(site)


@pytest.mark.parametrize("file", ["../../../secret.npy", "/etc/passwd", "sub/w.npy", "W.npy", "w", "", "b.npy"])
def test_a_file_name_that_does_not_follow_the_rule_is_refused(site: SiteFolder, file: str) -> None:
    b, w = answer(site, MODEL).arrays
    announce(site, [b, msgspec.structs.replace(w, file=file)])
    with pytest.raises(RefusedError, match=r"expected 'w\.npy'"):
        look(site)


def test_parameters_whose_slugs_collide_lie_in_numbered_files(site: SiteFolder, store: Path) -> None:
    params = {"a/b": np.array([1.0]), "a b": np.array([2.0])}
    answer(site, params)
    found = take(site, store, dict.fromkeys(params, ("<f8", (1,))))
    assert {entry.name: entry.file for entry in found.arrays} == {"a b": "a_b.npy", "a/b": "a_b-2.npy"}


def test_swapped_files_of_colliding_slugs_are_refused(site: SiteFolder) -> None:
    first, second = answer(site, {"a/b": np.array([1.0]), "a b": np.array([2.0])}).arrays
    swapped = [
        msgspec.structs.replace(first, file=second.file),
        msgspec.structs.replace(second, file=first.file),
    ]
    announce(site, swapped)
    with pytest.raises(RefusedError, match="expected"):
        look(site, expected=None)


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"size": 1}, "claims 1 bytes, expected 144"),
        ({"dtype": "|O"}, "does not travel"),
        ({"dtype": ">f4"}, "does not travel"),
        ({"shape": [1] * 33}, "33 axes"),
        ({"shape": [2**30]}, "claims 144 bytes, expected 4294967424"),
        ({"shape": [10**12]}, "an array of 4000000000000 bytes does not travel"),
        ({"shape": [0, 10**12]}, "an array of 4000000000000 bytes does not travel"),
    ],
)
def test_a_false_claim_about_an_array_is_refused(site: SiteFolder, claim: dict[str, Any], reason: str) -> None:
    b, w = answer(site, MODEL).arrays
    announce(site, [b, msgspec.structs.replace(w, **claim)])
    with pytest.raises(RefusedError, match=reason):
        look(site)


def test_a_manifest_above_the_limit_is_refused(site: SiteFolder) -> None:
    answer(site, MODEL, meta={"x": "y" * MANIFEST_LIMIT})
    with pytest.raises(RefusedError, match="1048576 are the most"):
        look(site)


def test_a_conflict_copy_is_never_picked_up(site: SiteFolder) -> None:
    answer(site, MODEL)
    manifest = site.results / f"{TASK_ID}.json"
    manifest.rename(site.results / f"{TASK_ID}.sync-conflict-20260131-120000-ABCDEFG.json")
    with pytest.raises(NotYetError):
        look(site)


def as_symlink(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def as_hard_link(path: Path) -> None:
    os.link(path, path.with_suffix(".second"))


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DISGUISES = [as_symlink, as_hard_link, as_fifo, as_folder]


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_manifest_that_is_no_plain_file_is_refused(site: SiteFolder, disguise: Callable[[Path], None]) -> None:
    answer(site, MODEL)
    disguise(site.results / f"{TASK_ID}.json")
    with pytest.raises(RefusedError):
        look(site)


# The arrays of a result


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
    monkeypatch.setattr(collect, "_HAS_PROC", False)
    test_a_site_of_this_user_is_taken_in_by_a_second_name(site, store)


def test_without_them_what_is_replaced_while_it_is_read_gets_no_second_name(
    site: SiteFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_HAS_PROC", False)
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


# The status of a site


def test_a_status_is_read_back(site: SiteFolder) -> None:
    status = Status(1, "site-1", "training", 3, "abc", run="run", task_id=TASK_ID, pid=7, host="here")
    put_document(status, site.status, site.staging("site"))
    assert read_status(site) == status


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"protocol": 9}', b" " * (1 << 17)])
def test_a_status_that_cannot_be_read_is_none(site: SiteFolder, data: bytes) -> None:
    site.status.write_bytes(data)
    assert read_status(site) is None


def test_a_site_without_a_status_has_none(site: SiteFolder) -> None:
    assert read_status(site) is None


@pytest.mark.parametrize("weight", [10**400, 2**53 + 2, 1.7e308, -(10**400)])
def test_a_weight_beyond_counting_is_refused(site: SiteFolder, store: Path, weight: float) -> None:
    answer(site, {"w": np.ones(1)}, meta={"NUM_STEPS_CURRENT_ROUND": weight})
    with pytest.raises(RefusedError, match="expected a number from 0 to 2"):
        take(site, store, {"w": ("<f8", (1,))})


def test_a_metric_that_would_overflow_a_sum_is_refused(site: SiteFolder, store: Path) -> None:
    answer(site, {"w": np.ones(1)}, metrics={"loss": 1e308})
    with pytest.raises(RefusedError, match=r"metric 'loss' is 1e\+308"):
        take(site, store, {"w": ("<f8", (1,))})


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
