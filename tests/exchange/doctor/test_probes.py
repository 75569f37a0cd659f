"""What a file system does, and what is said of one that does not."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fltui.exchange.doctor import probes
from fltui.exchange.doctor.finding import Finding, Level
from fltui.exchange.publish import put_bytes
from fltui.exchange.watch import Watcher


@pytest.mark.parametrize(
    "probe",
    [probes.rename, probes.names, probes.watch, probes.links, probes.copies, probes.lock, probes.clock],
)
def test_a_local_disk_passes(folder: Path, probe: Callable[[Path], Finding]) -> None:
    assert probe(folder).level is Level.OK


def test_fsync_is_timed(folder: Path) -> None:
    assert "fsync of 1 MB and of its folder takes" in probes.sync(folder, "ext4").seen
    assert "nothing survives a power cut" in probes.sync(folder, "tmpfs").seen


def test_a_rename_that_removes_first_is_unsafe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = threading.Event()
    read = Path.read_bytes

    def reading(self: Path) -> bytes:
        try:
            return read(self)
        except FileNotFoundError:
            missed.set()
            raise

    def put(data: bytes, target: Path, staging: Path) -> None:
        if target.exists():
            target.unlink()
            missed.clear()
            missed.wait(10)
        (staging / "new").write_bytes(data)
        os.replace(staging / "new", target)

    monkeypatch.setattr(Path, "read_bytes", reading)
    monkeypatch.setattr(probes, "put_bytes", put)
    monkeypatch.setattr(probes, "_RENAMES", 4)
    found = probes.rename(folder)
    assert found.level is Level.UNSAFE
    assert "times it was missing, 0 times half or mixed" in found.seen
    assert found.fix
    (folder / "staging").rmdir()
    monkeypatch.setattr(probes, "is_remote", lambda _: True)  # as on sshfs, for a reader on the same mount
    assert probes.rename(folder).level is Level.WARNING


def test_a_rename_that_writes_in_place_is_unsafe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half_seen = threading.Event()
    read = Path.read_bytes

    def reading(self: Path) -> bytes:
        data = read(self)
        if len(data) == 10:
            half_seen.set()
        return data

    def put(data: bytes, target: Path, staging: Path) -> None:
        if target.exists():
            half_seen.clear()
            target.write_bytes(data[:10])
            half_seen.wait(10)
        target.write_bytes(data)

    monkeypatch.setattr(Path, "read_bytes", reading)
    monkeypatch.setattr(probes, "put_bytes", put)
    monkeypatch.setattr(probes, "_RENAMES", 4)
    found = probes.rename(folder)
    assert found.level is Level.UNSAFE
    assert "0 times it was missing" in found.seen


def test_a_rename_that_does_not_replace_is_unsafe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(data: bytes, target: Path, staging: Path) -> None:
        if not target.exists():
            put_bytes(data, target, staging)

    monkeypatch.setattr(probes, "put_bytes", put)
    assert probes.rename(folder).seen.endswith("the last one did not take effect")


def refuse(number: int) -> Callable[..., None]:
    """A call that the file system refuses."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_a_disk_without_hard_links_costs_room_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    assert probes.links(folder).level is Level.NOTE


def test_a_disk_without_fsync_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    found = probes.sync(folder, "ext4")
    assert (found.level, found.seen) == (Level.WARNING, "fsync fails: Input/output error")


@pytest.mark.parametrize(
    ("probe", "refused"),
    [
        (probes.rename, (os, "open")),
        (probes.names, (Path, "touch")),
        (probes.watch, (probes, "put_bytes")),
        (probes.links, (os, "link")),
        (probes.copies, (probes, "copy_file")),
        (lambda folder: probes.sync(folder, "ext4"), (os, "fsync")),
        (lambda folder: probes.sync(folder, "ext4"), (os, "open")),
        (probes.lock, (os, "open")),
        (probes.clock, (Path, "write_bytes")),
    ],
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_of_as_one(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    probe: Callable[[Path], Finding],
    refused: tuple[object, str],
    number: int,
) -> None:
    """And not as one that cannot do what was tried."""
    monkeypatch.setattr(*refused, refuse(number))
    found = probes.attempt(lambda: probe(folder), "this")
    monkeypatch.undo()
    assert (found.level, found.fix) == (Level.UNSAFE, "make room")
    assert found.seen.startswith(f"the trial of 'this' failed: {os.strerror(number)}")


@pytest.mark.parametrize(("held", "seen"), [(None, "no locks here"), (0, "is not seen by others")])
def test_a_disk_without_locks_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, held: int | None, seen: str
) -> None:
    monkeypatch.setattr(probes, "hold", lambda _: held)
    monkeypatch.setattr(probes, "is_held", lambda _: False)
    monkeypatch.setattr(probes, "let_go", lambda *_: None)
    found = probes.lock(folder)
    assert found.level is Level.WARNING
    assert seen in found.seen


def test_no_events_are_no_harm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watcher, "add", lambda *_: None)
    monkeypatch.setattr(probes, "_PATIENCE", 0.01)
    found = probes.watch(folder)
    assert (found.level, found.seen[:12]) == (Level.NOTE, "no event wit")


def test_a_share_is_polled_and_not_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "is_remote", lambda _: True)
    assert "fltui looks for itself" in probes.watch(folder).seen
    assert not (folder / "watched").exists()


def test_clocks_that_differ_are_harmless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    found = probes.clock(folder)
    assert found.level is Level.NOTE
    assert "ahead of this machine's; that is harmless" in found.seen


def test_names_that_are_one_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: True)
    found = probes.names(folder)
    assert found.level is Level.NOTE
    assert "differ only in case are one name" in found.seen
    assert "accented letter" in found.seen


def test_short_names_are_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_LONG_NAME", 300)  # longer than any file system takes
    assert probes.names(folder).level is Level.WARNING
