"""Temporary folders of processes that end well, and of those that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fltui.errors import BadInputError
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
