"""What is opened where anything may lie."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fltui.exchange.plain import NotPlainError, TooLargeError, open_plain, read_plain
from tests.exchange.odd import ODD


def test_a_file_is_opened_and_so_is_its_second_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "second").hardlink_to(tmp_path / "file")
    with open(open_plain(tmp_path / "second"), "rb") as file:
        assert file.read() == b"text"


@pytest.mark.parametrize("kind", sorted(ODD.keys() - {"a huge file"}))
def test_what_is_no_file_is_refused_at_once_and_not_kept_open(tmp_path: Path, kind: str) -> None:
    ODD[kind](tmp_path / "odd")
    if not (tmp_path / "odd").is_symlink() and (tmp_path / "odd").is_file():
        pytest.skip("it is a plain file")
    before = os.dup(0)
    os.close(before)
    with pytest.raises(NotPlainError) as error:
        open_plain(tmp_path / "odd")
    assert (error.value.errno, error.value.filename) == (errno.EINVAL, str(tmp_path / "odd"))
    after = os.dup(0)
    os.close(after)
    assert after == before


def test_what_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "nothing")


def test_a_small_file_is_read_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1234")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_plain(tmp_path / "file", 4) == b"1234"
    assert read_plain(tmp_path / "link", 4, follow=True) == b"1234"
    with pytest.raises(TooLargeError, match="more than 3 bytes"):
        read_plain(tmp_path / "file", 3)
    with pytest.raises(NotPlainError):
        read_plain(tmp_path / "link", 4)
