"""Ends are signed, whoever writes them: the server of the run, one that goes on with it, or the next one."""

from __future__ import annotations

from pathlib import Path

from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.manifest import End, decode
from fltui.exchange.publish import open_exchange, open_site, put_bytes
from fltui.exchange.signing import Identity, signature_fault
from fltui.run.folder import RunFolder, create_run
from fltui.run.state import RunState, SiteState
from fltui.server.ends import end_dead_runs
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
