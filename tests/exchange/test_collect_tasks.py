"""Reading what the server wrote, at a site."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fltui.errors import NotYetError, RefusedError
from fltui.exchange import collect
from fltui.exchange.collect import read_params, read_task
from fltui.exchange.layout import SiteFolder, TaskId
from fltui.exchange.manifest import Task, digest
from fltui.exchange.publish import put_arrays, put_document
from tests.exchange.manifests import TASK_ID, task

MODEL = {"w": np.arange(4.0, dtype=np.float32), "b": np.array([0.5, -1.5])}
LARGE = np.arange(300_000, dtype=np.float32).reshape(1000, 300)


def publish_task(site: SiteFolder, params: dict[str, NDArray[Any]]) -> Task:
    entries = put_arrays(params, site.tasks / TASK_ID, site.staging("server"))
    put_document(task(*entries), site.tasks / f"{TASK_ID}.json", site.staging("server"))
    return task(*entries)


def test_a_task_is_read_back_with_its_digest(site: SiteFolder) -> None:
    published = publish_task(site, MODEL)
    found, in_reply_to = read_task(site, TaskId.parse(TASK_ID) or pytest.fail())
    assert found == published
    assert in_reply_to == digest((site.tasks / f"{TASK_ID}.json").read_bytes())


def test_the_arrays_of_a_task_are_the_scripts_own(site: SiteFolder) -> None:
    params = read_params(site, publish_task(site, MODEL))
    assert params.keys() == MODEL.keys()
    params["w"][:] = 7
    np.testing.assert_array_equal(np.load(site.tasks / TASK_ID / "w.npy"), MODEL["w"])


def test_a_task_without_a_model_has_no_params(site: SiteFolder) -> None:
    assert read_params(site, publish_task(site, {})) == {}


def test_a_task_for_another_site_is_refused(site: SiteFolder) -> None:
    publish_task(site, MODEL)
    other = SiteFolder(site.root, "site-2")
    with pytest.raises(RefusedError, match="of site 'site-1'"):
        read_task(other, TaskId.parse(TASK_ID) or pytest.fail())


def test_a_task_under_another_name_is_refused(site: SiteFolder) -> None:
    publish_task(site, MODEL)
    other = TaskId("another-run", 3, "train")
    shutil.copy(site.tasks / f"{TASK_ID}.json", site.tasks / f"{other}.json")
    with pytest.raises(RefusedError, match="another-run"):
        read_task(site, other)


def test_a_task_that_is_not_there_is_awaited(site: SiteFolder) -> None:
    with pytest.raises(NotYetError):
        read_task(site, TaskId("run", 0, "train"))


def test_a_task_whose_arrays_are_on_their_way_is_awaited(site: SiteFolder) -> None:
    published = publish_task(site, MODEL)
    (site.tasks / TASK_ID / "w.npy").unlink()
    with pytest.raises(NotYetError, match=r"w\.npy is not there"):
        read_params(site, published)


def test_linked_arrays_are_fine_in_a_task(site: SiteFolder, tmp_path: Path) -> None:
    published = publish_task(site, MODEL)
    os.link(site.tasks / TASK_ID / "w.npy", tmp_path / "the copy of another site")
    np.testing.assert_array_equal(read_params(site, published)["w"], MODEL["w"])


@pytest.mark.parametrize("mapped", [False, True])
def test_large_arrays_can_be_changed_and_the_task_stays_as_it_is(site: SiteFolder, mapped: bool) -> None:
    published = publish_task(site, {"w": LARGE, "b": MODEL["b"]})
    for file in (site.tasks / TASK_ID).iterdir():
        file.chmod(0o444)  # as the simulator's are
    params = read_params(site, published, mapped=mapped)
    np.testing.assert_array_equal(params["w"], LARGE)
    assert params["w"].flags.c_contiguous
    assert params["w"].flags.owndata is not mapped
    assert params["b"].flags.owndata
    params["w"] += 1
    params["b"] += 1
    np.testing.assert_array_equal(np.load(site.tasks / TASK_ID / "w.npy"), LARGE)
    shutil.rmtree(site.tasks / TASK_ID)
    np.testing.assert_array_equal(params["w"], LARGE + 1)


def test_where_a_file_cannot_be_mapped_it_is_read(site: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(mmap.mmap):
        def __new__(cls, *_: object, **__: object) -> Refusing:
            raise OSError(errno.ENODEV, "No such device")

    published = publish_task(site, {"w": LARGE})
    monkeypatch.setattr(mmap, "mmap", Refusing)
    params = read_params(site, published, mapped=True)
    np.testing.assert_array_equal(params["w"], LARGE)


def test_of_many_arrays_the_largest_are_mapped(site: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "_MOST_MAPPED", 2)
    sizes = {"a": 300_000, "b": 500_000, "c": 400_000}
    params = read_params(
        site, publish_task(site, {name: np.zeros(size, np.float32) for name, size in sizes.items()}), mapped=True
    )
    assert {name: array.flags.owndata for name, array in params.items()} == {"a": True, "b": False, "c": False}


def test_a_task_that_is_just_taken_back_is_none(site: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file has a second name then, and may hold the next one already."""
    publish_task(site, MODEL)
    path = site.tasks / f"{TASK_ID}.json"
    task_id = TaskId.parse(TASK_ID) or pytest.fail()
    (site.staging("server") / "spare").hardlink_to(path)
    assert read_task(site, task_id)

    def read_late(fd: int, limit: int, where: str) -> bytes:
        path.unlink(missing_ok=True)
        return b"another"

    monkeypatch.setattr(collect, "read_bytes", read_late)
    with pytest.raises(NotYetError, match="was taken back"):
        read_task(site, task_id)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_large_array_that_is_another_is_awaited(site: SiteFolder, mapped: bool) -> None:
    published = publish_task(site, {"w": LARGE})
    with (site.tasks / TASK_ID / "w.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    with pytest.raises(NotYetError, match="differs from the digest"):
        read_params(site, published, mapped=mapped)
