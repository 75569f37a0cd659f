from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given

from fltui.errors import BadInputError
from fltui.run.control import Abort, AnyRequest, Drop, Pause, Resume, ask, take_requests
from fltui.run.folder import RunFolder, create_run
from tests.hostile import spoilt


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


def test_requests_are_taken_in_the_order_in_which_they_were_made(run: RunFolder) -> None:
    requests: list[AnyRequest] = [Pause("lunch"), Resume(), Drop("site-1", "wrong data"), Pause(), Abort()]
    for request in requests:
        ask(run, request)
    assert take_requests(run.control) == requests


def test_a_reason_that_is_too_long_is_not_asked(run: RunFolder) -> None:
    with pytest.raises(BadInputError, match="the reason has 401 characters; 400 are the most"):
        ask(run, Pause("x" * 401))
    assert list(run.control.iterdir()) == []


def test_a_site_that_there_cannot_be_is_not_dropped() -> None:
    with pytest.raises(BadInputError, match=r"site name '\.\./x' cannot be used"):
        Drop("../x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"request":"dance"}',
        b"\xff",
        b'{"request":"drop"}',
        b'{"request":"drop","site":"../x"}',
        b'{"request":"drop","site":"server"}',
        b'{"request":"pause","reason":"' + b"x" * 401 + b'"}',
        b'{"request":"pause","reason":1}',
        b'{"request":"pause","reason":"\xff"}',
        b'{"request":"resume","much":"' + b"x" * 20_000 + b'"}',
        b"[" * 10_000,
    ],
)
def test_a_file_that_is_no_request_is_removed(run: RunFolder, data: bytes) -> None:
    (run.control / "a.json").write_bytes(data)
    assert take_requests(run.control) == []
    assert list(run.control.iterdir()) == []


@given(spoilt(b'{"request":"drop","site":"site-1","reason":"wrong data"}'))
def test_whatever_lies_there_is_gone_and_the_next_request_is_heard(run: RunFolder, data: bytes) -> None:
    (run.control / "0.json").write_bytes(data)
    ask(run, Resume())
    assert take_requests(run.control)[-1] == Resume()
    assert list(run.control.iterdir()) == []


def test_what_is_no_plain_file_is_not_read(run: RunFolder) -> None:
    os.mkfifo(run.control / "fifo.json")
    (run.control / "zero.json").symlink_to("/dev/zero")
    (run.control / "folder.json").mkdir()
    (run.root / "elsewhere").write_bytes(b'{"request":"abort"}')
    (run.control / "link.json").symlink_to(run.root / "elsewhere")
    assert take_requests(run.control) == []
    assert [entry.name for entry in run.control.iterdir()] == ["folder.json"]


def test_a_request_that_is_still_being_written_is_left_alone(run: RunFolder) -> None:
    (run.control / "a.json.part").write_bytes(b'{"requ')
    assert take_requests(run.control) == []
    assert [entry.name for entry in run.control.iterdir()] == ["a.json.part"]


def test_a_request_is_written_nowhere_but_in_control(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the folder may be sealed at that moment."""
    opened: list[str] = []
    real = os.open

    def noted(path: str, *more: int, **how: int) -> int:
        opened.append(path)
        return real(path, *more, **how)

    monkeypatch.setattr(os, "open", noted)
    ask(run, Resume())
    assert {Path(path).parent for path in opened} == {run.control}
