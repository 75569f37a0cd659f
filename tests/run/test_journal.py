from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import pytest
from hypothesis import given

from fltui.errors import BadInputError
from fltui.run.events import AnyEvent, RunPaused, RunResumed, RunStarted, SiteJoined
from fltui.run.journal import ChainError, Journal, chained, head_of, read_events, read_journal, to_json
from tests.hostile import spoilt
from tests.run.journals import whole_run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    journal.close()


def test_events_are_read_back_as_they_were_appended(journal: Journal, path: Path) -> None:
    written = [journal.append(event) for event in whole_run()]
    assert list(read_journal(path)) == written


def test_events_are_numbered_and_timed(journal: Journal) -> None:
    written = [journal.append(event) for event in whole_run()]
    assert [event.seq for event in written] == list(range(len(written)))
    assert [event.monotonic for event in written] == sorted(event.monotonic for event in written)
    assert all(event.time > 0 for event in written)


def test_an_event_is_one_line_of_json_that_says_what_it_is(journal: Journal, path: Path) -> None:
    journal.append(SiteJoined(site="site-1"))
    (line,) = path.read_text().splitlines()
    assert line.startswith('{"event":"site_joined"')
    assert json.loads(line)["site"] == "site-1"


def test_followers_get_every_event_after_it_is_written(journal: Journal, path: Path) -> None:
    seen: list[tuple[AnyEvent, int]] = []
    journal.follow(lambda event: seen.append((event, len(path.read_text().splitlines()))))
    first, second = journal.append(RunPaused()), journal.append(RunResumed())
    assert seen == [(first, 1), (second, 2)]


def test_a_durable_journal_reads_the_same(path: Path) -> None:
    journal = Journal(path, durable=True)
    event = journal.append(SiteJoined(site="site-1"))
    journal.close()
    assert list(read_journal(path)) == [event]


def test_a_journal_is_never_written_over(journal: Journal, path: Path) -> None:
    with pytest.raises(FileExistsError):
        Journal(path)


def test_text_of_any_kind_stays_on_one_line(journal: Journal, path: Path) -> None:
    event = journal.append(RunPaused(reason="two\nlines, \u2028 and \x00"))
    assert list(read_journal(path)) == [event]


@pytest.mark.parametrize("torn", ["", "{", '{"event":"run_paused","seq":3}'])
def test_a_journal_is_continued_after_its_last_whole_line(journal: Journal, path: Path, torn: str) -> None:
    written: list[AnyEvent] = [journal.append(event) for event in whole_run()]
    with path.open("a") as file:
        file.write(torn)
    taken: list[AnyEvent] = []
    again = Journal.reopen(path, taken.append)
    written.append(again.append(RunResumed(restarted=True)))
    again.close()
    assert taken == written[:-1]
    assert list(read_journal(path)) == written
    assert [event.seq for event in written] == list(range(len(written)))


@pytest.mark.parametrize(
    ("text", "told"), [(None, "cannot be continued: No such file"), ("", "no event"), ("{}\n", "is not an event")]
)
def test_what_is_no_journal_is_not_continued(path: Path, text: str | None, told: str) -> None:
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInputError, match=told):
        Journal.reopen(path, lambda _: None)
    assert text is None or path.read_text() == text


def test_a_last_line_that_is_not_whole_is_left_out(journal: Journal, path: Path) -> None:
    written = [journal.append(event) for event in whole_run()]
    path.write_bytes(path.read_bytes()[:-5])
    assert list(read_journal(path)) == written[:-1]


def test_reading_goes_on_where_the_last_whole_line_ended(journal: Journal, path: Path) -> None:
    first, second = journal.append(RunPaused()), journal.append(RunResumed())
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    with path.open("rb") as file:
        assert list(read_events(file, "journal")) == [first]
        path.write_bytes(data)
        assert list(read_events(file, "journal")) == [second]
        assert list(read_events(file, "journal")) == []


def test_reading_goes_on_after_what_was_not_whole_was_cut_off(journal: Journal, path: Path) -> None:
    journal.append(RunPaused())
    with path.open("ab") as torn:
        torn.write(b'{"event":"run_resumed","seq":')
    with path.open("rb") as file:
        assert len(list(read_events(file, "journal"))) == 1
        again = Journal.reopen(path, lambda _: None)
        event = again.append(SiteJoined(site="site-1"))
        again.close()
        assert list(read_events(file, "journal")) == [event]


