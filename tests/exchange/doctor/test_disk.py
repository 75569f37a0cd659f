"""What kind of disk it is, and how much fits."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fltui.exchange.doctor import disk, probes
from fltui.exchange.doctor.examine import Examination
from fltui.exchange.doctor.finding import Level
from fltui.exchange.mount import Mount
from fltui.exchange.publish import open_exchange, open_site


@pytest.mark.parametrize(
    ("kind", "options", "level", "says"),
    [
        ("ext4", "rw", Level.OK, "a local disk"),
        ("ext4", "ro", Level.UNSAFE, "read-only"),
        ("nfs4", "rw", Level.NOTE, "root_squash"),
        ("cifs", "rw", Level.NOTE, "a Windows share"),
        ("fuse.rclone", "rw", Level.NOTE, "a program of its own"),
        ("fuseblk", "rw", Level.NOTE, "polls"),
        ("overlay", "rw", Level.WARNING, "gone with the container"),
        ("vfat", "rw", Level.WARNING, "no permissions"),
        ("exfat", "rw", Level.WARNING, "no permissions"),
        ("tmpfs", "rw", Level.NOTE, "memory"),
        ("", "rw", Level.OK, "not known"),
    ],
)
def test_a_file_system_is_named_with_what_it_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str, level: Level, says: str
) -> None:
    mount = Mount(kind, "/mnt", frozenset({options}), "there:/x")
    monkeypatch.setattr(disk, "mount_of", lambda _: mount)
    monkeypatch.setattr("fltui.exchange.watch.mount_of", lambda _: mount)
    found = disk.file_system(tmp_path)
    assert found.level is level
    assert says in found.seen


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A small tmpfs, where mounts are allowed."""
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False, capture_output=True, text=True
        )
    except OSError as error:
        pytest.skip(f"no mounts: {error}")
    if done.returncode:
        pytest.skip(f"no mounts: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_and_few_inodes_are_found(folder: Path) -> None:
    with mounted(folder, "size=1m,nr_inodes=64"):
        space, inodes = disk.room(folder, 0, 2, folder)
        assert (space.level, space.seen) == (Level.UNSAFE, "1.0 MiB are free: not one model fits")
        assert (inodes.level, inodes.name) == (Level.WARNING, "free inodes")
        (folder / "much").write_bytes(bytes(1 << 19))
        found = probes.attempt(lambda: probes.copies(folder), "copies")
    assert (found.level, found.fix) == (Level.UNSAFE, "make room")
    assert found.seen.startswith("the trial of 'copies' failed: No space left on device")


@pytest.mark.parametrize(
    ("model", "level"), [(0, Level.OK), (10**9, Level.OK), (10**10, Level.WARNING), (10**11, Level.UNSAFE)]
)
def test_room_is_compared_with_the_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch, model: int, level: Level
) -> None:
    figures = os.statvfs_result((4096, 4096, 0, 0, 5 * 10**10 // 4096, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: figures)
    monkeypatch.setattr(disk, "has_room", lambda *_: True)
    (found,) = disk.room(folder, model, 2, folder)
    assert found.level is level
    assert "46.6 GiB are free" in found.seen


def test_a_quota_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "has_room", lambda *_: False)
    found = disk.room(folder, 1, 1, folder)[0]
    assert (found.level, found.seen[-7:]) == (Level.UNSAFE, "(quota)")


def test_parts_on_another_file_system_are_unsafe(tmp_path: Path) -> None:
    site = open_exchange(tmp_path / "exchange").site("site-1")
    open_site(site, "site")
    assert disk.one_disk([site]) is None
    with mounted(site.results, "size=1m"):
        found = disk.one_disk([site])
    assert found is not None
    assert found.seen.startswith("site-1/results lie on another file system")


def test_long_paths_are_told() -> None:
    found = disk.paths(Path("/x"))
    assert (found.level, "a Windows client needs long paths enabled" in found.seen) == (Level.OK, True)
    assert disk.paths(Path("/" + "x" * 4000)).level is Level.UNSAFE


def test_a_runs_folder_below_one_that_this_user_cannot_enter_is_told(private_folder: Path) -> None:
    hidden = private_folder / "hidden"
    hidden.mkdir(mode=0o600)
    found = disk.store(private_folder, hidden / "runs")
    assert (found.level, "Permission denied" in found.seen) == (Level.WARNING, True)


def test_all_that_is_said_of_a_full_disk_is_that_it_is_full(tmp_path: Path) -> None:
    exchange = open_exchange(tmp_path / "exchange")
    with mounted(exchange.root, "size=64k"):
        open_exchange(exchange.root)
        with contextlib.suppress(OSError), (exchange.root / "much").open("wb", buffering=0) as much:
            while True:
                much.write(bytes(1 << 12))
        found = list(Examination(exchange.root).findings())
    unsafe = [one for one in found if one.level is Level.UNSAFE]
    assert {one.name for one in unsafe} >= {"free space", "rename", "copies"}
    assert all(one.fix.startswith("make room") for one in unsafe)
    assert not {"fsync", "names", "hard links", "locks"} & {one.name for one in found if one.level is Level.WARNING}
