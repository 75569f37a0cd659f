"""A site that stays up, the server's side played by hand; its scripts are real processes."""

from __future__ import annotations

import asyncio
import errno
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fltui.client.config import ClientConfig, Durability
from fltui.errors import BadInputError
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ExchangeFolder, SiteFolder
from fltui.exchange.manifest import Status
from fltui.exchange.publish import open_site
from fltui.standby.standby import Standby
from tests.client.by_hand import RUN, WEIGHTS, answer, end, publish
from tests.jobs import GOOD, processes_of, script

JOB = "hello"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteFolder:
    """The folder of site ``a``, prepared by the server."""
    monkeypatch.setattr("fltui.client.heartbeat._SOONEST", 0.02)
    folder = ExchangeFolder(tmp_path / "exchange").site("a")
    folder.root.parent.mkdir()
    open_site(folder, "server")
    (tmp_path / "jobs").mkdir()
    return folder


def put_job(folder: Path, text: str) -> None:
    """Put a job where the site looks for it, as an export would."""
    app = folder / "jobs" / JOB / "app_a"
    (app / "custom").mkdir(parents=True, exist_ok=True)
    (app / "config").mkdir(exist_ok=True)
    (app / "custom" / "a.py").write_text(text)
    executor = '{"path": "fltui.job.executors.ScriptExecutor", "args": {"task_script_path": "a.py"}}'
    (app / "config" / "config_fed_client.json").write_text(f'{{"executors": [{{"executor": {executor}}}]}}')
    (folder / "jobs" / JOB / "meta.json").write_text('{"name": "hello", "deploy_map": {"app_a": ["a"]}}')


@asynccontextmanager
async def standing_by(folder: Path, said: list[str], sent: signal.Signals = signal.SIGTERM) -> AsyncIterator[Standby]:
    """A site that is there."""
    config = ClientConfig("a", str(folder / "exchange"), durability=Durability.PROCESS)
    standby = Standby(config, folder / "jobs", said.append)
    task = asyncio.create_task(standby.run())
    try:
        yield standby
    finally:
        standby.stop(sent)
        await asyncio.wait_for(task, 30)


async def until(site: SiteFolder, true: Callable[[Status], bool]) -> Status:
    """Wait until the site's status says something."""
    deadline = time.monotonic() + 30
    while True:
        status = read_status(site)
        if status is not None and true(status):
            return status
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.005)


def idle(status: Status) -> bool:
    return (status.state, status.run, status.reason) == ("waiting", "", "")


async def test_a_task_brings_the_script_of_its_job_and_its_end_sends_it_away(tmp_path: Path, site: SiteFolder) -> None:
    put_job(tmp_path, GOOD)
    said: list[str] = []
    async with standing_by(tmp_path, said):
        await until(site, idle)
        task = publish(site, 0, {"numpy_key": WEIGHTS})
        await until(site, lambda status: status.run == RUN and status.state == "waiting")
        while not site.result(next(iter(site.published()))).exists():
            await asyncio.sleep(0.005)
        assert answer(site, task).metrics == {"loss": 1.0}
        end(site)
        await until(site, idle)
    assert [line.partition(" ")[0] for line in said] == ["site", "run", "run"]
    assert "is over, its script ended with exit code 0" in said[-1]
    assert processes_of(tmp_path) == []


async def test_a_job_that_is_not_agreed_to_is_told_and_served_once_it_is(tmp_path: Path, site: SiteFolder) -> None:
    async with standing_by(tmp_path, []):
        publish(site, 0, {"numpy_key": WEIGHTS})
        status = await until(site, lambda status: status.state == "failed")
        assert (status.run, status.reason) == (
            RUN,
            "there is no job 'hello' among those that this site agrees to run",
        )
        put_job(tmp_path, GOOD)
        await until(site, lambda status: status.run == RUN and status.state == "waiting")


async def test_the_end_of_a_run_ends_what_is_said_of_it(tmp_path: Path, site: SiteFolder) -> None:
    async with standing_by(tmp_path, []):
        publish(site, 0, {"numpy_key": WEIGHTS})
        await until(site, lambda status: status.state == "failed")
        end(site, state="FINISHED:FAILED")
        await until(site, idle)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("open('started', 'a').write('!'); raise ValueError('boom')", "ValueError: boom"),
        ("open('started', 'a').write('!'); __import__('os').kill(__import__('os').getpid(), 9)", "killed by SIGKILL"),
    ],
)
async def test_a_script_that_fails_is_told_and_not_started_for_ever(
    tmp_path: Path, site: SiteFolder, line: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_job(tmp_path, script(line))
    told: list[str] = []
    async with standing_by(tmp_path, told) as standby:
        publish(site, 0, {"numpy_key": WEIGHTS})
        status = await until(site, lambda status: said in status.reason)
        assert (status.state, status.run) == ("failed", RUN)
        while len(told) < 3:
            await asyncio.sleep(0.005)
        for _ in range(3):
            await standby._look()
    assert Path("started").read_text() == "!"
    assert said in told[2]


async def test_a_task_that_waits_longer_than_the_site_is_up_is_answered(tmp_path: Path, site: SiteFolder) -> None:
    """As after a kill: what is known lies in the exchange alone. What was answered is not answered again."""
    put_job(tmp_path, GOOD)
    publish(site, 0, {"numpy_key": WEIGHTS})
    task = publish(site, 1, {"numpy_key": WEIGHTS})
    async with standing_by(tmp_path, []):
        while not any(site.results.glob("*.json")):
            await asyncio.sleep(0.005)
    assert answer(site, task).round == 1
    told: list[str] = []
    async with standing_by(tmp_path, told) as standby:
        await until(site, idle)
        await standby._look()
        assert len(told) == 1


async def test_two_cannot_serve_one_site(tmp_path: Path, site: SiteFolder) -> None:
    async with standing_by(tmp_path, []):
        with pytest.raises(BadInputError, match="is served by another process already"):
            Standby(ClientConfig("a", str(tmp_path / "exchange")), tmp_path / "jobs", print)


@pytest.mark.parametrize(("sent", "state"), [(signal.SIGINT, "finished"), (signal.SIGTERM, "waiting")])
async def test_a_person_who_ends_it_says_goodbye_and_a_service_that_is_stopped_does_not(
    tmp_path: Path, site: SiteFolder, sent: signal.Signals, state: str
) -> None:
    async with standing_by(tmp_path, [], sent):
        await until(site, idle)
    status = read_status(site)
    assert status is not None
    assert status.state == state


async def test_a_share_that_goes_away_between_two_looks_ends_nobody(
    tmp_path: Path, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks were listed, and then their results are asked for."""
    exists, away = Path.exists, True

    def stale(self: Path) -> bool:
        if away and self.parent == site.results:
            raise OSError(errno.ESTALE, "Stale file handle", str(self))
        return exists(self)

    monkeypatch.setattr(Path, "exists", stale)
    put_job(tmp_path, GOOD)
    said: list[str] = []
    async with standing_by(tmp_path, said):
        publish(site, 0, {"numpy_key": WEIGHTS})
        deadline = time.monotonic() + 30
        while not any("is away: Stale file handle" in line for line in said):
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.005)
        away = False
        await until(site, lambda status: status.run == RUN and status.state == "waiting")
    assert "the exchange folder is back" in said
