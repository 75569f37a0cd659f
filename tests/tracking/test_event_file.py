"""A file that is written again keeps what stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.tracking.event_file import ContinuedFile


def write(path: Path, *pieces: bytes) -> None:
    file = ContinuedFile(path)
    for piece in pieces:
        file.add(piece)
        file.flush()
    file.finish()


@pytest.mark.parametrize(
    "there", [b"", b"on", b"one t", b"one two three", b"one two", b"x", b"one tXX", b"one two thr!!!"]
)
def test_whatever_stands_there_it_becomes_what_was_told(tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_bytes(there)
    write(path, b"one ", b"two", b" three")
    assert path.read_bytes() == b"one two three"


def test_what_is_the_same_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, b"one two")
    before = path.stat().st_mtime_ns
    path.chmod(0o444)
    write(path, b"one", b" two")
    assert path.stat().st_mtime_ns == before


def test_until_it_is_finished_what_stands_beyond_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one two")
    file = ContinuedFile(path)
    file.add(b"one")
    file.flush()
    assert file.peek(2, ahead=1) == b"tw"
    file.keep(4)
    file.add(b" three")
    file.finish()
    assert path.read_bytes() == b"one two three"
