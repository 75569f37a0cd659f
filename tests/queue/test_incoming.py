"""Job folders that people copy into the queue by hand."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fltui.queue.entries import read_queue
from fltui.queue.folder import QueueFolder
from fltui.queue.incoming import SETTLED, Incoming
from tests.queue.made import put_entry, queue_in


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path) -> QueueFolder:
    return queue_in(tmp_path)


def test_a_job_is_taken_in_once_nothing_of_it_changes(queue: QueueFolder, clock: Clock, job: Path) -> None:
    put_entry(queue, "first", 3)
    incoming = Incoming(queue, now=clock)
    (queue.incoming / "mine").mkdir()
    shutil.copy(job / "meta.json", queue.incoming / "mine")
    assert incoming.look() == ([], SETTLED)
    clock.now += SETTLED - 0.5
    shutil.copytree(job, queue.incoming / "mine", dirs_exist_ok=True)  # the copy goes on
    made, left = incoming.look()
    assert (made, left) == ([], SETTLED)
    clock.now += SETTLED
    (entry,), left = incoming.look()
    assert left is None
    found = read_queue(queue).entries[-1]
    assert (found.id, found.about.job, found.about.order, found.about.by) == (entry, "hello", 4, "incoming/")
    assert list(queue.incoming.iterdir()) == []


def test_what_is_no_job_is_told_once_and_left_until_it_is_mended(
    queue: QueueFolder,
    clock: Clock,
    job: Path,
) -> None:
    incoming = Incoming(queue, now=clock)
    (queue.incoming / "file").write_text("x")
    (queue.incoming / "empty").mkdir()
    shutil.copytree(job, queue.incoming / "broken")
    (queue.incoming / "broken" / "app_server" / "config" / "config_fed_server.json").write_text("{")
    shutil.copytree(job, queue.incoming / "piped")
    os.mkfifo(queue.incoming / "piped" / "pipe")
    shutil.copytree(job, queue.incoming / "linked")
    (queue.incoming / "linked" / "passwd").symlink_to("/etc/passwd")
    incoming.look()
    clock.now += SETTLED
    assert incoming.look() == ([], None)
    assert set(incoming.faults) == {"file", "empty", "broken", "piped", "linked"}
    assert "neither a plain file nor a folder" in incoming.faults["piped"]
    shutil.copytree(job, queue.incoming / "broken", dirs_exist_ok=True)
    incoming.look()
    assert "broken" not in incoming.faults
    clock.now += SETTLED
    assert len(incoming.look()[0]) == 1
    shutil.rmtree(queue.incoming / "empty")
    incoming.look()
    assert set(incoming.faults) == {"file", "piped", "linked"}


@pytest.mark.parametrize("at", ["before the job", "before its papers", "before the end"])
def test_a_server_killed_meanwhile_neither_loses_nor_doubles_a_job(queue: QueueFolder, job: Path, at: str) -> None:
    taken = queue.root / ".taken-hello-20260131T120000Z-beef"
    taken.mkdir()
    if at == "before the job":
        shutil.copytree(job, queue.incoming / "mine")
    else:
        shutil.copytree(job, taken / "job")
    if at == "before the end":
        (taken / "entry.json").write_text('{"order": 0, "job": "hello"}')
    clock = Clock()
    incoming = Incoming(queue, now=clock)
    made = incoming.look()[0]
    clock.now += SETTLED
    made += incoming.look()[0]
    assert [entry.id for entry in read_queue(queue).entries] == made
    assert len(made) == 1
    assert not taken.exists()


@pytest.mark.parametrize("agreed", [False, True])
def test_a_job_with_code_of_its_own_is_left_to_its_own_process(
    queue: QueueFolder,
    clock: Clock,
    job: Path,
    agreed: bool,
) -> None:
    shutil.copytree(job, queue.incoming / "mine")
    config = queue.incoming / "mine" / "app_server" / "config" / "config_fed_server.json"
    config.write_text(config.read_text().replace("fltui.workflows.fedavg.FedAvg", "evil.Mine"))
    evil = config.parent.parent / "custom" / "evil.py"
    evil.parent.mkdir(exist_ok=True)
    evil.write_text("raise SystemExit('it ran')\n")
    incoming = Incoming(queue, job_code=agreed, now=clock)
    incoming.look()
    clock.now += SETTLED
    made, _ = incoming.look()
    assert (len(made), set(incoming.faults)) == ((1, set()) if agreed else (0, {"mine"}))


def test_what_a_full_disk_has_interrupted_is_taken_in_later(
    queue: QueueFolder, clock: Clock, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    shutil.copytree(job, queue.incoming / "mine")
    incoming = Incoming(queue, now=clock)
    incoming.look()
    clock.now += SETTLED
    with monkeypatch.context() as patch:
        patch.setattr("fltui.queue.incoming.sync_tree", full)
        with pytest.raises(OSError, match="No space left"):
            incoming.look()
    assert len(incoming.look()[0]) == 1
    assert len(read_queue(queue).entries) == 1


@pytest.mark.parametrize("name", [".taken-x", ".taken-hello-20260131T120000Z-beef"])
@pytest.mark.parametrize("kind", ["file", "link", "other folder"])
def test_what_no_server_has_begun_to_take_in_is_left_alone(
    queue: QueueFolder, tmp_path: Path, kind: str, name: str
) -> None:
    path = queue.root / name
    if kind == "file":
        path.write_text("x")
    elif kind == "link":
        path.symlink_to(tmp_path)
    else:
        (path / "mine").mkdir(parents=True)
    incoming = Incoming(queue)
    assert incoming.look() == ([], None)
    assert set(incoming.faults) == {name}
    assert os.path.lexists(path)


def test_nothing_is_taken_in_from_elsewhere(queue: QueueFolder, clock: Clock, job: Path) -> None:
    queue.incoming.rmdir()
    queue.incoming.symlink_to(job.parent)
    queue.make()
    incoming = Incoming(queue, now=clock)
    incoming.look()
    clock.now += SETTLED
    assert incoming.look() == ([], None)
    assert "is a link" in incoming.faults["incoming"]
    assert job.is_dir()


def test_a_server_begins_beside_what_is_nested_too_deep(queue: QueueFolder) -> None:
    (queue.root / ".deleted-x").mkdir()
    with contextlib.chdir(queue.root / ".deleted-x"):
        for _ in range(1100):
            Path("a").mkdir()
            os.chdir("a")
    queue.tidy()
    subprocess.run(["rm", "-rf", str(queue.root / ".deleted-x")], check=True)
