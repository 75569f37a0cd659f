"""Aborting and deleting entries, with and without a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.queue.changing import abort, delete
from fltui.queue.documents import AbortRequest, Claim, EntryEnd, read_document
from fltui.queue.entries import Standing, read_entry
from tests.queue.made import RUN, put_entry, queue_in

CLAIM = Claim(run=RUN, runs="/nowhere")
OVER = EntryEnd(state="FINISHED:COMPLETED")


def test_one_that_waits_is_over_at_once(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    folder = put_entry(queue, "a")
    assert abort(queue, folder.id, "wrong data")
    entry = read_entry(folder)
    assert (entry.standing, entry.status, entry.reason) == (
        Standing.OVER,
        "FINISHED:ABORTED",
        "before it began: wrong data",
    )


@pytest.mark.parametrize("held", [True, False])
def test_one_that_has_begun_is_asked_to_end(tmp_path: Path, held: bool) -> None:
    """Whether its server is there, or comes later: the request stays."""
    queue = queue_in(tmp_path)
    folder = put_entry(queue, "a", claim=CLAIM)
    fd = folder.hold() if held else None
    assert not abort(queue, folder.id, "wrong data")
    assert read_document(folder.abort, AbortRequest).reason == "wrong data"
    assert read_entry(folder).standing is Standing.RUNNING
    if fd is not None:
        os.close(fd)


def test_one_that_is_over_or_gone_cannot_be_aborted(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    with pytest.raises(BadInputError, match=r"ended already: FINISHED:COMPLETED"):
        abort(queue, put_entry(queue, "a", end=OVER).id)
    with pytest.raises(BadInputError, match="cannot be changed: No such file"):
        abort(queue, "gone")
    with pytest.raises(BadInputError, match="400 are the most"):
        abort(queue, put_entry(queue, "b").id, "x" * 401)


def test_one_that_waits_or_is_over_is_deleted_and_nothing_stays(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    for folder in (put_entry(queue, "a"), put_entry(queue, "b", claim=CLAIM, end=OVER)):
        delete(queue, folder.id)
    (queue.root / "garbage").mkdir()
    delete(queue, "garbage")
    assert sorted(path.name for path in queue.root.iterdir()) == ["bell", "incoming"]


def test_one_that_has_begun_is_not_deleted(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    folder = put_entry(queue, "a", claim=CLAIM)
    with pytest.raises(BadInputError, match="has begun"):
        delete(queue, folder.id)
    fd = folder.hold()
    with pytest.raises(BadInputError, match="entry a runs; abort it first"):
        delete(queue, folder.id)
    assert folder.root.is_dir()
    if fd is not None:
        os.close(fd)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "incoming", "groups.json", "../other", "/", "a/job", ".taken-x", "a\0b"]
)
def test_nothing_is_deleted_but_an_entry_of_the_queue(tmp_path: Path, name: str) -> None:
    queue = queue_in(tmp_path)
    put_entry(queue, "a")
    (tmp_path / "other").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for change in (delete, abort):
        with pytest.raises(BadInputError, match="is no entry of queue"):
            change(queue, name)
    assert sorted(tmp_path.rglob("*")) == before
