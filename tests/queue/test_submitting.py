"""Putting jobs into a queue."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import NoReturn

import pytest

import fltui.queue.submitting
from fltui.errors import BadInputError
from fltui.job.folder import load_job
from fltui.queue.documents import EntryEnd, Wishes
from fltui.queue.entries import Standing, read_entry
from fltui.queue.folder import QueueFolder
from fltui.queue.submitting import clone, submit
from tests.queue.made import put_entry, queue_in


def test_a_job_is_checked_and_put_at_the_end(tmp_path: Path, job: Path) -> None:
    queue = queue_in(tmp_path)
    put_entry(queue, "other", 41)
    folder = submit(queue, job, Wishes(rounds=7, seed=3))
    entry = read_entry(folder)
    assert (entry.standing, entry.about.order, entry.about.job) == (Standing.WAITING, 42, "hello")
    assert entry.about.wishes == Wishes(rounds=7, seed=3)
    assert load_job(folder.job).sites.keys() == {"site-1", "site-2"}
    assert sorted(path.name for path in queue.root.iterdir()) == ["bell", folder.id, "incoming", "other"]
    assert {path.name for path in folder.root.iterdir()} == {"entry.json", "job", "lock"}


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (Wishes(sites=["site-9"]), "no app for site 'site-9'"),
        (Wishes(sites=["site-1"]), "needs at least 2 sites and names 1"),
        (Wishes(count=3), "names 2; it cannot be served to 3"),
        (Wishes(groups=["schools"]), "no group 'schools'"),
        (Wishes(sites=["labz"]), "did you mean 'labs'"),
    ],
)
def test_what_could_not_be_served_is_refused_before_it_is_there(
    tmp_path: Path, job: Path, wishes: Wishes, said: str
) -> None:
    queue = queue_in(tmp_path)
    queue.groups.write_text(json.dumps({"labs": ["site-1", "site-2"]}))
    with pytest.raises(BadInputError, match=said):
        submit(queue, job, wishes)
    assert sorted(path.name for path in queue.root.iterdir()) == ["groups.json", "incoming"]


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    queue = queue_in(tmp_path)
    monkeypatch.setattr(fltui.queue.submitting, "sync_folder", full)
    other = put_entry(queue, "other")
    (other.job / "x").write_text("x")
    monkeypatch.setattr(fltui.queue.submitting, "sync_tree", full)
    with pytest.raises(BadInputError, match=r"cannot be put into queue .*: No space left on device"):
        clone(queue, read_entry(other))
    assert sorted(path.name for path in queue.root.iterdir()) == ["incoming", "other"]


def test_an_entry_that_is_over_is_cloned_as_it_was_or_with_changes(tmp_path: Path, job: Path) -> None:
    queue = queue_in(tmp_path)
    folder = submit(queue, job, Wishes(rounds=7))
    folder.put(EntryEnd(state="FINISHED:FAILED", reason="no disk"), folder.end)
    again = read_entry(clone(queue, read_entry(folder)))
    assert (again.standing, again.about.clone_of, again.about.order) == (Standing.WAITING, folder.id, 1)
    assert again.about.wishes == Wishes(rounds=7)
    other = read_entry(clone(queue, again, Wishes(rounds=9)))
    assert other.about.wishes == Wishes(rounds=9)
    assert load_job(other.folder.job).name == "hello"


def test_what_a_killed_submit_left_is_removed_and_a_live_one_left_alone(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    for name in (".new-dead", ".deleted-x-1"):
        (queue.root / name / "job").mkdir(parents=True)
    (queue.root / ".new-dead.lock").touch()
    with fltui.queue.submitting._new_entry(queue, "hello") as live:
        queue.tidy()
        assert live.root.is_dir()
        assert {path.name for path in queue.root.iterdir()} == {"incoming", live.id, f"{live.id}.lock"}
    assert [path.name for path in queue.root.iterdir()] == ["incoming"]


def test_a_folder_that_cannot_be_a_queue_is_told(tmp_path: Path, job: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInputError, match=r"queue .*file cannot be used"):
        submit(QueueFolder(tmp_path / "file"), job, Wishes())


@pytest.mark.parametrize("mode", [0o770, 0o750])
def test_the_group_may_change_entries_where_it_may_write_in_the_queue(tmp_path: Path, job: Path, mode: int) -> None:
    """The server, and all who submit, are different users."""
    queue = queue_in(tmp_path)
    queue.root.chmod(mode)
    folder = submit(queue, job, Wishes())
    shared = [bool(path.stat().st_mode & 0o020) for path in (folder.root, folder.lock, queue.bell)]
    assert shared == [mode == 0o770] * 3
