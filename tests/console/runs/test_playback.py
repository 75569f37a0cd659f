"""Playing a run back with a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

from fltui.console.runs.follow import Batch
from fltui.console.runs.playback import FASTEST, Playback
from fltui.run.events import RunFinished, RunResumed
from fltui.run.state import RunState, fold
from tests.console.books import hello


class Clock:
    """Seconds that pass when the test says so."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


def _all(playback: Playback) -> list[Batch]:
    """What it gives now; its log lines are read."""
    playback._loading.join()
    found = []
    while (batch := playback.take()) is not None:
        found.append(batch)
    return found


def test_a_playback_begins_with_nothing(tmp_path: Path) -> None:
    playback = Playback(hello(tmp_path).folder, Clock())
    opening = playback.take()
    assert opening is not None
    assert opening.opening is not None
    assert opening.opening.state == RunState()


def test_events_and_lines_come_when_their_time_has_come(tmp_path: Path) -> None:
    book = hello(tmp_path)
    clock = Clock()
    playback = Playback(book.folder, clock)
    _all(playback)
    clock.now += 0.095
    batches = _all(playback)
    assert [event.seq for batch in batches for event in batch.events] == list(range(1, 10))
    assert all(line.time <= "2026-01-31T12:00:00.095" for batch in batches for line in batch.lines)
    assert not playback.over


def test_a_playback_ends_as_the_run_did(tmp_path: Path) -> None:
    book = hello(tmp_path)
    clock = Clock()
    playback = Playback(book.folder, clock)
    _all(playback)
    clock.now += 3600
    events = [event for batch in _all(playback) for event in batch.events]
    assert isinstance(events[-1], RunFinished)
    assert playback.over
    assert fold(events).rounds_done == 3


def test_a_playback_that_stands_still_gives_nothing(tmp_path: Path) -> None:
    clock = Clock()
    playback = Playback(hello(tmp_path).folder, clock)
    _all(playback)
    playback.toggle()
    clock.now += 3600
    assert playback.take() is None
    assert playback.seconds == 0.0
    playback.toggle()
    clock.now += 0.025
    assert [event.seq for batch in _all(playback) for event in batch.events] == [1, 2]


def test_speed_doubles_and_halves_within_bounds(tmp_path: Path) -> None:
    clock = Clock()
    playback = Playback(hello(tmp_path).folder, clock)
    playback.faster()
    assert playback.speed == 2.0
    clock.now += 1.0
    playback.slower()
    playback.slower()
    assert playback.speed == 0.5
    assert playback.seconds == 2.0
    for _ in range(40):
        playback.faster()
    assert playback.speed == FASTEST


def test_a_broken_journal_is_told(tmp_path: Path) -> None:
    book = hello(tmp_path)
    with book.folder.journal.open("ab") as journal:
        journal.write(b"{}\n")
    clock = Clock()
    playback = Playback(book.folder, clock)
    _all(playback)
    clock.now += 3600
    assert [batch.error for batch in _all(playback) if batch.error]
    assert playback.over


def test_a_line_of_a_clock_that_is_wrong_comes_with_the_end(tmp_path: Path) -> None:
    book = hello(tmp_path)
    with (book.folder.logs / "site-1.log").open("a") as log:
        log.write("9999-01-01T00:00:00.000Z INFO late\n")
    clock = Clock()
    playback = Playback(book.folder, clock)
    _all(playback)
    clock.now += 3600
    assert [line.text for batch in _all(playback) for line in batch.lines][-1] == "late"
    assert playback.over


def test_the_time_without_a_server_is_not_waited_for(tmp_path: Path) -> None:
    book = hello(tmp_path, 1, end=False)
    book.seconds += 7200
    book.write(RunResumed(restarted=True))
    book.ask(1)
    book.finish(rounds=1)
    clock = Clock()
    playback = Playback(book.folder, clock)
    _all(playback)
    clock.now += 1
    assert isinstance([event for batch in _all(playback) for event in batch.events][-1], RunFinished)
    assert playback.seconds < 1


def test_a_run_that_is_gone_is_told(tmp_path: Path) -> None:
    book = hello(tmp_path)
    book.folder.journal.unlink()
    assert "cannot be played" in _all(Playback(book.folder, Clock()))[0].error
