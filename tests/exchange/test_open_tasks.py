"""What the server changes in a site's folder stays in that folder, whatever the site does with its names meanwhile."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fltui.exchange import held
from fltui.exchange.layout import SERVER, SiteFolder, TaskId
from fltui.exchange.publish import OpenTasks, open_site, open_tasks, spare_of

TASK = TaskId("hello-20260131T120000Z-beef", 3, "train")
OLD = TaskId(TASK.run, 0, TASK.name)
STAGING = ".syncthing.fltui.server"


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    return prepared(tmp_path, "a")


@pytest.fixture
def other(tmp_path: Path) -> SiteFolder:
    return prepared(tmp_path, "b")


def prepared(exchange: Path, name: str) -> SiteFolder:
    """The folder of a site, as a server makes it."""
    site = SiteFolder(exchange / name, name)
    open_site(site, "server")
    return site


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.npy"
    path.write_bytes(b"model" * 1000)
    return path


def below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("put", [OpenTasks.put_copies, OpenTasks.put_links])
def test_a_task_lies_under_its_name_and_nothing_is_left_beside(
    site: SiteFolder, source: Path, put: Callable[..., None], durable: bool
) -> None:
    for _ in range(2):  # the second time in place of the first
        with open_tasks(site) as tasks:
            put(tasks, TASK, {"w.npy": source}, durable=durable)
            tasks.put_manifest(TASK, b"{}", durable=durable)
    assert below(site.root) == {f"tasks/{TASK}.json": b"{}", f"tasks/{TASK}/w.npy": source.read_bytes()}
    assert (site.tasks / str(TASK) / "w.npy").samefile(source) is (put is OpenTasks.put_links)


def test_a_copy_is_read_only(site: SiteFolder, source: Path) -> None:
    with open_tasks(site) as tasks:
        tasks.put_copies(TASK, {"w.npy": source})
    assert (site.tasks / str(TASK) / "w.npy").stat().st_mode & 0o222 == 0


def test_a_disk_without_links_gets_copies(site: SiteFolder, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with open_tasks(site) as tasks:
        tasks.put_links(TASK, {"w.npy": source})
    assert below(site.root) == {f"tasks/{TASK}/w.npy": source.read_bytes()}
    assert not (site.tasks / str(TASK) / "w.npy").samefile(source)


def test_a_task_can_be_taken_back_twice(site: SiteFolder, source: Path) -> None:
    with open_tasks(site) as tasks:
        tasks.put_copies(TASK, {"w.npy": source})
        tasks.put_manifest(TASK, b"{}")
        tasks.remove(TASK)
        tasks.remove(TASK)
    assert list(site.tasks.iterdir()) == []


@pytest.mark.parametrize("put", [OpenTasks.put_copies, OpenTasks.put_links])
def test_a_task_takes_the_folder_that_another_left_empty(
    site: SiteFolder, source: Path, put: Callable[..., None]
) -> None:
    with open_tasks(site) as tasks:
        tasks.put_copies(OLD, {"w.npy": source, "b.npy": source})
        tasks.put_manifest(OLD, b"{}")
        folder = (site.tasks / str(OLD)).stat().st_ino
        assert tasks.empty(OLD)
        assert [path.name for path in site.tasks.iterdir()] == [str(OLD)]
        put(tasks, TASK, {"w.npy": source}, spare=OLD)
        tasks.remove_spare(OLD)
        assert (site.tasks / str(TASK)).stat().st_ino == folder
        assert below(site.root) == {f"tasks/{TASK}/w.npy": source.read_bytes()}


def test_a_task_is_written_over_the_manifest_of_another(site: SiteFolder) -> None:
    with open_tasks(site) as tasks:
        tasks.put_copies(OLD, {})
        tasks.put_manifest(OLD, b"a longer one")
        file = site.task(OLD).stat().st_ino
        tasks.empty(OLD)
        tasks.put_manifest(TASK, b"{}")
    assert below(site.root) == {f"tasks/{TASK}.json": b"{}"}
    assert site.task(TASK).stat().st_ino == file


def spare_link(spare: Path, mine: Path) -> None:
    spare.symlink_to(mine)


def spare_second_name(spare: Path, mine: Path) -> None:
    os.link(mine, spare)


def spare_fifo(spare: Path, mine: Path) -> None:
    os.mkfifo(spare)


def spare_of_another_user(spare: Path, mine: Path) -> None:
    spare.write_bytes(b"theirs")
    os.chown(spare, 12345, 12345)


@pytest.mark.parametrize("lay", [spare_link, spare_second_name, spare_fifo, spare_of_another_user])
def test_nothing_is_written_over_what_a_site_lays_there(
    site: SiteFolder, tmp_path: Path, lay: Callable[[Path, Path], None]
) -> None:
    if lay is spare_of_another_user and os.geteuid():
        pytest.skip("only root can give a file to another user")
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    lay(site.staging(SERVER) / spare_of(TASK.run), mine)
    with open_tasks(site) as tasks:
        tasks.put_manifest(TASK, b"{}")
    assert mine.read_bytes() == b"mine"
    assert site.task(TASK).read_bytes() == b"{}"
    assert site.task(TASK).stat().st_nlink == 1


def test_what_must_survive_a_power_cut_is_written_over_nothing(site: SiteFolder, source: Path) -> None:
    spare = site.staging(SERVER) / spare_of(OLD.run)
    with open_tasks(site) as tasks:
        tasks.put_copies(OLD, {"w.npy": source})
        tasks.put_manifest(OLD, b"old")
        tasks.empty(OLD)
        tasks.put_manifest(TASK, b"new", durable=True)
        assert (spare.read_bytes(), site.task(TASK).read_bytes()) == (b"old", b"new")
        tasks.remove_spare(OLD)
        tasks.empty(TASK, durable=True)
    assert list(site.staging(SERVER).iterdir()) == []


def test_of_a_task_without_arrays_nothing_is_spared(site: SiteFolder) -> None:
    with open_tasks(site) as tasks:
        tasks.put_manifest(OLD, b"{}")
        assert not tasks.empty(OLD)
    assert below(site.root) == {}


def test_an_empty_folder_may_have_its_new_name_already(site: SiteFolder, source: Path) -> None:
    with open_tasks(site) as tasks:
        tasks.put_copies(OLD, {"w.npy": source})
        tasks.empty(OLD)
        assert tasks.rename_empty(OLD, TASK)
        folder = (site.tasks / str(TASK)).stat().st_ino
        assert not tasks.rename_empty(OLD, TASK)
        tasks.put_links(TASK, {"w.npy": source}, spare=TASK)
    assert (site.tasks / str(TASK)).stat().st_ino == folder
    assert below(site.root) == {f"tasks/{TASK}/w.npy": source.read_bytes()}


def test_what_a_dead_server_left_outside_of_its_last_rounds_goes(site: SiteFolder) -> None:
    rounds = [TaskId("run", number, "train") for number in range(6)]
    for number, task_id in enumerate(rounds):
        (site.tasks / str(task_id)).mkdir()
        if number in (0, 2, 5):
            site.task(task_id).write_text("{}")
    (site.tasks / str(TaskId("other", 9, "train"))).mkdir()
    with open_tasks(site) as tasks:
        tasks.remove_outside("run", 2, 3)
    left = sorted(path.name for path in site.tasks.iterdir() if path.is_dir())
    assert left == [str(TaskId("other", 9, "train")), *(str(rounds[number]) for number in (2, 3, 5))]


def test_a_spare_folder_that_has_gone_is_none(site: SiteFolder, source: Path) -> None:
    with open_tasks(site) as tasks:
        assert not tasks.empty(OLD)
        tasks.put_copies(TASK, {"w.npy": source}, spare=OLD)
    assert below(site.root) == {f"tasks/{TASK}/w.npy": source.read_bytes()}


def test_a_folder_with_more_than_files_is_removed(site: SiteFolder) -> None:
    (site.tasks / str(OLD) / "deeper").mkdir(parents=True)
    with open_tasks(site) as tasks:
        assert not tasks.empty(OLD)
    assert list(site.tasks.iterdir()) == []


@pytest.mark.parametrize("part", ["tasks", STAGING])
def test_a_link_on_the_way_is_named(site: SiteFolder, other: SiteFolder, part: str) -> None:
    (site.root / part).rmdir()
    (site.root / part).symlink_to(other.root / part)
    sentence = rf"expected a plain folder: '{re.escape(str(site.root / part))}'"
    with pytest.raises(OSError, match=sentence), open_tasks(site):
        pass


def test_a_link_in_place_of_the_arrays_is_named(site: SiteFolder, other: SiteFolder, source: Path) -> None:
    (site.tasks / str(TASK)).symlink_to(other.tasks)
    with open_tasks(site) as tasks, pytest.raises(OSError, match="it is a symbolic link"):
        tasks.put_copies(TASK, {"w.npy": source})
    assert below(other.root) == {}


def test_a_site_may_lie_elsewhere_but_not_at_another_site(tmp_path: Path, other: SiteFolder) -> None:
    elsewhere = prepared(tmp_path / "elsewhere", "a")
    for name, place in (("c", elsewhere.root), ("d", other.root)):
        (tmp_path / name).symlink_to(place)
    with open_tasks(SiteFolder(tmp_path / "c", "c")) as tasks:
        tasks.put_manifest(TASK, b"{}")
    assert below(elsewhere.root) == {f"tasks/{TASK}.json": b"{}"}
    with pytest.raises(OSError, match="it leads to the folder of b"), open_tasks(SiteFolder(tmp_path / "d", "d")):
        pass


CHANGES: dict[str, Callable[[OpenTasks, Path], object]] = {
    "copy": lambda tasks, source: tasks.put_copies(TASK, {"w.npy": source}, durable=True),
    "link": lambda tasks, source: tasks.put_links(TASK, {"w.npy": source}, durable=True),
    "link in a spare folder": lambda tasks, source: tasks.put_links(TASK, {"w.npy": source}, spare=OLD, durable=True),
    "manifest": lambda tasks, _: tasks.put_manifest(TASK, b"{}", durable=True),
    "empty": lambda tasks, _: tasks.empty(TASK),
    "remove": lambda tasks, _: tasks.remove(TASK),
    "remove the manifest": lambda tasks, _: tasks.remove_manifest(TASK),
    "remove old rounds": lambda tasks, _: tasks.remove_outside(TASK.run, TASK.round + 1, TASK.round + 1),
    "rename": lambda tasks, _: tasks.rename_empty(TASK, OLD),
    "remove what was on its way": lambda tasks, _: tasks.remove_staged(TASK.run),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_site_that_swaps_its_folders_meanwhile_reaches_nobody(
    tmp_path: Path, other: SiteFolder, source: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Before every single call the site puts links to another site in place of its folders."""
    for part in ("tasks", STAGING):
        (other.root / part / str(TASK)).mkdir()
        (other.root / part / str(TASK) / "w.npy").write_bytes(b"theirs")
        for name in (f"{TASK}.json", f"{TASK}.w.npy"):
            (other.root / part / name).write_bytes(b"theirs")
    before = below(other.root)
    site = prepared(tmp_path, "a")
    swapped = 0

    def swap() -> None:
        nonlocal swapped
        for part in ("tasks", STAGING):
            path = site.root / part
            path.rename(site.root / f"moved-{swapped}-{part}")
            path.symlink_to(other.root / part)
        swapped += 1

    def swapping(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            with monkeypatch.context() as undone:
                undone.setattr(held, "os", os)
                swap()
            return real(*args, **more)

        return call

    class Swapped:
        """`os`, and a site that is quick."""

        def __getattr__(self, name: str) -> Any:
            found = getattr(os, name)
            return (
                swapping(found)
                if name in ("mkdir", "open", "rename", "replace", "link", "unlink", "listdir")
                else found
            )

    with open_tasks(site) as tasks:
        monkeypatch.setattr(held, "os", Swapped())
        CHANGES[change](tasks, source)
    assert swapped
    assert below(other.root) == before
