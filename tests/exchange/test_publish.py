from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from fltui.errors import BadInputError, RefusedError
from fltui.exchange.layout import ExchangeFolder, Side, SiteFolder, TaskId
from fltui.exchange.manifest import End, ExchangeAbout, decode, encode
from fltui.exchange.publish import (
    check_exchange,
    copy_file,
    end_turns,
    open_exchange,
    open_site,
    put_arrays,
    put_bytes,
    put_document,
    remove_published,
    replace_in_turns,
    show_server_key,
    spare_of,
    spare_published,
)
from fltui.model import Params
from tests.exchange.odd import ODD


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / ".staging"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("durable", [False, True])
def test_bytes_lie_under_their_name_and_nothing_is_left_beside(tmp_path: Path, staging: Path, durable: bool) -> None:
    put_bytes(b"whole", tmp_path / "a.json", staging, durable=durable)
    assert (tmp_path / "a.json").read_bytes() == b"whole"
    assert list(staging.iterdir()) == []


def test_publishing_again_replaces_the_file(tmp_path: Path, staging: Path) -> None:
    put_bytes(b"long and old", tmp_path / "a.json", staging)
    put_bytes(b"new", tmp_path / "a.json", staging)
    assert (tmp_path / "a.json").read_bytes() == b"new"


def test_a_reader_of_the_old_file_keeps_it_whole(tmp_path: Path, staging: Path) -> None:
    put_bytes(b"old", tmp_path / "a.json", staging)
    with (tmp_path / "a.json").open("rb") as reader:
        put_bytes(b"new", tmp_path / "a.json", staging)
        assert reader.read() == b"old"


def test_a_file_that_is_replaced_all_the_time_is_one_of_two(tmp_path: Path, staging: Path) -> None:
    target, seen = tmp_path / "status.json", set()
    for turn in range(6):
        data = b"x" * (6 - turn)
        replace_in_turns(data, target, staging, "me", turn)
        assert target.read_bytes() == data
        assert target.stat().st_nlink == 1
        seen.add(target.stat().st_ino)
    assert len(seen) == 2
    end_turns(target, staging, "me")
    assert list(staging.iterdir()) == []
    replace_in_turns(b"again", target, staging, "me", 6)
    assert target.read_bytes() == b"again"


def test_one_of_two_that_somebody_holds_is_not_written_over(tmp_path: Path, staging: Path) -> None:
    target = tmp_path / "status.json"
    for turn in range(2):
        replace_in_turns(b"old", target, staging, "me", turn)
    (tmp_path / "held").hardlink_to(staging / "status.json.me.0")
    replace_in_turns(b"new", target, staging, "me", 2)
    assert (target.read_bytes(), (tmp_path / "held").read_bytes()) == (b"new", b"old")


def test_two_that_replace_one_file_keep_out_of_each_other_s_way(tmp_path: Path, staging: Path) -> None:
    target = tmp_path / "status.json"
    for turn in range(4):
        for writer in ("one", "two"):
            replace_in_turns(f"{writer} {turn}".encode(), target, staging, writer, turn)
            held = target.stat().st_ino
            assert target.read_text() == f"{writer} {turn}"
            assert held not in {path.stat().st_ino for path in staging.iterdir()}
    end_turns(target, staging, "one")
    assert {path.name.split(".")[2] for path in staging.iterdir()} == {"two"}


def test_a_document_is_published_as_it_is_encoded(tmp_path: Path, staging: Path) -> None:
    end = End(1, "run", "FINISHED:COMPLETED")
    put_document(end, tmp_path / "run.end.json", staging)
    assert (tmp_path / "run.end.json").read_bytes() == encode(end)


@pytest.mark.parametrize("durable", [False, True])
def test_arrays_can_be_loaded_with_numpy(tmp_path: Path, staging: Path, durable: bool) -> None:
    params: Params = {"w": np.eye(2), "b/1": np.zeros(3, np.float32)}
    entries = put_arrays(params, tmp_path / "task", staging, durable=durable)
    assert [(entry.name, entry.file) for entry in entries] == [("b/1", "b_1.npy"), ("w", "w.npy")]
    for entry in entries:
        np.testing.assert_array_equal(np.load(tmp_path / "task" / entry.file), params[entry.name])
    assert list(staging.iterdir()) == []


