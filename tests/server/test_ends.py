"""Ends are signed, whoever writes them: the server of the run, one that goes on with it, or the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.exchange.layout import ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.manifest import End, decode
from fltui.exchange.publish import open_exchange, open_site, put_bytes
from fltui.exchange.signing import Identity, signature_fault
from fltui.run.folder import RunFolder, create_run
from fltui.run.options import RunOptions
from fltui.run.state import RunState, SiteState
from fltui.server.ends import Ends, end_dead_runs, put_end
from fltui.server.past import Past, reopen_sites
from tests.exchange.signers import signer

IDENTITY = Identity(signer(1))


def shared(folder: Path) -> tuple[ExchangeFolder, RunFolder, TaskId]:
    """An exchange with the site ``a``, a run without a server, and its task."""
    exchange = open_exchange(folder / "exchange")
    run = create_run(folder / "runs", "hello")
    run.journal.touch()
    site, task_id = exchange.site("a"), TaskId(run.run, 3, "train")
    open_site(site, "server")
    site.status.write_text("{}")
    put_bytes(b"{}\n", site.task(task_id), site.staging("server"))
    return exchange, run, task_id


def check(exchange: ExchangeFolder, task_id: TaskId) -> None:
    """There is one end, signed, for the site and the task that it is at."""
    (path,) = exchange.site("a").tasks.glob("*.end.*")
    found = decode(path.read_bytes(), End, path.name)
    assert (found.site, found.task_id, found.run) == ("a", str(task_id.end()), task_id.run)
    assert path.name == f"{found.task_id}.json"
    assert signature_fault(path.read_bytes(), IDENTITY.public) == ""


def test_the_end_of_a_run_whose_server_died_is_signed(tmp_path: Path) -> None:
    exchange, run, task_id = shared(tmp_path)
    end_dead_runs(exchange, run.root.parent, identity=IDENTITY)
    check(exchange, task_id)


def test_the_end_of_a_dropped_site_is_signed_when_the_run_goes_on(tmp_path: Path) -> None:
    exchange, run, task_id = shared(tmp_path)
    state = RunState(run=run.run, sites={"a": SiteState(state="lost", reason="dropped: wrong data", dropped=True)})
    reopen_sites(exchange, Past(state, [("a", task_id)], going_on=3), IDENTITY, durable=False)
    check(exchange, task_id)


def linked(exchange: ExchangeFolder, part: str, target: str) -> None:
    """The site ``a`` has put a link in place of a folder."""
    path = exchange.root / "a" / part
    path.rename(exchange.root / "a" / f"moved-{path.name}")
    path.symlink_to(exchange.root / target, target_is_directory=True)


def beside(exchange: ExchangeFolder, task_id: TaskId) -> SiteFolder:
    """Another site, with a task, a result and an end of the run."""
    other = exchange.site("b")
    open_site(other, "server")
    for folder in (other.tasks, other.results, other.staging("server")):
        for one in (task_id, task_id.end(), TaskId(task_id.run, 0, "train")):
            (folder / f"{one}.json").write_text("{}")
    return other


def files(site: SiteFolder) -> set[str]:
    """The files of a site."""
    return {str(path.relative_to(site.root)) for path in site.root.rglob("*") if path.is_file()}


PARTS = {"tasks": "b/tasks", ".syncthing.fltui.server": "b/results"}


@pytest.mark.parametrize("part", PARTS)
def test_a_site_cannot_end_a_run_for_another_site(tmp_path: Path, part: str) -> None:
    exchange, run, task_id = shared(tmp_path)
    other = beside(exchange, task_id)
    other.task(task_id.end()).unlink()
    before = files(other)
    linked(exchange, part, PARTS[part])
    assert put_end(exchange.site("a"), task_id, "FINISHED:ABORTED", "dropped: wrong data", IDENTITY) is False
    Ends(exchange, IDENTITY, durable=False).complete(["a"], task_id)
    end_dead_runs(exchange, run.root.parent, identity=IDENTITY)
    assert files(other) == before
    assert not [name for name in files(exchange.site("a")) if ".end." in name]


@pytest.mark.parametrize("going_on", [3, None])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_a_resume_changes_nothing_of_another_site(
    tmp_path: Path, part: str, dropped: bool, going_on: int | None
) -> None:
    exchange, run, task_id = shared(tmp_path)
    other = beside(exchange, task_id)
    before = files(other)
    linked(exchange, part, PARTS[part])
    site = SiteState(state="lost", reason="dropped: wrong data", dropped=dropped)
    state = RunState(run=run.run, start_round=3, options=RunOptions(keep_rounds=1), sites={"a": site})
    reopen_sites(exchange, Past(state, [("a", task_id)], going_on=going_on), IDENTITY, durable=True)
    assert files(other) == before


def test_a_resume_removes_what_the_last_server_left(tmp_path: Path) -> None:
    exchange, run, task_id = shared(tmp_path)
    other = beside(exchange, task_id)
    state = RunState(run=run.run, start_round=3, options=RunOptions(keep_rounds=1), sites={"b": SiteState()})
    left = other.staging("server") / f"{run.run}-not-mine.json"
    left.touch()
    reopen_sites(exchange, Past(state, [("b", task_id)], going_on=3), IDENTITY, durable=False)
    assert [path.name for path in other.staging("server").iterdir()] == [left.name]
    assert [path.name for path in other.tasks.iterdir()] == [f"{task_id}.json"]


def test_runs_that_go_on_beside_another_are_left_alone(tmp_path: Path) -> None:
    exchange, run, task_id = shared(tmp_path)
    other = beside(exchange, task_id)
    other.task(task_id.end()).unlink(missing_ok=True)
    other.status.write_text("{}")
    end_dead_runs(exchange, run.root.parent, "hello", others=[run.run], identity=IDENTITY)
    assert not other.task(task_id.end()).exists()
    end_dead_runs(exchange, run.root.parent, "hello", identity=IDENTITY)
    assert other.task(task_id.end()).exists()
