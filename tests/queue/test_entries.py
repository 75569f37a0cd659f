"""How entries stand: derived, never stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.queue.documents import Claim, EntryEnd
from fltui.queue.entries import Standing, find_entry, read_entry, read_queue
from fltui.run.events import RunStatus
from tests.console.books import Book
from tests.queue.made import RUN, put_entry, queue_in


def test_an_entry_waits_runs_and_is_over(tmp_path: Path) -> None:
    queue, claim = queue_in(tmp_path), Claim(run=RUN, runs=str(tmp_path / "runs"))
    folder = put_entry(queue, "a")
    assert read_entry(folder).standing is Standing.WAITING
    folder.put(claim, folder.claim)
    starting = read_entry(folder)
    assert (starting.standing, starting.status) == (Standing.RUNNING, RunStatus.SUBMITTED)
    book = Book(tmp_path / "runs", RUN)
    assert read_entry(folder).run_state is None  # nothing is in its journal yet
    book.start()
    running = read_entry(folder)
    assert (running.standing, running.status) == (Standing.RUNNING, RunStatus.RUNNING)
    book.finish(RunStatus.FAILED, "no disk")
    over = read_entry(folder)
    assert (over.standing, over.status, over.reason) == (Standing.OVER, RunStatus.FAILED, "no disk")


def test_what_the_server_has_written_down_holds_without_the_run(tmp_path: Path) -> None:
    """A person may delete the run: it must not look as if it had never begun."""
    claim = Claim(run=RUN, runs=str(tmp_path / "runs"))
    folder = put_entry(queue_in(tmp_path), "a", claim=claim, end=EntryEnd(state="FINISHED:COMPLETED"))
    entry = read_entry(folder)
    assert (entry.standing, entry.status) == (Standing.OVER, RunStatus.COMPLETED)


def test_entries_stand_in_order_and_garbage_hides_none(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    for name, order in (("c", 0), ("b", 2), ("a", 1), ("d", 1)):
        put_entry(queue, name, order)
    (queue.root / "empty").mkdir()
    (queue.root / "file").write_text("x")
    (queue.root / "job").mkdir()
    (queue.root / "job" / "meta.json").write_text("{}")
    (queue.root / ".hidden").mkdir()
    put_entry(queue, "broken").about.write_text('{"order": -1, "job": "hello"}')
    (queue.root / "link").symlink_to(queue.root / "a")
    os.mkfifo(queue.root / "fifo")
    huge = put_entry(queue, "huge")
    huge.claim.write_text(" " * (1 << 20))
    listing = read_queue(queue)
    assert [entry.id for entry in listing.entries] == ["c", "a", "d", "b"]
    assert set(listing.faults) == {"empty", "file", "job", "broken", "link", "fifo", "huge"}
    assert "belongs into incoming/" in listing.faults["job"]
    assert "entry.json is malformed" in listing.faults["broken"]


@pytest.mark.parametrize(
    "text",
    [
        '{"run": "../../etc", "runs": "/tmp"}',
        '{"run": "", "runs": "/tmp"}',
        '{"run": ".x", "runs": "/tmp"}',
        '{"run": "precious", "runs": "/tmp"}',
        '{"run": "hello-20260131T120000Z-beef\\n", "runs": "/tmp"}',
        '{"run": "hello-20260131T120000Z-beef\\u0000", "runs": "/tmp"}',
        '{"run": "hello-20260131T120000Z-beef", "runs": "/tmp\\u0000"}',
        '{"run": "hello-20260131T120000Z-beef", "runs": "runs"}',
        '{"run": "hello-20260131T120000Z-beef", "runs": "/tmp", "sites": ["../x"]}',
        '{"run": "hello-20260131T120000Z-beef", "runs": "/tmp", "more": 1}',
        "[]",
    ],
)
def test_a_claim_that_leads_elsewhere_is_refused(tmp_path: Path, text: str) -> None:
    folder = put_entry(queue_in(tmp_path), "a")
    folder.claim.write_text(text)
    with pytest.raises(BadInputError, match=r"claim\.json"):
        read_entry(folder)


def test_an_entry_is_found_by_its_id_an_end_of_it_or_as_the_last(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    put_entry(queue, "hello-20260131T120000Z-aaaa", 7)
    put_entry(queue, "hello-20260131T120000Z-bbbb", 3)
    assert find_entry("last", queue).id.endswith("aaaa")
    assert find_entry("bbbb", queue).id.endswith("bbbb")
    for name, said in (("hello", "2 entries"), ("zzzz", "no entry"), (" ", "no entry is named")):
        with pytest.raises(BadInputError, match=said):
            find_entry(name, queue)
