"""The server of a queue, whose runs are played by hand: books instead of engines."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fltui.client.config import Durability
from fltui.errors import BadInputError
from fltui.exchange import publish
from fltui.exchange.hints import Hints
from fltui.exchange.lock import hold
from fltui.exchange.watch import Backoff
from fltui.queue.changing import abort
from fltui.queue.documents import Claim, EntryEnd, Wishes
from fltui.queue.entries import Entry, Standing, read_entry
from fltui.queue.folder import EntryFolder, QueueFolder
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder
from fltui.run.state import RunState
from fltui.server.dispatch import starting
from fltui.server.dispatch.child import Child, Lifeline, progress_of
from fltui.server.dispatch.dispatcher import Dispatcher
from fltui.server.dispatch.notices import Notice
from fltui.server.dispatch.settings import Settings
from tests.console.books import Book
from tests.queue.made import RUN, put_entry, queue_in


class Played:
    """The runs that a dispatcher starts, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue = queue_in(folder)
        self.told: list[Notice] = []
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Future[int]] = {}
        self.wrong: dict[str, OSError] = {}

    async def start(
        self, entry: Entry, claim: Claim, state: RunState | None, held: int | None, _: Lifeline, __: Settings
    ) -> Child:
        """In place of `child.start`."""
        if entry.id in self.wrong:
            raise self.wrong[entry.id]
        self.begun.append(f"{entry.id}{' again' if state else ''}")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ends[entry.id] = future

        async def wait() -> int:
            return await future

        return Child(entry, claim, held, asyncio.create_task(wait()), 1 << 30, 0, progress_of(state))

    def book(self, name: str) -> Book:
        """The books of an entry's run."""
        claim = read_entry(self.queue.entry(name), with_run=False).claim
        assert claim is not None
        return Book(Path(claim.runs), claim.run)

    def end(self, name: str, code: int = 0, status: RunStatus | None = RunStatus.COMPLETED, said: str = "") -> None:
        """Let the process of an entry end, and its run if there is a status."""
        if status is not None:
            book = self.book(name)
            book.start()
            book.finish(status, said)
        else:
            self.queue.entry(name).said.write_text(f"error: {said}\n")
        self.ends.pop(name).set_result(code)

    def texts(self, kind: str) -> list[str]:
        """What was told of a kind."""
        return [one.text for one in self.told if one.event == kind]

    @asynccontextmanager
    async def serving(self, parallel: int = 1, *, drain: bool = False) -> AsyncIterator[Dispatcher]:
        """A server of the queue."""
        settings = Settings(
            self.folder / "runs", self.folder / "exchange", parallel, durability=Durability.PROCESS, drain=drain
        )
        dispatcher = Dispatcher(self.queue, settings, self.told.append)
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
            if drain:
                await task
        finally:
            dispatcher.stop()
            for end in self.ends.values():
                if not end.done():
                    end.set_result(-9)
            await asyncio.wait_for(task, 30)

    async def until(self, true: Callable[[], bool]) -> None:
        """Let it work until something has come about."""
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline, (self.begun, self.told)
            await asyncio.sleep(0.005)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    found = Played(tmp_path)
    monkeypatch.setattr(starting, "start", found.start)
    return found


def standing(folder: EntryFolder) -> Standing:
    return read_entry(folder).standing


async def test_entries_run_in_order_and_each_end_is_written_down(played: Played) -> None:
    first, second = put_entry(played.queue, "b", 0), put_entry(played.queue, "a", 1)
    async with played.serving(drain=True) as server:
        await played.until(lambda: played.begun == ["b"])
        played.end("b")
        await played.until(lambda: played.begun == ["b", "a"])
        played.end("a", 1, RunStatus.FAILED, "no disk")
    assert (read_entry(first).end, read_entry(second).end) == (
        EntryEnd(state="FINISHED:COMPLETED"),
        EntryEnd(state="FINISHED:FAILED", reason="no disk"),
    )
    assert server.counts == (1, 0, 1)


