"""The exchange carried by rclone: to a real OpenSSH server by sftp, to a server that speaks the S3 protocol."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from fltui.run.events import RoundStarted
from tests.engines.federation import HELLO, SERVER, SITES, Federation, undisturbed
from tests.engines.meeting import Meeting, meeting
from tests.engines.rclone import Carriers, carried
from tests.engines.syncthing import await_true
from tests.jobs import HELLO_JOB, HELLO_SCRIPT, drifting, processes_of, write_job

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


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
            await_true(partial(federation.has_logged, site), f"the log of {site} is there")
        for who in (SERVER, *SITES):
            assert carriers.stop(who) == 0
            said = carriers.said(who)
            assert said.count("trying again") == said.count("works again"), said
        assert not [line for line in processes_of(tmp_path) if "rclone.sh" in line]
        found = {(federation.exchange(who) / "exchange.json").read_bytes() for who in (SERVER, *SITES)}
        assert len(found) == 1


def has_said(carriers: Carriers, who: str, what: str) -> bool:
    """Whether a side's script has printed this."""
    return what in carriers.said(who)


def holds(path: Path, content: bytes) -> bool:
    """Whether a file is there with this content."""
    return path.exists() and path.read_bytes() == content


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
        sent, stray = (federation.exchange("site-0") / "site-0" / part / "r.json" for part in ("results", "tasks"))
        sent.write_text("{}")
        stray.write_text("{}")  # which the server has not, so that site-0's next pass removes it
        await_true(lambda: not stray.exists(), "site-0 has made a pass")
        assert taken.exists()
        shutil.rmtree(exchange)
        exchange.with_name("away").rename(exchange)
        await_true(lambda: (exchange / "site-0" / "results" / "r.json").exists(), "it goes on")
        await_true(lambda: "works" in carriers.said(SERVER), "and says so")
        assert taken.exists()


@pytest.mark.parametrize("kind", ["sftp", "smb"])
def test_a_hub_whose_disk_is_away_is_no_empty_one(tmp_path: Path, kind: str) -> None:
    with meeting(kind, tmp_path / "between") as place, idle(tmp_path, place, thorough="1") as (federation, carriers):
        at_server, at_site = (federation.exchange(who) / "site-0" for who in (SERVER, "site-0"))
        (at_server / "tasks" / "t.json").write_text("{}")
        (at_site / "results" / "r.json").write_text("{}")
        await_true((at_site / "tasks" / "t.json").exists, "the task is there")
        await_true((at_server / "results" / "r.json").exists, "the result is there")
        hub = place.path
        assert hub is not None
        hub.rename(hub.with_name("away"))
        hub.mkdir()
        for who in (SERVER, "site-0"):
            await_true(partial(has_said, carriers, who, "has no exchange.json"), f"{who} says so")
        carriers.stop(SERVER)
        carriers.start(SERVER)
        await_true(lambda: "any more: is its disk mounted?" in carriers.said(SERVER), "it begins nothing anew there")
        assert (at_site / "tasks" / "t.json").exists()
        assert (at_server / "results" / "r.json").exists()
        assert not (hub / "exchange.json").exists()
        (at_site / "results" / "later.json").write_text("{}")
        hub.rename(hub.with_name("mounted on"))
        hub.with_name("away").rename(hub)
        await_true((at_server / "results" / "later.json").exists, "it goes on")
        assert (at_site / "tasks" / "t.json").exists()


def test_a_part_that_has_died_ends_the_script(tmp_path: Path) -> None:
    with meeting("sftp", tmp_path / "between") as place, idle(tmp_path, place) as (federation, carriers):
        task, taken = (federation.exchange(who) / "site-0" / "tasks" / "t" for who in (SERVER, "site-0"))
        task.write_text("{}")
        await_true(taken.exists, "all is at work")
        script = carriers.processes.pop("site-0")
        (_, *parts) = parts_of(script.pid)
        os.kill(parts[0], signal.SIGKILL)
        assert script.wait(20) == 1
        assert "a part of this script has ended" in carriers.said("site-0")
        assert not list(tmp_path.glob("site-0/fltui-rclone.*"))


def parts_of(pid: int) -> list[int]:
    """The process of a script, and those that are the script as well: its loops."""
    name = Path(f"/proc/{pid}/cmdline").read_bytes()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(one) for one in children if Path(f"/proc/{one}/cmdline").read_bytes() == name)]


def test_without_its_filter_nothing_is_carried(tmp_path: Path) -> None:
    with meeting("sftp", tmp_path / "between") as place, Federation(tmp_path, {"site-0": HELLO_SCRIPT}) as federation:
        carriers = Carriers(federation, place.remote, place.variables)
        try:
            carriers.prepare(SERVER)
            (federation.exchange(SERVER) / "rclone.filter").unlink()
            carriers.start(SERVER)
            await_true(lambda: "rclone.filter" in carriers.said(SERVER), "the script says so")
            assert place.path is not None
            assert not list(place.path.iterdir())
            assert carriers.stop(SERVER) == 0
        finally:
            carriers.close()


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
