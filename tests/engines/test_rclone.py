"""The exchange carried by rclone: to a real OpenSSH server by sftp, to a server that speaks the S3 protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from fltui.run.events import RoundFinished, RoundStarted
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from tests.engines.bucket import bucket_server
from tests.engines.federation import SERVER, Federation
from tests.engines.programs import program
from tests.engines.rclone import Carriers, carried, configured
from tests.engines.smb import SHARE, smb_server
from tests.engines.sshd import ssh_server
from tests.engines.syncthing import await_true
from tests.jobs import HELLO_JOB, HELLO_SCRIPT, drifting, fltui, processes_of, write_job

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]

SITES = ("site-0", "site-1")
HELLO = [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]


@dataclass(frozen=True)
class Meeting:
    """Where all sides meet.

    Attributes:
        remote: for rclone.
        variables: with which it knows it.
    """

    remote: str
    variables: dict[str, str]


@contextmanager
def meeting(kind: str, folder: Path) -> Iterator[Meeting]:
    """A place that is reached by sftp, by the S3 protocol or by SMB."""
    program("rclone")
    folder.mkdir(parents=True)
    if kind == "sftp":
        with ssh_server(folder / "sshd") as server:
            yield Meeting(f"hub:{folder}/hub", configured(folder, server.remote("hub")))
    elif kind == "s3":
        with bucket_server(folder, "hub", "meeting") as remote:
            yield Meeting("hub:meeting/exchange", configured(folder, remote))
    else:
        with smb_server(folder / "samba") as samba:
            yield Meeting(f"hub:{SHARE}/fl", configured(folder, samba.remote("hub")))


@pytest.fixture(params=["sftp", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Meeting]:
    """One after the other."""
    with meeting(request.param, tmp_path / "between") as found:
        yield found


def end(federation: Federation) -> None:
    """Wait until everybody has ended well."""
    codes = {who: federation.ended(who) for who in (SERVER, *SITES)}
    assert codes == dict.fromkeys(codes, 0), {who: federation.said(who)[-1500:] for who in codes}


@pytest.mark.parametrize("kind", ["sftp", "s3", "smb"])
def test_the_hello_job(tmp_path: Path, kind: str) -> None:
    with (
        meeting(kind, tmp_path / "between") as place,
        Federation(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT)) as federation,
        carried(federation, place.remote, place.variables) as carriers,
    ):
        federation.serve(HELLO_JOB)
        for site in SITES:
            federation.join(site)
        end(federation)
        federation.check(3)
        assert federation.final() == HELLO
        assert not any("is away" in federation.said(site) for site in SITES)
        for site in SITES:
            await_true(partial(has_logged, federation, site), f"the log of {site} is there")
        for who in (SERVER, *SITES):
            assert carriers.stop(who) == 0
            assert "again" not in carriers.said(who)
        assert not [line for line in processes_of(tmp_path) if "rclone.sh" in line]
        found = {(federation.exchange(who) / "exchange.json").read_bytes() for who in (SERVER, *SITES)}
        assert len(found) == 1


def has_logged(federation: Federation, site: str) -> bool:
    """Whether the server's machine has the log of a site to its end."""
    logs = (federation.exchange(SERVER) / site / "logs").glob("*.log")
    return any("current round: 2 of 3" in path.read_text() for path in logs)


def holds(path: Path, content: bytes) -> bool:
    """Whether a file is there with this content."""
    return path.exists() and path.read_bytes() == content


def undisturbed(folder: Path, job: Path) -> list[RoundFinished]:
    """What the simulator makes of a job."""
    done = fltui(folder, "run", job, "--json")
    assert done.code == 0, done.err
    (found,) = (folder / "runs").glob("*/journal.jsonl")
    return [one for one in read_journal(RunFolder(found.parent).journal) if isinstance(one, RoundFinished)]


