from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fltui.exchange import hints as module
from fltui.exchange.hints import Hints
from fltui.exchange.watch import FIRST_DOUBT, FIRST_LOOK, LONGEST_WAIT, WatchMode
from tests.exchange.arriving import rename, write

PATIENCE = 30.0
"""Seconds until a test gives up; an event takes milliseconds."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs inotify")


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder where something arrives."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder


@pytest.fixture(params=["inotify", "observer"])
def hints(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hints]:
    """Of either source."""
    if request.param == "observer":
        monkeypatch.setattr(module, "_Inotify", lambda: module._Observed(tmp_path))
    elif sys.platform != "linux":
        pytest.skip("needs inotify")
    found = Hints(tmp_path, WatchMode.EVENTS)
    yield found
    found.close()


@pytest.mark.parametrize("bring", [write, rename])
def test_where_something_arrived_is_told_once(hints: Hints, tasks: Path, bring: Callable[[Path], None]) -> None:
    hints.add(tasks)
    bring(tasks)
    assert hints.wait(PATIENCE) == {tasks}
    while hints.wait(0.05):  # watchdog tells of the making and of the closing
        pass
    assert hints.take() == set()


def test_one_hint_serves_all_that_has_arrived(hints: Hints, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
        hints.add(folder)
    for folder in folders[:2]:
        rename(folder)
        rename(folder)
    found: set[Path] = set()
    while found != set(folders[:2]):
        more = hints.wait(PATIENCE)
        assert more
        found |= more


def test_who_waits_in_vain_goes_on(hints: Hints, tasks: Path) -> None:
    hints.add(tasks)
    assert hints.wait(0.01) == set()
    assert hints.wait(-1) == set()


def test_a_folder_that_is_not_there_gives_no_hints(hints: Hints, tasks: Path) -> None:
    hints.add(tasks.parent / "not there")
    hints.add(tasks)
    rename(tasks)
    assert hints.wait(PATIENCE) == {tasks}


@linux
def test_who_is_told_looks_seldom_and_who_is_not_looks_soon(tasks: Path) -> None:
    hints = Hints(tasks.parent, WatchMode.EVENTS)

    def first_looks() -> list[float]:
        return [hints.backoff(trusted=trusted).next() for trusted in (False, True)]

    assert hints.add(tasks)
    assert first_looks() == [FIRST_DOUBT, LONGEST_WAIT]
    assert not hints.add(tasks / "missing")
    assert first_looks() == [FIRST_LOOK, FIRST_LOOK]
    (tasks / "missing").mkdir()
    hints.renew()
    assert first_looks() == [FIRST_DOUBT, LONGEST_WAIT]
    (tasks / "missing").rmdir()
    hints.take()
    assert first_looks() == [FIRST_LOOK, FIRST_LOOK]
    hints.close()
    assert first_looks() == [FIRST_LOOK, FIRST_LOOK]


def test_the_same_path_can_be_watched_anew(hints: Hints, tasks: Path) -> None:
    hints.add(tasks)
    tasks.rename(tasks.with_name("before"))
    tasks.mkdir()
    hints.renew()
    rename(tasks)
    assert hints.wait(PATIENCE) == {tasks}


@linux
def test_closing_what_a_script_has_closed_is_harmless(tmp_path: Path) -> None:
    hints = Hints(tmp_path, WatchMode.EVENTS)
    os.close(hints.fileno() or pytest.fail())
    hints.close()
    assert hints.fileno() is None


def test_closing_twice_is_harmless(hints: Hints, tasks: Path) -> None:
    hints.add(tasks)
    hints.close()
    hints.close()
    assert hints.fileno() is None
    assert hints.wait(0) == set()


async def test_an_event_loop_is_told(hints: Hints, tasks: Path) -> None:
    hints.add(tasks)
    heard: asyncio.Queue[set[Path]] = asyncio.Queue()
    hints.follow(asyncio.get_running_loop(), heard.put_nowait)
    rename(tasks)
    while not (found := await asyncio.wait_for(heard.get(), PATIENCE)):
        pass  # what woke the loop had no news
    assert found == {tasks}
    hints.close()
    rename(tasks)
    await asyncio.sleep(0)
    assert heard.empty()


@linux
def test_new_folders_of_arrays_are_no_news(tasks: Path) -> None:
    hints = Hints(tasks.parent, WatchMode.EVENTS)
    hints.add(tasks)
    (tasks / "task").mkdir()
    (tasks / "task").rename(tasks / "other")
    assert hints.wait(0.01) == set()
    hints.close()


@linux
def test_no_thread_stands_between(tasks: Path) -> None:
    before = threading.active_count()
    hints = Hints(tasks.parent, WatchMode.EVENTS)
    hints.add(tasks)
    rename(tasks)
    assert hints.wait(PATIENCE) == {tasks}
    assert threading.active_count() == before
    hints.close()


@linux
def test_an_overflow_means_everywhere(tmp_path: Path) -> None:
    hints = Hints(tmp_path, WatchMode.EVENTS)
    folders = {tmp_path / name for name in "ab"}
    for folder in folders:
        folder.mkdir()
        hints.add(folder)
    fd = hints.fileno()
    assert fd is not None
    overflow = struct.pack("iIII", -1, 0x4000, 0, 0)
    read, write = os.pipe()
    os.write(write, overflow)
    os.set_blocking(read, False)
    os.dup2(read, fd)
    assert hints.take() == folders
    for one in (read, write):
        os.close(one)
    hints.close()


@linux
def test_no_program_that_is_started_gets_the_descriptor(tmp_path: Path) -> None:
    hints = Hints(tmp_path, WatchMode.EVENTS)
    assert fcntl.fcntl(hints.fileno() or 0, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    hints.close()


def test_polling_gives_no_hints(tasks: Path) -> None:
    hints = Hints(tasks.parent, WatchMode.POLL)
    assert not hints.add(tasks)
    assert hints.backoff(trusted=True).next() == FIRST_LOOK
    rename(tasks)
    assert hints.fileno() is None
    assert hints.wait(0.01) == set()


@linux
def test_a_user_who_may_have_no_more_watches_gets_no_hints(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(module, "_Inotify", refuse)
    hints = Hints(tasks.parent, WatchMode.EVENTS)
    hints.add(tasks)
    rename(tasks)
    assert hints.wait(0.01) == set()
    hints.close()


# Hints that another process gives


def relay() -> tuple[int, int]:
    """The ends of a pipe as the simulator makes it."""
    theirs, ours = os.pipe()
    for fd in (theirs, ours):
        os.set_blocking(fd, False)
    return theirs, ours


def test_a_byte_of_another_process_is_a_hint(tasks: Path) -> None:
    theirs, ours = relay()
    hints = Hints(tasks.parent, WatchMode.EVENTS, theirs)
    hints.add(tasks)
    assert hints.wait(0.01) == set()
    os.write(ours, b"!!")
    assert hints.wait(PATIENCE) == {tasks}
    hints.renew()
    os.write(ours, b"!")
    assert hints.wait(PATIENCE) == {tasks}
    assert hints.wait(0) == set()
    hints.close()
    os.close(ours)


def test_when_that_process_is_gone_there_are_no_more_hints(tasks: Path) -> None:
    theirs, ours = relay()
    hints = Hints(tasks.parent, WatchMode.EVENTS, theirs)
    hints.add(tasks)
    os.close(ours)
    assert hints.wait(PATIENCE) == set()
    assert hints.fileno() is None
