from __future__ import annotations

import errno
import queue
from collections.abc import Callable
from pathlib import Path

import pytest
from watchdog.observers import Observer

from fltui.exchange.watch import FIRST_DOUBT, Backoff, Watcher, WatchMode, is_remote
from tests.exchange.arriving import rename, write

PATIENCE = 30.0
"""Seconds until a test gives up; an event takes milliseconds."""


def test_waits_double_from_10_ms_to_2_s() -> None:
    backoff = Backoff()
    assert [backoff.next() for _ in range(10)] == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.0, 2.0]


def test_where_an_event_should_have_told_the_first_look_is_later() -> None:
    backoff = Backoff(FIRST_DOUBT)
    assert [backoff.next() for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]
    backoff.reset()
    assert backoff.next() == 0.25


def test_something_that_moved_is_looked_at_soon() -> None:
    backoff = Backoff()
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.01


@pytest.mark.parametrize("bring", [write, rename])
def test_an_arrival_is_reported_with_its_path(tmp_path: Path, bring: Callable[[Path], None]) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    arrivals: queue.Queue[str] = queue.Queue()
    watcher = Watcher(arrivals.put, tmp_path, WatchMode.EVENTS)
    try:
        watcher.add(tasks)
        watcher.add(tasks)
        bring(tasks)
        assert arrivals.get(timeout=PATIENCE) == str(tasks / "a.json")
    finally:
        watcher.close()


def test_a_line_appended_is_reported_where_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "site-1.log"
    arrivals: queue.Queue[str] = queue.Queue()
    with log.open("a", buffering=1) as file:
        watcher = Watcher(arrivals.put, tmp_path, WatchMode.EVENTS, writes=True)
        try:
            watcher.add(tmp_path)
            file.write("one line\n")
            assert arrivals.get(timeout=PATIENCE) == str(log)
        finally:
            watcher.close()


def test_polling_starts_no_observer(tmp_path: Path) -> None:
    watcher = Watcher(lambda path: None, tmp_path, WatchMode.POLL)
    watcher.add(tmp_path / "not there")
    watcher.close()


@pytest.mark.parametrize("step", ["__init__", "start", "schedule"])
def test_a_user_who_may_have_no_more_watches_gets_no_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Of 200 sites of one machine, some get none: Linux gives a user 128 by default."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(Observer, step, refuse)
    arrivals: queue.Queue[str] = queue.Queue()
    watcher = Watcher(arrivals.put, tmp_path, WatchMode.EVENTS)
    watcher.add(tmp_path)
    write(tmp_path)
    watcher.close()
    assert arrivals.empty()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    watcher = Watcher(lambda path: None, tmp_path, WatchMode.EVENTS)
    watcher.close()
    watcher.close()


MOUNTS = r"""
1 0 0:1 / / rw - ext4 /dev/root rw
2 1 0:2 / /mnt/share rw - nfs4 server:/ rw
3 1 0:3 / /mnt/share/local rw - xfs /dev/sdb rw
4 1 0:4 / /mnt/two\040words rw shared:7 - fuse.sshfs server: rw
""".strip()


@pytest.mark.parametrize(
    ("path", "remote"),
    [
        ("/home/me", False),
        ("/mnt/share", True),
        ("/mnt/share/exchange", True),
        ("/mnt/shared", False),
        ("/mnt/share/local/exchange", False),
        ("/mnt/two words/exchange", True),
    ],
)
def test_the_nearest_mount_decides_whether_changes_are_reported(
    monkeypatch: pytest.MonkeyPatch, path: str, remote: bool
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "read_text", lambda self, **_: MOUNTS)
    assert is_remote(Path(path)) is remote


def test_a_system_without_mountinfo_has_no_remote_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, **_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert not is_remote(Path("/mnt"))
