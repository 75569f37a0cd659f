"""The engine when something below it breaks: the disk, the run folder, the workflow."""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.layout import END, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.publish import OpenTasks, open_exchange, open_tasks
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.run import control
from fltui.run.describe import describe
from fltui.run.events import AnyEvent, RunFinished, RunPaused, RunResumed, RunStatus, SiteJoined, SiteLost
from fltui.run.folder import RunFolder, create_run
from fltui.run.journal import Journal, read_journal
from fltui.run.logs import read_log
from fltui.run.options import RunMode, RunOptions
from fltui.server.engine import Engine
from fltui.server.federation import RunFederation
from fltui.server.roster import Roster, Wait
from fltui.server.verify import verify
from fltui.workflows.workflow import Federation, Workflow
from tests.server.plays import Play

Step = Callable[[Federation], object]


class Quiet:
    """A fleet without scripts: its one site is there."""

    mode: RunMode = "server"
    same_user = False
    look_every = 0.01

    def __init__(self) -> None:
        self.roster: Roster
        self.stopped = False

    async def start(self, roster: Roster, wait: Wait, asked: frozenset[str]) -> None:
        """See `Fleet.start`."""
        self.roster = roster
        roster.join("a")

    def look(self) -> None:
        """Nothing to look for."""

    def returns(self) -> bool:
        """Nobody comes back."""
        return False

    def drop(self, site: str) -> None:
        """There is no script to end."""

    async def stop(self, *, patient: bool) -> None:
        """There is no script to end."""
        self.stopped = True

    def hurry(self) -> None:
        """There is no script to end."""


@dataclass
class Idle(Workflow):
    """Does one step in a workflow's place, then waits for sites that never come; `left` tells that it was ended."""

    step: Step = lambda _: None
    left: bool = False

    @property
    def rounds(self) -> range:
        """One round."""
        return range(1)

    async def run(self, federation: Federation) -> str:
        """See `Workflow.run`."""
        self.step(federation)
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True
        return ""


@dataclass
class Busy(Idle):
    """An idle workflow that lets the engine attend to what happens."""

    async def run(self, federation: Federation) -> str:
        """See `Workflow.run`."""
        assert isinstance(federation, RunFederation)
        self.step(federation)
        while True:
            await federation.wait(0.01)