def test_publishing_arrays_again_gives_the_same_entries(tmp_path: Path, staging: Path) -> None:
    params = {"w": np.eye(2)}
    assert put_arrays(params, tmp_path / "t", staging) == put_arrays(params, tmp_path / "t", staging)


def test_arrays_that_do_not_travel_are_refused(tmp_path: Path, staging: Path) -> None:
    with pytest.raises(RefusedError, match="does not travel"):
        put_arrays({"w": np.zeros(1, complex)}, tmp_path / "task", staging)


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_copy_is_whole_without_copy_file_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    (tmp_path / "a").write_bytes(os.urandom(size))
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def files(folder: Path) -> dict[str, int]:
    """Names and inodes."""
    return {path.name: path.stat().st_ino for path in folder.iterdir()}


def test_arrays_are_written_over_those_of_a_folder_that_nobody_needs(tmp_path: Path, staging: Path) -> None:
    old: Params = {"a": np.eye(2), "b": np.zeros(3), "c": np.zeros(1), "linked": np.ones(2)}
    new: Params = {"a": np.full((2, 2), 7.0), "b": np.ones(4), "linked": np.zeros(2), "new": np.ones(1)}
    put_arrays(old, tmp_path / "old", staging)
    before = files(tmp_path / "old")
    (tmp_path / "kept.npy").hardlink_to(tmp_path / "old" / "linked.npy")
    kept = (tmp_path / "kept.npy").read_bytes()
    other_size = (tmp_path / "old" / "b.npy").read_bytes()
    with (tmp_path / "old" / "b.npy").open("rb") as reader:
        entries = put_arrays(new, tmp_path / "new", staging, spare="old")
        assert reader.read() == other_size  # not cut short: somebody may have it mapped
    assert not (tmp_path / "old").exists()
    assert entries == put_arrays(new, tmp_path / "fresh", staging)
    for entry in entries:
        assert (tmp_path / "new" / entry.file).read_bytes() == (tmp_path / "fresh" / entry.file).read_bytes()
    after = files(tmp_path / "new")
    assert after.keys() == {"a.npy", "b.npy", "linked.npy", "new.npy"}
    assert after["a.npy"] == before["a.npy"]
    assert (tmp_path / "kept.npy").read_bytes() == kept


@pytest.mark.parametrize("there", ["the new folder", "no spare one"])
def test_arrays_need_no_spare_folder(tmp_path: Path, staging: Path, there: str) -> None:
    params: Params = {"w": np.eye(2)}
    if there == "the new folder":
        put_arrays({"v": np.zeros(1)}, tmp_path / "spare", staging)
        (tmp_path / "new").mkdir()
    put_arrays(params, tmp_path / "new", staging, spare="spare")
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "w.npy"), params["w"])
    assert (tmp_path / "spare").exists() is (there == "the new folder")


def test_a_result_is_written_over_one_that_was_taken_back(tmp_path: Path, staging: Path) -> None:
    old, new = (TaskId("run", number, "train") for number in (1, 2))
    put_arrays({"w": np.eye(2)}, tmp_path / str(old), staging)
    put_bytes(b"a long manifest", tmp_path / f"{old}.json", staging)
    before = files(tmp_path) | files(tmp_path / str(old))
    spare_published(tmp_path, old, staging)
    assert {path.name for path in tmp_path.iterdir()} == {str(old), staging.name}
    put_arrays({"w": np.ones((2, 2))}, tmp_path / str(new), staging, spare=str(old))
    put_bytes(b"{}", tmp_path / f"{new}.json", staging, over=spare_of("run"))
    after = files(tmp_path) | files(tmp_path / str(new))
    assert {path.name for path in tmp_path.iterdir()} == {str(new), f"{new}.json", staging.name}
    for name, was in ((str(new), str(old)), (f"{new}.json", f"{old}.json"), ("w.npy", "w.npy")):
        assert after[name] == before[was]
    assert (tmp_path / f"{new}.json").read_bytes() == b"{}"
    assert list(staging.iterdir()) == []


def test_a_second_manifest_that_is_taken_back_just_goes(tmp_path: Path, staging: Path) -> None:
    for number in (1, 2):
        task_id = TaskId("run", number, "train")
        put_bytes(str(number).encode(), tmp_path / f"{task_id}.json", staging)
        spare_published(tmp_path, task_id, staging)
    assert [path.read_bytes() for path in staging.iterdir()] == [b"1"]
    assert list(tmp_path.iterdir()) == [staging]