async def test_jobs_that_share_a_site_wait_for_each_other(played: Played) -> None:
    played.queue.groups.write_text(json.dumps({"labs": ["site-3"]}))
    for order, (name, wishes) in enumerate(
        [("a", Wishes()), ("b", Wishes(sites=["site-2"])), ("c", Wishes(groups=["labs"]))]
    ):
        put_entry(played.queue, name, order, wishes=wishes)
    async with played.serving(3, drain=True):
        await played.until(lambda: sorted(played.begun) == ["a", "c"])
        played.end("a")
        await played.until(lambda: played.begun[-1] == "b")
        played.end("b")
        played.end("c")


async def test_a_submission_is_seen_at_once(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher alone can tell: nobody looks again for an hour."""

    class Never(Backoff):
        def next(self) -> float:
            return 3600.0

    monkeypatch.setattr(Hints, "backoff", lambda self, *, trusted: Never())
    async with played.serving():
        await played.until(lambda: bool(played.texts("serving")))
        await asyncio.sleep(0)  # the first look
        put_entry(played.queue, "a")
        played.queue.ring()
        await played.until(lambda: played.begun == ["a"])


async def test_garbage_is_told_once_and_stops_nobody(played: Played) -> None:
    (played.queue.root / "garbage").mkdir()
    (played.queue.root / "nonsense").write_text("x")
    (played.queue.root / ".taken-x").write_text("x")
    put_entry(played.queue, "broken").about.write_text("{")
    put_entry(played.queue, "a")
    async with played.serving():
        await played.until(lambda: played.begun == ["a"])
        played.end("a")
        await played.until(lambda: standing(played.queue.entry("a")) is Standing.OVER)
    assert len(played.texts("fault")) == 4
    assert all("left alone" in text for text in played.texts("fault"))


FOREIGN = "other-20260131T120000Z-beef"


@pytest.mark.parametrize(("runs", "run"), [("elsewhere", RUN), ("runs", FOREIGN)])
async def test_a_claim_that_no_server_has_made_is_not_obeyed(played: Played, runs: str, run: str) -> None:
    """It lies where whoever submits may write, and the server would act on it as itself."""
    folder = put_entry(played.queue, "a", claim=Claim(run=run, runs=str(played.folder / runs)))
    Book(played.folder / runs, run).start()
    put_entry(played.queue, "b", 1)
    async with played.serving():
        await played.until(lambda: played.begun == ["b"])
        assert "claim.json names" in played.texts("fault")[0]
        abort(played.queue, "a", "forged")
        await played.until(lambda: standing(folder) is Standing.OVER)
    assert played.begun == ["b"]
    assert read_entry(folder).reason.startswith("forged; ")
    assert not any(RunFolder(played.folder / runs / run).control.iterdir())


async def test_a_job_that_would_hold_up_who_reads_it_fails(played: Played) -> None:
    folder = put_entry(played.queue, "a")
    (folder.job / "meta.json").unlink()
    os.mkfifo(folder.job / "meta.json")
    async with played.serving(drain=True):
        await played.until(lambda: standing(folder) is Standing.OVER)
    assert "meta.json is not a plain file" in read_entry(folder).reason


async def test_too_many_names_for_one_argument_are_told(played: Played) -> None:
    folder = put_entry(played.queue, "a", sites=[f"site-{'x' * 50}-{number:04}" for number in range(2000)])
    async with played.serving(drain=True):
        await played.until(lambda: standing(folder) is Standing.OVER)
    assert "2000 sites, whose names take 121999 bytes" in read_entry(folder).reason


async def test_an_entry_that_is_removed_while_it_runs_stops_nobody(played: Played) -> None:
    folder = put_entry(played.queue, "a", 0)
    put_entry(played.queue, "b", 1)
    async with played.serving(drain=True):
        await played.until(lambda: played.begun == ["a"])
        book = played.book("a")
        shutil.rmtree(folder.root)
        book.start()
        book.finish()
        played.ends.pop("a").set_result(0)
        await played.until(lambda: played.begun == ["a", "b"])
        played.end("b")
    assert played.texts("gone") == [f"entry a was removed while it ran as run {book.folder.run}, which completed"]
    assert not folder.root.exists()
    assert played.texts("trouble") == []


async def test_what_cannot_be_started_for_a_reason_of_its_own_stops_nobody(played: Played) -> None:
    put_entry(played.queue, "a", 0)
    put_entry(played.queue, "b", 1)
    played.wrong["a"] = OSError(errno.E2BIG, "Argument list too long", "python")
    async with played.serving():
        await played.until(lambda: played.begun == ["b"])
        assert played.texts("waiting") == ["entry a cannot be started: Argument list too long (python)"]
        del played.wrong["a"]
        played.end("b")
        await played.until(lambda: played.begun == ["b", "a"])
    assert played.texts("trouble") == []


async def test_an_end_that_nobody_can_write_down_stops_nobody(played: Played) -> None:
    folder = put_entry(played.queue, "a", 0)
    put_entry(played.queue, "b", 1)
    async with played.serving(drain=True):
        await played.until(lambda: played.begun == ["a"])
        book = played.book("a")
        folder.end.mkdir()
        (folder.end / "x").touch()
        book.start()
        book.finish()
        played.ends.pop("a").set_result(0)
        await played.until(lambda: played.begun == ["a", "b"])
        assert "entry a completed, which cannot be written down" in played.texts("waiting")[0]
        shutil.rmtree(folder.end)
        played.end("b")
        await played.until(lambda: standing(folder) is Standing.OVER)


async def test_a_second_server_is_refused(played: Played) -> None:
    async with played.serving():
        await played.until(lambda: bool(played.texts("serving")))
        other = Dispatcher(
            played.queue, Settings(played.folder / "runs", played.folder / "exchange"), played.told.append
        )
        with pytest.raises(BadInputError, match="is served by another process already"):
            await other.run()


@pytest.mark.parametrize("journal", ["none", "empty", "torn", "begun", "over"])
async def test_what_another_server_left_is_done_once(played: Played, journal: str) -> None:
    """A run that has not begun begins under the same id, one that has goes on, one that is over is written down."""
    claim = Claim(run=RUN, runs=str(played.folder / "runs"), sites=["site-1", "site-2"])
    folder = put_entry(played.queue, "a", claim=claim)
    if journal != "none":
        book = Book(played.folder / "runs", RUN)
        if journal == "torn":
            book.folder.journal.write_text('{"event":"run_star')
        elif journal != "empty":
            book.start()
        if journal == "over":
            book.finish()
    async with played.serving(drain=True):
        if journal == "over":
            await played.until(lambda: standing(folder) is Standing.OVER)
            assert played.begun == []
        else:
            await played.until(lambda: bool(played.begun))
            assert played.begun == ["a again" if journal == "begun" else "a"]
            claimed = read_entry(folder).claim
            assert claimed == claim
            if journal == "begun":
                book.finish()
                played.ends.pop("a").set_result(0)
            else:
                shutil.rmtree(RunFolder(claim.root).root, ignore_errors=True)  # as the run's own process does
                played.end("a")
    assert read_entry(folder).end == EntryEnd(state="FINISHED:COMPLETED")


async def test_what_is_held_by_a_process_that_outlives_its_server_is_waited_for(played: Played) -> None:
    folder = put_entry(played.queue, "a", claim=Claim(run=RUN, runs=str(played.folder / "runs")))
    held = folder.hold()
    assert held is not None
    async with played.serving():
        await played.until(lambda: bool(played.texts("waiting")))
        assert played.begun == []
        os.close(held)
        await played.until(lambda: played.begun == ["a"])


async def test_a_run_that_a_person_resumed_by_hand_is_waited_for(played: Played) -> None:
    folder = put_entry(played.queue, "a", claim=Claim(run=RUN, runs=str(played.folder / "runs")))
    book = Book(played.folder / "runs", RUN)
    book.start()
    held = hold(book.folder.lock)
    assert held is not None
    async with played.serving(drain=True):
        await played.until(lambda: bool(played.texts("waiting")))
        book.finish()
        os.close(held)
    assert played.begun == []
    assert read_entry(folder).status is RunStatus.COMPLETED


async def test_a_job_that_cannot_start_fails_with_its_sentence_and_the_queue_goes_on(played: Played) -> None:
    nowhere = put_entry(played.queue, "a", 0, wishes=Wishes(groups=["schools"]))
    broken = put_entry(played.queue, "b", 1)
    put_entry(played.queue, "c", 2)
    async with played.serving(drain=True):
        await played.until(lambda: played.begun == ["b"])
        played.end("b", 2, None, "it names no workflow")
        await played.until(lambda: played.begun == ["b", "c"])
        played.end("c")
    assert "no group 'schools'" in read_entry(nowhere).reason
    assert read_entry(broken).reason == "it names no workflow"


async def test_a_process_that_dies_is_started_again_and_given_up_at_last(played: Played) -> None:
    folder = put_entry(played.queue, "a")
    async with played.serving(drain=True):
        for count in (1, 2, 3):
            await played.until(lambda n=count: len(played.begun) == n)  # type: ignore[misc]
            played.ends.pop("a").set_result(-9)
    assert played.begun == ["a"] * 3
    assert "died 3 times" in read_entry(folder).reason
    assert read_entry(folder).status is RunStatus.FAILED


async def test_groups_that_are_being_mended_fail_nobody(played: Played) -> None:
    played.queue.groups.write_text("{")
    put_entry(played.queue, "a", wishes=Wishes(groups=["labs"]))
    async with played.serving():
        await played.until(lambda: bool(played.texts("waiting")))
        played.queue.groups.write_text('{"labs": ["site-3"]}')
        await played.until(lambda: played.begun == ["a"])


async def test_an_abort_reaches_the_run_until_it_has_ended(played: Played) -> None:
    folder = put_entry(played.queue, "a")
    async with played.serving(drain=True) as server:
        await played.until(lambda: played.begun == ["a"])
        assert not abort(played.queue, folder.id, "wrong data")
        book = played.book("a")
        book.start()
        held = hold(book.folder.lock)
        assert held is not None
        control = book.folder.control
        await played.until(lambda: any(control.iterdir()))
        for path in control.iterdir():
            path.unlink()  # by a process that was just getting ready to go on
        await played.until(lambda: any(control.iterdir()))
        assert '"abort"' in next(control.iterdir()).read_text()
        book.finish(RunStatus.ABORTED, "wrong data")
        os.close(held)
        played.ends.pop("a").set_result(3)
    assert read_entry(folder).end == EntryEnd(state="FINISHED:ABORTED", reason="wrong data")
    assert server.counts == (0, 1, 0)


async def test_a_full_disk_is_sat_out(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True

    def check_room(folder: Path, size: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr("fltui.server.dispatch.trouble.check_room", check_room)
    put_entry(played.queue, "a")
    async with played.serving():
        await played.until(lambda: bool(played.texts("trouble")))
        assert played.begun == []
        full = False
        await played.until(lambda: played.begun == ["a"])
    assert "No space left on device" in played.texts("trouble")[0]
    assert played.texts("trouble")[1] == "that is over"


async def test_an_end_that_a_full_disk_keeps_from_being_written_is_told_once_and_written_later(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, put, failures = put_entry(played.queue, "a"), publish.put_bytes, 3

    def full(data: bytes, target: Path, staging: Path, *, durable: bool = False, over: str = "") -> None:
        nonlocal failures
        if target == folder.end and failures:
            failures -= 1
            raise OSError(errno.ENOSPC, "No space left on device", str(staging / f"end.json.{failures}"))
        put(data, target, staging, durable=durable, over=over)

    monkeypatch.setattr(publish, "put_bytes", full)
    async with played.serving(drain=True):
        await played.until(lambda: played.begun == ["a"])
        played.end("a")
    assert read_entry(folder).end == EntryEnd(state="FINISHED:COMPLETED")
    assert played.begun == ["a"]
    what = f"{folder.end} cannot be used now: No space left on device; nothing is started until that is over"
    assert played.texts("trouble") == [what, "that is over"]


async def test_a_queue_that_is_away_for_a_while_is_waited_for(played: Played) -> None:
    async with played.serving():
        await played.until(lambda: bool(played.texts("serving")))
        aside = played.queue.root.with_name("aside")
        played.queue.root.rename(aside)
        await played.until(lambda: bool(played.texts("trouble")))
        shutil.rmtree(played.queue.root, ignore_errors=True)
        aside.rename(played.queue.root)
        put_entry(QueueFolder(played.queue.root), "a")
        await played.until(lambda: played.begun == ["a"])
