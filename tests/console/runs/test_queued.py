"""The queue as the home screen lists it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from fltui.console.runs.listing import RunEntry, RunList
from fltui.console.runs.queued import QueueLine, QueueList, QueueView
from fltui.queue.documents import Claim, EntryEnd, Wishes
from fltui.queue.entries import Standing
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder
from tests.console.books import Book
from tests.queue.made import RUN, put_entry, queue_in


def lines(found: QueueList, runs: Mapping[Path, RunEntry] | None = None) -> list[QueueLine]:
    """What a queue that is there holds."""
    view = found.read(runs or {})
    assert view is not None
    assert view.fault == ""
    return view.lines


def test_where_there_is_no_queue_there_is_no_list(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert QueueList(None, runs).read({}) is None
    assert QueueList(tmp_path / "nowhere", runs).read({}) is None
    assert QueueList(queue_in(tmp_path).root, runs).read({}) == QueueView([])


def test_what_runs_and_waits_comes_first_and_what_is_over_last(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    claim = Claim(run=RUN, runs=str(tmp_path / "elsewhere"))
    put_entry(queue, "old", 0, end=EntryEnd(state="FINISHED:COMPLETED"))
    put_entry(queue, "new", 1, end=EntryEnd(state="FINISHED:FAILED", reason="no \x1b[31mdisk"))
    put_entry(queue, "later", 4, wishes=Wishes(groups=["labs"]))
    put_entry(queue, "next", 3)
    put_entry(queue, "runs", 2, claim=claim)
    (queue.root / "garbage").mkdir()
    Book(tmp_path / "elsewhere", RUN).start()
    found = QueueList(queue.root, tmp_path / "runs")
    seen = lines(found)
    assert [line.folder.id for line in seen] == ["runs", "next", "later", "garbage", "new", "old"]
    assert [line.standing for line in seen[:4]] == [Standing.RUNNING, Standing.WAITING, Standing.WAITING, None]
    assert (seen[0].status, seen[2].sites, seen[4].reason) == (RunStatus.RUNNING, "labs", "no \\x1b[31mdisk")
    put_entry(queue, "new2", 9)
    assert len(lines(found)) == 7


@pytest.mark.parametrize("listed", [True, False])
def test_of_a_journal_that_grows_only_what_is_new_is_read(
    tmp_path: Path, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the list of runs, where they stand in that, else by the list of the queue."""
    monkeypatch.setattr(RunFolder, "state", None)  # which reads all of it
    queue, runs = queue_in(tmp_path), tmp_path / "runs"
    put_entry(queue, "a", claim=Claim(run=RUN, runs=str(runs)))
    found, beside = QueueList(queue.root, runs if listed else tmp_path / "other"), RunList(runs)

    def status() -> tuple[Standing | None, RunStatus]:
        known = {entry.folder.root: entry for entry in beside.read()} if listed else {}
        (line,) = lines(found, known)
        return line.standing, line.status

    assert status() == (Standing.RUNNING, RunStatus.SUBMITTED)
    book = Book(runs, RUN)
    book.start()
    assert status() == (Standing.RUNNING, RunStatus.RUNNING)
    begun = book.folder.journal.stat().st_size
    with book.folder.journal.open("r+b") as journal:
        journal.write(b"?" * 10)  # in what was read before
    book.finish(RunStatus.FAILED, "no disk")
    assert book.folder.journal.stat().st_size > begun
    assert status() == (Standing.OVER, RunStatus.FAILED)


def test_a_run_that_cannot_be_read_is_told_of_its_entry(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    put_entry(queue, "a", claim=Claim(run=RUN, runs=str(tmp_path / "elsewhere")))
    Book(tmp_path / "elsewhere", RUN).folder.journal.write_text("?\n")
    (line,) = lines(QueueList(queue.root, tmp_path / "runs"))
    assert line.standing is None
    assert "cannot be read" in line.reason


def test_a_queue_that_cannot_be_read_has_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for it would have the queue's own folder, which a person might delete."""

    def closed(path: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    queue = queue_in(tmp_path)
    monkeypatch.setattr("fltui.queue.folder.os.listdir", closed)
    view = QueueList(queue.root, tmp_path / "runs").read({})
    assert view is not None
    assert view.lines == []
    assert "cannot be read: Permission denied" in view.fault
