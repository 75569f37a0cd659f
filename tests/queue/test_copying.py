"""Copying what others may write in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.queue.copying import DEEPEST, check_plain, copy_plain, own_copy
from tests.queue.made import RUN


def _deep(folder: Path) -> None:
    for _ in range(DEEPEST + 1):
        folder /= "a"
    folder.mkdir(parents=True)


ODD: dict[str, Callable[[Path], None]] = {
    "a link to a file": lambda folder: (folder / "x").symlink_to("/etc/passwd"),
    "a link to a folder": lambda folder: (folder / "x").symlink_to("/etc"),
    "a link to nothing": lambda folder: (folder / "x").symlink_to("/nowhere"),
    "a fifo": lambda folder: os.mkfifo(folder / "x"),
    "too deep": _deep,
}


def test_files_and_folders_are_copied(tmp_path: Path) -> None:
    (tmp_path / "job" / "app" / "empty").mkdir(parents=True)
    (tmp_path / "job" / "app" / "train.py").write_bytes(b"1" * 3_000_000)
    copy_plain(tmp_path / "job", tmp_path / "copy")
    found = sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*"))
    assert found == ["app", "app/empty", "app/train.py"]
    assert (tmp_path / "copy" / "app" / "train.py").stat().st_size == 3_000_000


@pytest.mark.parametrize("odd", ODD)
def test_whatever_else_there_is_is_refused(tmp_path: Path, odd: str) -> None:
    (tmp_path / "job" / "app").mkdir(parents=True)
    ODD[odd](tmp_path / "job" / "app")
    with pytest.raises(BadInputError, match=r"plain file|within each other"):
        check_plain(tmp_path / "job")
    with pytest.raises(BadInputError, match=r"plain file|within each other"):
        copy_plain(tmp_path / "job", tmp_path / "copy")


@pytest.mark.parametrize("put", [lambda path: path.symlink_to("/etc"), Path.touch])
def test_what_is_no_folder_is_refused(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "job")
    with pytest.raises(BadInputError, match="job"):
        copy_plain(tmp_path / "job", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_what_cannot_be_read_is_named(private_folder: Path) -> None:
    secret = private_folder / "job" / "secret"
    secret.parent.mkdir()
    secret.touch(0o000)
    with pytest.raises(BadInputError, match="secret cannot be read by this user"):
        check_plain(secret.parent)
    with pytest.raises(BadInputError, match="secret cannot be read: Permission denied"):
        copy_plain(secret.parent, private_folder / "copy")


def test_a_copy_of_ones_own_goes_again_and_faults_are_those_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "runs" / f".job-{RUN}" / "old").mkdir(parents=True)
    with (
        pytest.raises(BadInputError, match=f"^{tmp_path}/job/meta.json is not there$"),
        own_copy(tmp_path / "job", tmp_path / "runs", RUN) as copy,
    ):
        assert list(copy.iterdir()) == []
        raise BadInputError(f"{copy}/meta.json is not there")
    assert list((tmp_path / "runs").iterdir()) == []