@pytest.mark.parametrize("room", [0, 1, 40])
def test_what_does_not_fit_on_the_disk_is_taken_back_whole(journal: Journal, path: Path, room: int) -> None:
    seen: list[AnyEvent] = []
    written: list[AnyEvent] = [journal.append(event) for event in whole_run()]
    journal.follow(seen.append)
    whole = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + room, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large.*journal\.jsonl"):
            journal.append(RunPaused(reason="x" * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole
    written.append(journal.append(RunResumed()))
    assert seen == written[-1:]
    assert list(read_journal(path)) == written
    assert [event.seq for event in written] == list(range(len(written)))


def test_what_may_not_survive_a_power_cut_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    journal = Journal(path, durable=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            journal.append(RunPaused())
    event = journal.append(RunPaused())
    journal.close()
    assert list(read_journal(path)) == [event]


@given(spoilt(chained(RunPaused(reason="lunch"), "")[0][:-1]))
def test_whatever_a_journal_holds_is_events_or_bad_input(path: Path, data: bytes) -> None:
    path.write_bytes(data + b"\n")
    try:
        list(read_journal(path))
    except BadInputError as error:
        assert isinstance(error, ChainError) or "that is not an event" in str(error)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        b'{"event":"moon_landing"}',
        b'{"event":"run_paused","reason":"\xff"}',
        b"[" * 100_000,
    ],
    ids=lambda line: line[:9],
)
def test_a_line_that_is_no_event_is_named_by_its_place(journal: Journal, path: Path, line: bytes) -> None:
    journal.append(RunPaused())
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(BadInputError, match=f"at byte {size} that is not an event"):
        list(read_journal(path))


def test_every_line_carries_the_digest_of_all_before_it(journal: Journal, path: Path) -> None:
    for event in whole_run():
        journal.append(event)
    chain = ""
    for line in path.read_text().splitlines():
        text, _, rest = line.rpartition(',"chain":"')
        chain = blake3.blake3((chain + text).encode()).hexdigest()
        assert rest == chain + '"}'
    assert journal.head == head_of(path) == chain


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: [lines[0], lines[1].replace(b"site-1", b"site-9"), *lines[2:]],
        lambda lines: [*lines[:2], *lines[3:]],
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: lines[1:],
        lambda lines: [*lines[:-1], lines[-1].replace(b'"rounds":2', b'"rounds":3')],
        lambda lines: [*lines[:4], lines[4][:-77] + b"}\n", *lines[5:]],
    ],
    ids=["changed", "taken out", "twice", "swapped", "without the first", "the last changed", "without its chain"],
)
def test_an_edited_journal_is_neither_read_nor_continued(
    journal: Journal, path: Path, edit: Callable[[list[bytes]], list[bytes]]
) -> None:
    for event in whole_run():
        journal.append(event)
    edited = b"".join(edit(path.read_bytes().splitlines(keepends=True)))
    path.write_bytes(edited)
    with pytest.raises(
        ChainError, match=r"journal\.jsonl was changed after it was written: the line at byte \d+, event"
    ):
        list(read_journal(path))
    with pytest.raises(BadInputError, match="does not follow from those before it"):
        Journal.reopen(path, lambda _: None)
    assert path.read_bytes() == edited


def test_the_chain_goes_on_after_a_line_that_was_not_whole(journal: Journal, path: Path) -> None:
    journal.append(RunPaused())
    with path.open("ab") as torn:
        torn.write(b'{"event":"run_resumed","seq":1,"chain":"')
    again = Journal.reopen(path, lambda _: None)
    again.append(RunResumed())
    again.close()
    assert len(list(read_journal(path))) == 2
    assert head_of(path) == again.head


def test_who_follows_a_journal_sees_an_edit_in_what_is_new(journal: Journal, path: Path) -> None:
    journal.append(RunPaused(reason="lunch"))
    with path.open("rb") as file:
        assert len(list(read_events(file, "journal"))) == 1
        journal.append(RunResumed())
        journal.append(SiteJoined(site="site-1"))
        path.write_bytes(path.read_bytes().replace(b"site-1", b"site-2"))
        events = read_events(file, "journal")
        assert isinstance(next(events), RunResumed)
        with pytest.raises(ChainError, match="event 2, does not follow"):
            next(events)


@pytest.mark.parametrize("name", ["chain", "chains"])
def test_a_journal_without_a_chain_is_neither_read_nor_continued(journal: Journal, path: Path, name: str) -> None:
    """Neither from the first line that lacks it on, nor from its end."""
    for event in whole_run():
        journal.append(event)
    lines = path.read_text().splitlines()
    stripped = [
        line.rpartition(',"chain":"')[0] + "}" if name == "chain" else line.replace("chain", name) for line in lines
    ]
    path.write_text("".join(f"{line}\n" for line in stripped))
    assert head_of(path) == ""
    with pytest.raises(ChainError, match="event 0, does not follow"):
        list(read_journal(path))
    with pytest.raises(ChainError, match="event 0, does not follow"):
        Journal.reopen(path, lambda _: None)
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        journal.append(RunResumed(restarted=True))
        with pytest.raises(ChainError, match=f"event {len(lines)}, does not follow"):
            list(read_events(file, "one who came late"))


def test_a_journal_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(BadInputError, match=r"journal\.jsonl cannot be read: No such file"):
        list(read_journal(path))


def test_every_event_becomes_json_values_by_its_name() -> None:
    assert [to_json(event)["event"] for event in whole_run()][:4] == [
        "run_started",
        "site_joined",
        "site_joined",
        "model_saved",
    ]


def test_a_line_without_an_end_is_not_read_whole(journal: Journal, path: Path) -> None:
    journal.append(RunPaused(reason="lunch"))
    with path.open("ab") as file:
        file.write(b"x" * (5 << 20))
    with pytest.raises(BadInputError, match=r"has a line at byte \d+ that is longer than 4194304 bytes"):
        list(read_journal(path))


def test_a_hole_of_any_size_is_left_out(journal: Journal, path: Path) -> None:
    event = journal.append(RunPaused(reason="lunch"))
    os.truncate(path, 10 << 30)
    assert list(read_journal(path)) == [event]


def test_the_secret_of_a_run_stays_in_its_journal() -> None:
    started = RunStarted(
        run="r", job="j", workflow="FedAvg", sites=[], start_round=0, total_rounds=1, exchange="/x", secret="ab" * 16
    )
    assert "secret" not in to_json(started)
    assert b'"secret":"abab' in chained(started, "")[0]
