"""Following a run folder that grows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fltui.console.runs.follow import MOST, Batch, Follower
from fltui.exchange.lock import hold
from fltui.run.events import AnyEvent, MetricLogged, RunFinished
from tests.console.books import Book, hello, weights


class Reader:
    """Takes what a follower brings, waiting for it."""

    def __init__(self, book: Book) -> None:
        self._came = threading.Semaphore(0)
        self.follower = Follower(book.folder, self._came.release)

    def next(self) -> Batch:
        assert self._came.acquire(timeout=30)
        batch = self.follower.take()
        assert batch is not None
        return batch


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """A run with one finished round, going on."""
    return hello(tmp_path, 1, end=False)


@pytest.fixture
def reader(book: Book) -> Iterator[Reader]:
    """Its follower."""
    reader = Reader(book)
    yield reader
    reader.follower.close()


def test_a_run_opens_as_the_state_it_has_come_to(reader: Reader) -> None:
    opening = reader.next().opening
    assert opening is not None
    assert opening.state.rounds_done == 1
    assert opening.exchange == "/exchange"
    assert list(opening.series.by_round["accuracy"]) == ["site-0", "site-1", ""]


def test_lines_of_logs_come_by_time(reader: Reader) -> None:
    reader.next()
    lines = reader.next().lines
    assert [line.time for line in lines] == sorted(line.time for line in lines)
    assert {line.source for line in lines} == {"server", "site-0", "site-1"}


def test_what_is_appended_comes(book: Book, reader: Reader) -> None:
    reader.next()
    reader.next()
    book.ask(1)
    book.answer("site-0", 1, weights(2))
    names: list[str] = []
    while "ResultAccepted" not in names:
        names += [type(event).__name__ for event in reader.next().events]
    assert names == ["RoundStarted", "TaskPublished", "TaskPublished", "ResultAccepted"]


def test_many_events_come_in_batches(book: Book, reader: Reader) -> None:
    reader.next()
    book.write(*(MetricLogged(site="site-0", key="loss", value=1.0, round=0, step=n) for n in range(3 * MOST)))
    sizes: list[int] = []
    while sum(sizes) < 3 * MOST:
        sizes.append(len(reader.next().events))
    assert max(sizes) <= MOST


def test_the_end_of_a_run_is_followed_by_its_second_begin(book: Book, reader: Reader) -> None:
    reader.next()
    book.finish(rounds=1)
    events: list[AnyEvent] = []
    while not events:
        events += reader.next().events
    assert isinstance(events[-1], RunFinished)


def test_a_run_that_is_held_is_alive(book: Book) -> None:
    assert hold(book.folder.lock) is not None
    reader = Reader(book)
    try:
        assert reader.next().held is True
    finally:
        reader.follower.close()


def test_hostile_texts_are_harmless_once_they_are_here(book: Book) -> None:
    book.reject("site-1", 0, "\x1b]0;owned\x07 [@click=app.quit]x[/]")
    book.log("site-1", "\x1b[2J\u202eevil\x9b")
    reader = Reader(book)
    try:
        opening = reader.next().opening
        assert opening is not None
        assert opening.state.sites["site-1"].reason == "\\x1b]0;owned\\x07 [@click=app.quit]x[/]"
        lines = [line.text for line in reader.next().lines if line.source == "site-1"]
        assert lines[-1] == "\\x1b[2J\\u202eevil\\x9b"
    finally:
        reader.follower.close()


def test_a_line_that_is_no_event_ends_the_following_with_a_sentence(book: Book, reader: Reader) -> None:
    reader.next()
    with book.folder.journal.open("ab") as journal:
        journal.write(b"nonsense\n")
    error = ""
    while not error:
        error = reader.next().error
    assert "not an event" in error


def test_a_journal_that_is_gone_is_told(tmp_path: Path) -> None:
    book = hello(tmp_path)
    book.folder.journal.unlink()
    reader = Reader(book)
    try:
        assert "cannot be followed" in reader.next().error
    finally:
        reader.follower.close()


def test_a_journal_that_another_takes_the_place_of_is_read_anew(tmp_path: Path, book: Book, reader: Reader) -> None:
    reader.next()
    longer = hello(tmp_path / "elsewhere", 3)
    longer.folder.journal.replace(book.folder.journal)
    opening = None
    while opening is None:
        opening = reader.next().opening
    assert opening.state.rounds_done == 3


def test_a_journal_that_was_mended_is_followed_again(book: Book) -> None:
    good = book.folder.journal.read_bytes()
    book.folder.journal.write_bytes(b"nonsense\n")
    reader = Reader(book)
    try:
        assert "not an event" in reader.next().error
        book.folder.journal.write_bytes(good)
        assert reader.next().opening is not None
    finally:
        reader.follower.close()


def test_the_name_of_a_log_is_harmless(book: Book) -> None:
    (book.folder.logs / "a\x1b]0;owned\x07.log").write_text("2026-01-31T12:00:00.000Z INFO x\n")
    reader = Reader(book)
    try:
        reader.next()
        assert all("\x1b" not in line.source for line in reader.next().lines)
    finally:
        reader.follower.close()
