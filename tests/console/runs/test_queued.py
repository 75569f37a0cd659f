"""The queue as the home screen lists it."""

from __future__ import annotations

from pathlib import Path

from fltui.console.runs.queued import QueueList
from fltui.queue.documents import Claim, EntryEnd, Wishes
from fltui.queue.standing import Standing
from tests.console.books import Book
from tests.queue.entries import RUN, put_entry, queue_in


def test_where_there_is_no_queue_there_is_no_list(tmp_path: Path) -> None:
    assert QueueList(None).read() is None
    assert QueueList(tmp_path / "nowhere").read() is None
    assert QueueList(queue_in(tmp_path).root).read() == []


def test_what_runs_and_waits_comes_first_and_what_is_over_last(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    claim = Claim(run=RUN, runs=str(tmp_path / "runs"))
    put_entry(queue, "old", 0, end=EntryEnd(state="FINISHED:COMPLETED"))
    put_entry(queue, "new", 1, end=EntryEnd(state="FINISHED:FAILED", reason="no \x1b[31mdisk"))
    put_entry(queue, "later", 4, wishes=Wishes(groups=["labs"]))
    put_entry(queue, "next", 3)
    put_entry(queue, "runs", 2, claim=claim)
    (queue.root / "garbage").mkdir()
    Book(tmp_path / "runs", RUN).start()
    found = QueueList(queue.root)
    lines = found.read()
    assert lines is not None
    assert [line.folder.id for line in lines] == ["runs", "next", "later", "garbage", "new", "old"]
    assert [line.standing for line in lines[:4]] == [Standing.RUNNING, Standing.WAITING, Standing.WAITING, None]
    assert (lines[2].sites, lines[4].reason) == ("labs", "no \\x1b[31mdisk")
    put_entry(queue, "new2", 9)
    again = found.read()
    assert again is not None
    assert len(again) == 7
