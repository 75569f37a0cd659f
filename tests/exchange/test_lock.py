"""Locks that end with their process."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from fltui.exchange.lock import hold, is_held, let_go


def test_a_file_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    fd = hold(path)
    assert fd is not None
    assert is_held(path)
    with pytest.raises(BlockingIOError):
        hold(path)
    os.close(fd)
    assert not is_held(path)


def test_a_file_system_without_locks_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert hold(tmp_path / "lock") is None
    assert not is_held(tmp_path / "lock")


def test_letting_go_of_what_somebody_has_closed_is_harmless(tmp_path: Path) -> None:
    held = hold(tmp_path / "lock")
    assert held is not None
    os.close(held)
    let_go(tmp_path / "lock", held)
    assert not (tmp_path / "lock").exists()