def test_runs_in_one_folder_spare_nothing_for_each_other(tmp_path: Path, staging: Path) -> None:
    task_id = TaskId("one", 1, "train")
    put_bytes(b"one", tmp_path / f"{task_id}.json", staging)
    spare_published(tmp_path, task_id, staging)
    put_bytes(b"two", tmp_path / "two.json", staging, over=spare_of("two"))
    assert [path.name for path in staging.iterdir()] == [spare_of("one")]


def test_what_was_published_can_be_taken_back(tmp_path: Path, staging: Path) -> None:
    put_arrays({"w": np.eye(2)}, tmp_path / "task", staging)
    put_bytes(b"{}", tmp_path / "task.json", staging)
    remove_published(tmp_path, "task")
    assert list(tmp_path.iterdir()) == [staging]


def test_taking_back_twice_is_harmless(tmp_path: Path) -> None:
    remove_published(tmp_path, "task")


@pytest.mark.parametrize(("side", "others"), [("server", set()), ("site", {"logs"})])
def test_each_side_makes_the_folders_it_needs(tmp_path: Path, side: Side, others: set[str]) -> None:
    site = SiteFolder(tmp_path / "site-1", "site-1")
    open_site(site, side)
    open_site(site, side)
    assert {entry.name for entry in site.root.iterdir()} == {"tasks", "results", f".syncthing.fltui.{side}"} | others


def test_a_file_in_place_of_a_site_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "site-1").write_text("")
    with pytest.raises(BadInputError, match=r"site folder .*site-1 cannot be prepared"):
        open_site(SiteFolder(tmp_path / "site-1", "site-1"), "server")


@pytest.mark.parametrize("part", ["tasks", "results", ".syncthing.fltui.server"])
def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path, part: str) -> None:
    site = SiteFolder(tmp_path / "site-1", "site-1")
    open_site(site, "server")
    (site.root / part).rmdir()
    (tmp_path / "elsewhere").mkdir()
    (site.root / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInputError, match=f"{part} is a symbolic link; put a plain folder in its place"):
        open_site(site, "server")


def test_the_first_server_gives_the_exchange_its_identity(tmp_path: Path) -> None:
    first = open_exchange(tmp_path / "exchange").about.read_bytes()
    second = open_exchange(tmp_path / "exchange", durable=True).about.read_bytes()
    assert first == second
    assert [entry.name for entry in (tmp_path / "exchange").iterdir()] == ["exchange.json"]
    assert len(decode(first, ExchangeAbout, "exchange.json").exchange_id) == 16


@pytest.mark.parametrize("said", [errno.EPERM, errno.EIO])  # EIO is what a mount of rclone says
def test_without_hard_links_the_first_server_gives_the_identity_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(said, os.strerror(said))

    monkeypatch.setattr(os, "link", refuse)
    first = open_exchange(tmp_path, durable=True).about.read_bytes()
    monkeypatch.setattr(Path, "exists", lambda _: False)  # the next server looked just before the first one wrote
    assert open_exchange(tmp_path).about.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["exchange.json"]


@pytest.mark.parametrize("delivered", [False, True])
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_manifest_is_no_exchange(tmp_path: Path, kind: str, delivered: bool) -> None:
    ODD[kind](tmp_path / "exchange.json")
    with pytest.raises(BadInputError, match=r"exchange\.json (is not a plain file|has \d+ bytes)"):
        check_exchange(ExchangeFolder(tmp_path), delivered=delivered)
    with pytest.raises(BadInputError, match=r"exchange\.json (is not a plain file|has \d+ bytes)"):
        show_server_key(ExchangeFolder(tmp_path), "")


def test_an_exchange_of_another_protocol_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exchange.json").write_text('{"protocol": 7, "exchange_id": "x"}')
    with pytest.raises(BadInputError, match="speaks protocol 7"):
        open_exchange(tmp_path)


def test_a_file_is_no_exchange(tmp_path: Path) -> None:
    (tmp_path / "exchange").write_text("")
    with pytest.raises(BadInputError, match="cannot be used"):
        open_exchange(tmp_path / "exchange")
