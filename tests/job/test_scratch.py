"""Temporary folders of processes that end well, and of those that are killed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.exchange.lock import hold, let_go
from fltui.job.scratch import scratch_folder

KILLED = """
import os, signal
from fltui.job.scratch import scratch_folder
with scratch_folder("kind") as folder:
    (folder / "file").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_is_for_this_user_alone_and_goes_with_its_lock(place: Path) -> None:
    with scratch_folder("kind") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent == place
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_goes_when_the_next_one_begins(place: Path) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert len(list(place.glob("kind-*/file"))) == 1
    with scratch_folder("kind") as folder:
        assert list(place.glob("kind-*/")) == [folder]
    assert list(place.iterdir()) == []


def test_those_of_live_processes_and_of_other_kinds_stay(place: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED.replace('"kind"', '"other"')], check=False)
    with scratch_folder("kind") as first, scratch_folder("kind") as second:
        assert first.is_dir()
        assert second.is_dir()
    assert len(list(place.glob("other-*/file"))) == 1


def test_a_link_in_its_place_is_not_followed(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "file").touch()
    (place / "kind-0.lock").touch()
    (place / "kind-0").symlink_to(place / "mine")
    with scratch_folder("kind"):
        pass
    assert (place / "mine" / "file").exists()


def test_without_room_for_it_the_place_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.devnull)
    with (
        pytest.raises(BadInputError, match=r"no folder for temporary files: Not a directory \(/dev/null/"),
        scratch_folder("kind"),
    ):
        pass


def test_one_that_is_held_just_after_the_look_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def just_before(lock: Path) -> bool:
        made.append(hold(lock))
        lock.with_suffix("").mkdir()
        return False

    monkeypatch.setattr("fltui.job.scratch.is_held", just_before)
    (place / "kind-0.lock").touch()
    with scratch_folder("kind"):
        assert (place / "kind-0").is_dir()
        assert (place / "kind-0.lock").is_file()
    (held,) = made
    assert held is not None
    let_go(place / "kind-0.lock", held)


def test_without_more_descriptors_nothing_is_taken_for_dead(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch_folder("kind") as first:
        real = os.open

        def open_(path: Any, *rest: Any, **more: Any) -> int:
            if str(path) == str(first.with_suffix(".lock")):
                raise OSError(errno.EMFILE, "Too many open files", str(path))
            return real(path, *rest, **more)

        monkeypatch.setattr(os, "open", open_)
        with scratch_folder("kind"):
            assert first.is_dir()
            assert first.with_suffix(".lock").is_file()


def test_what_cannot_be_removed_keeps_its_lock_for_the_next_one(place: Path) -> None:
    (place / "kind-0.lock").touch()
    (place / "kind-0").symlink_to(place)
    with scratch_folder("kind"):
        assert (place / "kind-0.lock").exists()
    with scratch_folder("kind"):
        (place / "kind-0").unlink()
    with scratch_folder("kind"):
        assert not (place / "kind-0.lock").exists()
