from __future__ import annotations

from pathlib import Path

import pytest

from fltui.run.control import Abort, ask, take_requests
from fltui.run.folder import RunFolder, create_run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create_run(tmp_path, "hello")


def test_a_request_is_taken_once(run: RunFolder) -> None:
    ask(run, Abort("lunch"))
    assert take_requests(run.control) == [Abort("lunch")]
    assert take_requests(run.control) == []


def test_all_requests_are_taken(run: RunFolder) -> None:
    for _ in range(3):
        ask(run, Abort())
    assert take_requests(run.control) == [Abort("asked for")] * 3


def test_a_request_leaves_nothing_else_behind(run: RunFolder) -> None:
    before = {entry.name for entry in run.root.iterdir()}
    ask(run, Abort())
    assert {entry.name for entry in run.root.iterdir()} == before


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"request":"dance"}', b"\xff"])
def test_a_file_that_is_no_request_is_removed(run: RunFolder, data: bytes) -> None:
    (run.control / "a.json").write_bytes(data)
    assert take_requests(run.control) == []
    assert list(run.control.iterdir()) == []


def test_a_request_that_is_still_being_written_is_left_alone(run: RunFolder) -> None:
    (run.control / "a.json.part").write_bytes(b'{"requ')
    assert take_requests(run.control) == []
    assert [entry.name for entry in run.control.iterdir()] == ["a.json.part"]