def test_everybody_is_killed_once_and_the_bits_are_the_same(tmp_path: Path, place: Meeting) -> None:
    scripts = {"site-0": drifting(0.3), "site-1": drifting(0.7)}
    job = write_job(tmp_path / "job", scripts, "num_rounds=4")
    expected = undisturbed(tmp_path, job)
    with (
        Federation(tmp_path / "field", {site: tmp_path / "job" / f"{site}.py" for site in SITES}) as federation,
        carried(federation, place.remote, place.variables) as carriers,
    ):
        federation.serve(job)
        for site in SITES:
            federation.join(site)
        for number, victim in enumerate(("site-0", SERVER, "site-1")):
            federation.await_event(RoundStarted, round=number + 1)
            carriers.kill(victim)
            federation.kill(victim)
            carriers.start(victim)
            if victim == SERVER:
                federation.resume()
            else:
                federation.join(victim)
        end(federation)
        federation.check(4, expected)


@contextmanager
def idle(tmp_path: Path, place: Meeting, thorough: str = "60") -> Iterator[tuple[Federation, Carriers]]:
    """All is carried, and nobody is at work."""
    variables = {**place.variables, "THOROUGH": thorough}
    with (
        Federation(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT)) as federation,
        carried(federation, place.remote, variables) as carriers,
    ):
        yield federation, carriers


def test_a_file_rewritten_with_its_size_and_its_time_is_carried(tmp_path: Path, place: Meeting) -> None:
    with idle(tmp_path, place, thorough="1") as (federation, _):
        sent, taken = (federation.exchange(who) / "site-0" / "results" / "x.npy" for who in ("site-0", SERVER))
        for content in (b"first", b"later"):
            sent.write_bytes(content)
            os.utime(sent, (1_800_000_000, 1_800_000_000))
            await_true(partial(holds, taken, content), f"{content!r} is there")


def test_a_status_comes_whole_and_after_the_results_that_it_speaks_of(tmp_path: Path, place: Meeting) -> None:
    with idle(tmp_path, place) as (federation, _):
        mine, theirs = (federation.exchange(who) / "site-0" for who in ("site-0", SERVER))
        for number in range(4):
            mine.joinpath("results", f"{number}").write_text("x")
            mine.joinpath("status.json").write_text(f'{{"state": "waiting", "counter": {number}}}')
            wanted = (mine / "status.json").read_bytes()
            await_true(partial(holds, theirs / "status.json", wanted), f"status {number}")
            assert (theirs / "results" / f"{number}").exists()


def test_an_exchange_that_is_away_is_no_empty_one(tmp_path: Path, place: Meeting) -> None:
    with idle(tmp_path, place) as (federation, carriers):
        task, taken = (federation.exchange(who) / "site-0" / "tasks" / "t.json" for who in (SERVER, "site-0"))
        task.write_text("{}")
        await_true(taken.exists, "the task is there")
        carriers.stop(SERVER)
        exchange = federation.exchange(SERVER)
        script, filters = (exchange / name for name in ("rclone.sh", "rclone.filter"))
        kept = {path: path.read_bytes() for path in (script, filters)}
        exchange.rename(exchange.with_name("away"))
        (exchange / "site-0" / "tasks").mkdir(parents=True)  # an empty disk in its place
        for path, content in kept.items():
            path.write_bytes(content)
        carriers.start(SERVER)
        await_true(lambda: "is its disk mounted?" in carriers.said(SERVER), "the script says so")
        carriers.stop("site-0")
        carriers.start("site-0")
        (federation.exchange("site-0") / "site-0" / "results" / "r.json").write_text("{}")
        assert taken.exists()
        shutil.rmtree(exchange)
        exchange.with_name("away").rename(exchange)
        await_true(lambda: (exchange / "site-0" / "results" / "r.json").exists(), "it goes on")
        await_true(lambda: "works" in carriers.said(SERVER), "and says so")
        assert taken.exists()


def test_what_is_removed_at_its_writer_goes_everywhere(tmp_path: Path, place: Meeting) -> None:
    with idle(tmp_path, place) as (federation, _):
        task, taken = (federation.exchange(who) / "site-0" / "tasks" for who in (SERVER, "site-0"))
        (task / "t").mkdir()
        (task / "t" / "x.npy").write_text("x")
        await_true((taken / "t" / "x.npy").exists, "the task is there")
        (task / "t" / "x.npy").unlink()
        (task / "t").rmdir()
        await_true(lambda: not (taken / "t").exists(), "the task is gone")
        assert taken.is_dir()
