from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fltui.exchange import outage
from fltui.exchange.mount import Mount
from fltui.exchange.outage import exchange_id, has_room
from fltui.exchange.publish import open_exchange
from tests.exchange.odd import ODD


def failing(error: int) -> Callable[..., None]:
    """A call of the system that fails."""

    def fail(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return fail


@pytest.fixture(params=["ext4", "nfs4", ""])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A type of file system, as the mounts tell it."""
    monkeypatch.setattr(outage, "mount_of", lambda _: Mount(request.param))
    return str(request.param)


def test_a_little_fits_and_nothing_is_left(tmp_path: Path, kind: str) -> None:
    assert has_room(tmp_path, 1 << 16)
    assert list(tmp_path.iterdir()) == []


def test_more_than_is_free_is_never_tried(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: pytest.fail("blocks were taken that are not free"))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=100, f_bavail=9, f_frsize=1000))
    assert not has_room(tmp_path, 9001)


def test_blocks_are_reserved_only_where_that_writes_none(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(os, "posix_fallocate", lambda _, start, size: tried.append(size))
    assert has_room(tmp_path, 4096)
    assert tried == ([4096] if kind == "ext4" else [])


def test_a_process_that_is_killed_meanwhile_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Path]] = []
    real = os.statvfs

    def look(where: int) -> os.statvfs_result:
        seen.append(list(tmp_path.iterdir()))
        return real(where)

    monkeypatch.setattr(os, "statvfs", look)
    assert has_room(tmp_path, 1)
    assert seen == [[]]


@pytest.mark.parametrize("call", ["unlink", "statvfs", "posix_fallocate"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EPERM, errno.EINVAL])
def test_whether_there_is_room_is_told_and_never_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    monkeypatch.setattr(outage, "mount_of", lambda _: Mount("ext4"))
    monkeypatch.setattr(os, call, failing(error))
    assert has_room(tmp_path, 1) is (call == "unlink" or error in (errno.EPERM, errno.EINVAL))


def test_there_is_no_room_where_there_is_no_folder(tmp_path: Path) -> None:
    assert not has_room(tmp_path / "away", 1)


def test_a_disk_that_tells_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "mount_of", lambda _: Mount("fuse.sshfs"))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=0, f_bavail=0, f_frsize=4096))
    assert has_room(tmp_path, 1 << 20)


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_manifest_gives_no_identity(tmp_path: Path, kind: str) -> None:
    about = open_exchange(tmp_path).about
    assert exchange_id(tmp_path)
    about.unlink()
    ODD[kind](about)
    assert exchange_id(tmp_path) is None


def test_a_process_without_descriptors_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_exchange(tmp_path)
    monkeypatch.setattr(os, "open", failing(errno.EMFILE))
    with pytest.raises(OSError, match="Too many open files"):
        exchange_id(tmp_path)
