"""The lists of the home screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from fltui.console.runs.listing import JobEntry, JobList, RunList
from fltui.exchange.lock import hold
from fltui.run.events import AnyEvent, RunStatus
from fltui.run.journal import read_events
from tests.console.books import RUN, failed, hello, weights
from tests.jobs import HELLO, HELLO_JOB


def _jobs(folders: list[Path]) -> list[JobEntry]:
    return JobList(folders).read()


def test_jobs_are_found_in_folders_and_as_themselves(tmp_path: Path) -> None:
    jobs = {entry.name: entry.path for entry in _jobs([HELLO.parent])}
    folders = {path.name for path in HELLO.parent.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert jobs.keys() == folders  # each is listed, whatever scripts stand beside its job
    assert jobs[HELLO.name] == HELLO_JOB
    assert [entry.path for entry in _jobs([HELLO])] == [HELLO_JOB]
    assert [entry.path for entry in _jobs([HELLO_JOB])] == [HELLO_JOB]
    assert _jobs([tmp_path, tmp_path / "missing"]) == []


def test_a_job_found_twice_is_listed_once() -> None:
    assert len(_jobs([HELLO, HELLO.parent, HELLO_JOB])) == len(_jobs([HELLO.parent]))


def test_a_job_folder_is_a_job(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "meta.json").write_text("{}")
    (found,) = _jobs([tmp_path])
    assert (found.name, found.kind) == ("mine", "folder")


def test_a_hostile_name_of_a_job_is_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b]0;x\x07b"
    folder.mkdir()
    (folder / "meta.json").write_text("{}")
    (found,) = _jobs([tmp_path])
    assert "\x1b" not in found.name


def test_runs_are_listed_newest_first_with_what_they_came_to(tmp_path: Path) -> None:
    hello(tmp_path, run="hello-20260131T110000Z-aaaa")
    failed(tmp_path)
    newest, oldest = RunList(tmp_path).read()
    assert (newest.status, newest.rounds, newest.total) == (RunStatus.FAILED, 1, 3)
    assert "labels are missing" in newest.reason
    assert (oldest.status, oldest.rounds, oldest.metrics) == (RunStatus.COMPLETED, 3, {"accuracy": 7.0})
    assert oldest.is_over


def test_a_run_that_did_not_change_is_read_once(tmp_path: Path) -> None:
    book = hello(tmp_path, end=False)
    runs = RunList(tmp_path)
    (before,) = runs.read()
    assert runs.read()[0] is before
    book.finish()
    (after,) = runs.read()
    assert after.status is RunStatus.COMPLETED


def test_a_run_that_is_held_is_alive(tmp_path: Path) -> None:
    book = hello(tmp_path, end=False)
    runs = RunList(tmp_path)
    assert not runs.read()[0].alive
    assert hold(book.folder.lock) is not None
    (found,) = runs.read()
    assert found.alive
    assert not found.is_over


def test_a_journal_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    hello(tmp_path)
    broken = tmp_path / "broken-20260131T130000Z-bbbb"
    broken.mkdir()
    (broken / "journal.jsonl").write_text("nonsense\n")
    first, second = RunList(tmp_path).read()
    assert first.status is None
    assert "not an event" in first.reason
    assert second.folder.run == RUN


def test_a_summary_older_than_the_run_is_not_believed(tmp_path: Path) -> None:
    book = hello(tmp_path, 1, end=False)
    book.folder.summary.write_text("{}")
    (found,) = RunList(tmp_path).read()
    assert found.status is RunStatus.RUNNING


def test_a_job_that_is_added_and_one_that_is_changed_are_seen(tmp_path: Path) -> None:
    jobs = JobList([tmp_path])
    assert jobs.read() == []
    (tmp_path / "a.py").write_text("FedJob")
    (tmp_path / "b.py").write_text("nothing")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "meta.json").write_text("{}")
    assert {entry.name for entry in jobs.read()} >= {"mine"}
    (tmp_path / "b.py").write_text("FedJob too")
    assert "b" in {entry.name for entry in jobs.read()}


def test_of_a_journal_that_grows_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = hello(tmp_path, 1, end=False)
    runs = RunList(tmp_path)
    assert runs.read()[0].rounds == 1
    starts: list[int] = []

    def noted(journal: BinaryIO, where: str) -> Iterator[AnyEvent]:
        starts.append(journal.tell())
        return read_events(journal, where)

    monkeypatch.setattr("fltui.console.runs.listing.read_events", noted)
    size = book.folder.journal.stat().st_size
    book.ask(1)
    book.close_round(1, weights(2), sites=(), accuracy=6.0)
    assert runs.read()[0].rounds == 2
    assert starts == [size]


def test_a_journal_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    hello(tmp_path / "a", 2, end=False)
    shorter = hello(tmp_path / "b", 1, end=False)
    runs = RunList(tmp_path / "a")
    (before,) = runs.read()
    assert before.rounds == 2
    shorter.folder.journal.replace(before.folder.journal)
    assert runs.read()[0].rounds == 1