@dataclass
class Table:
    """A run of one site that is about to begin."""

    folder: RunFolder
    exchange: ExchangeFolder
    workflow: Idle
    fleet: Quiet

    def engine(self, *, resumed: bool = False) -> Engine:
        """A new engine for it."""
        job = Job("test", self.workflow, {"a": SiteApp(ScriptExecutor("a.py"))})
        return Engine(job, self.folder, self.exchange, self.fleet, RunOptions(), resumed=resumed)

    async def end(self) -> RunFinished:
        """How it ends, which is soon."""
        return await asyncio.wait_for(self.engine().run(), 20)

    def events(self) -> list[AnyEvent]:
        """What stands in the journal."""
        return list(read_journal(self.folder.journal))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A run that is about to begin."""
    return Table(create_run(tmp_path / "runs", "test"), open_exchange(tmp_path / "exchange"), Idle(), Quiet())


def broken(monkeypatch: pytest.MonkeyPatch, kind: type[AnyEvent]) -> None:
    """Let the disk break when the first event of a kind is to be written."""
    append, failing = Journal.append, [True]

    def fail(self: Journal, event: AnyEvent) -> AnyEvent:
        if isinstance(event, kind) and failing.pop():
            failing.append(False)
            raise OSError(errno.EIO, "Input/output error", "journal.jsonl")
        return append(self, event)

    monkeypatch.setattr(Journal, "append", fail)


async def test_an_error_inside_the_server_is_in_its_log(table: Table) -> None:
    def fail(_: Federation) -> None:
        raise ZeroDivisionError("bad \x1b[2J luck")

    table.workflow.step = fail
    with pytest.raises(ZeroDivisionError):
        await table.end()
    end = table.events()[-1]
    assert isinstance(end, RunFinished)
    assert (end.state, end.reason) == (
        RunStatus.FAILED,
        "an error inside the server; its traceback is in logs/server.log",
    )
    lines = [line.text for line in read_log(table.folder.logs / "server.log") if line.level == "ERROR"]
    assert lines[0] == "Traceback (most recent call last):"
    assert "ZeroDivisionError: bad \\x1b[2J luck" in lines
    assert end.reason in lines[-1]


async def test_a_site_that_cannot_be_written_off_ends_the_run(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(_: Federation) -> None:
        asyncio.get_running_loop().call_soon(table.fleet.roster.lose, "a", "gone")

    broken(monkeypatch, SiteLost)
    table.workflow.step = lose
    end = await table.end()
    assert (end.state, end.reason) == (
        RunStatus.FAILED,
        "the server cannot go on: Input/output error (journal.jsonl)",
    )
    assert table.workflow.left
    assert table.events()[-1] == end


async def test_a_request_that_cannot_be_written_down_ends_the_run(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(_: Federation) -> None:
        control.ask(table.folder, control.Drop("a"))

    broken(monkeypatch, SiteLost)
    table.workflow.step = ask
    assert (await table.end()).reason == "the server cannot go on: Input/output error (journal.jsonl)"
    assert table.workflow.left


async def test_what_is_asked_as_the_run_ends_is_taken_away(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(*, patient: bool) -> None:
        control.ask(table.folder, control.Pause("lunch"))

    table.workflow.step = lambda _: control.ask(table.folder, control.Abort())
    monkeypatch.setattr(table.fleet, "stop", stop)
    assert (await table.end()).state is RunStatus.ABORTED
    assert not list(table.folder.control.iterdir())
    assert not any(isinstance(event, RunPaused) for event in read_journal(table.folder.journal))


async def test_an_end_that_cannot_be_written_down_is_told(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Federation) -> None:
        raise RunFailedError("no luck")

    broken(monkeypatch, RunFinished)
    table.workflow.step = fail
    told = r"run test-.* has ended and journal\.jsonl cannot tell: Input/output error; no luck"
    with pytest.raises(RunFailedError, match=told):
        await table.end()
    assert isinstance(table.events()[-1], SiteJoined)


async def test_a_full_disk_at_the_end_leaves_the_journal_alone_whole(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def stop(_: Federation) -> None:
        raise RunFailedError("no luck")

    table.workflow.step = stop
    for place in ("fltui.server.books.write_summary", "fltui.server.mirror.Mirror.finish"):
        monkeypatch.setattr(place, fail)
    assert (await table.end()).reason == "no luck"
    assert isinstance(table.events()[-1], RunFinished)


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_run_folder_that_cannot_be_used_is_left_with_every_file_closed(table: Table, resumed: bool) -> None:
    if resumed:
        engine = table.engine()
        engine.abort("enough")
        await engine.run()
        table.folder.metrics.unlink()
    table.folder.metrics.mkdir()
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(BadInputError, match=f"cannot be {'resumed' if resumed else 'begun'}: Is a directory"):
        await table.engine(resumed=resumed).run()
    assert len(list(Path("/dev/fd").iterdir())) == before


async def test_the_sites_hear_nothing_of_a_resume_that_cannot_be_written_down(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = table.engine()
    engine.abort("enough")
    await engine.run()
    end = table.exchange.site("a").task(TaskId(table.folder.run, 0, END, 0))
    assert end.exists()
    broken(monkeypatch, RunResumed)
    with pytest.raises(BadInputError, match=r"cannot be resumed: Input/output error \(journal\.jsonl\)"):
        await table.engine(resumed=True).run()
    assert end.exists()


def full(monkeypatch: pytest.MonkeyPatch, table: Table, refuses: Callable[[AnyEvent], bool]) -> None:
    """Let the disk be full for some events."""
    append = Journal.append

    def fail(self: Journal, event: AnyEvent) -> AnyEvent:
        if refuses(event):
            raise OSError(errno.ENOSPC, "No space left on device", str(table.folder.journal))
        return append(self, event)

    monkeypatch.setattr(Journal, "append", fail)


async def test_who_was_dropped_when_the_disk_was_full_is_so_when_the_run_ends_meanwhile(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, table, lambda event: isinstance(event, SiteLost) and not table.fleet.stopped)
    table.workflow.step = lambda _: control.ask(table.folder, control.Drop("a", "wrong data"))
    engine = table.engine()
    engine.follow(lambda event: engine.abort("enough") if isinstance(event, RunPaused) else None)
    end = await asyncio.wait_for(engine.run(), 20)
    assert (end.state, end.reason) == (RunStatus.ABORTED, "enough")
    lost, finished = table.events()[-2:]
    assert isinstance(lost, SiteLost)
    assert (lost.site, lost.reason, lost.dropped, finished) == ("a", "dropped: wrong data", True, end)


async def test_a_run_still_ends_when_not_all_can_be_told(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch, table, lambda event: isinstance(event, SiteLost))
    table.workflow.step = lambda _: control.ask(table.folder, control.Drop("a", "wrong data"))
    engine = table.engine()
    engine.follow(lambda event: engine.abort("enough") if isinstance(event, RunPaused) else None)
    end = await asyncio.wait_for(engine.run(), 20)
    assert table.events()[-1] == end


async def test_a_pause_that_did_not_fit_on_the_disk_holds_when_there_is_room(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[AnyEvent] = []

    def once(event: AnyEvent) -> bool:
        if isinstance(event, RunPaused) and not refused:
            refused.append(event)
            return True
        return False

    full(monkeypatch, table, once)
    table.workflow.step = lambda _: None if refused else control.ask(table.folder, control.Pause("lunch"))
    engine = table.engine()

    def follow(event: AnyEvent) -> None:
        if isinstance(event, RunPaused) and event.reason == "lunch":
            asyncio.get_running_loop().call_soon(engine.abort, "enough")

    engine.follow(follow)
    await asyncio.wait_for(engine.run(), 20)
    outage, lunch, _ = table.events()[-3:]
    assert isinstance(outage, RunPaused)
    assert isinstance(lunch, RunPaused)
    assert (outage.reason.split(" (")[0], lunch.reason) == ("No space left on device", "lunch")


@pytest.mark.parametrize(("fails", "told"), [(0, ["a", "b"]), (1, ["a", "b", "a"])])
def test_a_run_that_completes_tells_each_site_once_and_who_missed_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int, told: list[str]
) -> None:
    ends = []

    def counted(site: SiteFolder) -> AbstractContextManager[OpenTasks]:
        ends.append(site.name)
        if len(ends) <= fails:
            raise PermissionError(errno.EACCES, "Permission denied", str(site.tasks))
        return open_tasks(site)

    monkeypatch.setattr("fltui.server.ends.open_tasks", counted)
    Play(tmp_path, rounds=1).run()
    assert ends == told


async def test_sites_that_could_not_be_told_of_the_end_are_named(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(site: SiteFolder) -> AbstractContextManager[OpenTasks]:
        raise PermissionError(errno.EACCES, "Permission denied", str(site.tasks))

    monkeypatch.setattr("fltui.server.ends.open_tasks", refused)
    engine = table.engine()
    table.workflow.step = lambda _: engine.abort("enough")
    end = await asyncio.wait_for(engine.run(), 20)
    assert (end.state, end.untold) == (RunStatus.ABORTED, sorted(table.fleet.roster.present))
    assert describe(end)[1].endswith(f"; {', '.join(end.untold)} could not be told")


async def test_a_dropped_site_is_told_as_soon_as_it_can_be(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def late(site: SiteFolder) -> AbstractContextManager[OpenTasks]:
        tries.append(site.name)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "Permission denied", str(site.tasks))
        asyncio.get_running_loop().call_soon(engine.abort, "enough")
        return open_tasks(site)

    monkeypatch.setattr("fltui.server.ends.open_tasks", late)
    table.workflow = Busy(lambda _: control.ask(table.folder, control.Drop("a", "wrong data")))
    engine = table.engine()
    end = await asyncio.wait_for(engine.run(), 20)
    assert (end.untold, tries[:3]) == ([], ["a"] * 3)


def test_a_resume_that_is_killed_while_it_tidies_leaves_nothing_to_accuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, fail_at=1)
    run = play.run()
    assert run.seal.exists()
    with monkeypatch.context() as patch:
        patch.setattr("fltui.server.engine.tidy_run", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            play.resume(run)
    assert verify(run).difference is None


def test_a_final_model_that_is_damaged_is_no_success_for_the_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(federation: RunFederation) -> dict[str, str]:
        raise msgspec.ValidationError("no model")

    monkeypatch.setattr(RunFederation, "final_model", damaged)
    run = Play(tmp_path, rounds=1).run()
    assert run.state().status is RunStatus.FAILED
    ends = [msgspec.json.decode(path.read_bytes()) for path in tmp_path.glob("exchange/*/tasks/*.end.*.json")]
    assert [end["state"] for end in ends] == ["FINISHED:FAILED"] * 2


@pytest.mark.parametrize("dropped", [True, False])
def test_a_site_that_has_spoilt_its_folder_keeps_no_run_from_being_resumed(table: Table, dropped: bool) -> None:
    async def play() -> None:
        table.workflow.step = lambda _: control.ask(table.folder, control.Drop("a", "wrong")) if dropped else None
        first = table.engine()
        first.follow(
            lambda event: first.abort("enough") if isinstance(event, SiteLost if dropped else SiteJoined) else None
        )
        await asyncio.wait_for(first.run(), 20)
        results = table.exchange.site("a").results
        results.rmdir()
        results.symlink_to(table.folder.root)
        table.workflow = Busy(lambda _: again.abort("enough"))
        again = table.engine(resumed=True)
        table.fleet.start = nobody  # type: ignore[method-assign]
        end = await asyncio.wait_for(again.run(), 20)
        assert end.state is RunStatus.ABORTED

    async def nobody(roster: Roster, wait: Wait, asked: frozenset[str]) -> None:
        assert "a" in roster.absent

    asyncio.run(play())
