"""A server and two sites on machines of their own, as it were: three real Syncthings carry what is between them."""

from __future__ import annotations

import json
import random
import shlex
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from fltui.run.events import AnyEvent, ResultAccepted, RoundFinished, RoundStarted, TaskPublished
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from tests.engines.federation import SERVER, Federation, paced
from tests.engines.programs import program
from tests.engines.syncthing import Syncthing, await_true, fence_site, running
from tests.jobs import HELLO_JOB, HELLO_SCRIPT, command, drifting, fltui, write_job

pytestmark = pytest.mark.programs

SITES = ("site-0", "site-1")
HELLO = [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]


@dataclass
class Carried:
    """A federation and what carries it."""

    federation: Federation
    syncthings: dict[str, Syncthing]

    def kill(self, who: str) -> None:
        """``kill -9``, and start it again as a person would: a Syncthing by its name, a server by resuming its run."""
        kind, _, name = who.rpartition(" ")
        if kind == "syncthing of":
            self.syncthings[name].kill()
            self.syncthings[name].start()
        elif name == SERVER:
            self.federation.kill(SERVER)
            self.federation.resume()
        else:
            self.federation.kill(name)
            self.federation.join(name)

    def end(self) -> None:
        """Wait until everybody has ended well."""
        codes = {who: self.federation.ended(who) for who in (SERVER, *SITES)}
        assert codes == dict.fromkeys(codes, 0), {who: self.federation.said(who)[-1500:] for who in codes}

    def check_files(self) -> None:
        """No engine has made a conflict copy, and nothing half carried is left where somebody reads."""
        found = [path for path in self.federation.root.rglob("*") if "sync-conflict" in path.name]
        assert found == []

    def check_key(self) -> None:
        """The key of no Syncthing is in any file of fltui's."""
        keys = [one.key.encode() for one in self.syncthings.values()]
        for path in self.federation.root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert not any(key in path.read_bytes() for key in keys), path


def initialised(federation: Federation, who: str) -> dict[str, object]:
    """What ``fltui exchange init`` says for the server or a site."""
    side = ["--sites", ",".join(SITES)] if who == SERVER else ["--as", who]
    words = command("exchange", "init", federation.exchange(who), "--for", "syncthing", "--json", *side)
    done = subprocess.run(words, capture_output=True, check=True, cwd=federation.home(who))
    found: dict[str, object] = json.loads(done.stdout)
    return found


def prepared(tmp_path: Path, scripts: dict[str, Path], *, nudge: bool = True) -> Carried:
    """A federation with its exchange folders, and Syncthings that share nothing yet."""
    found = program("syncthing")
    federation = Federation(tmp_path / "federation", scripts)
    syncthings = {who: Syncthing(found, tmp_path / "syncthing" / who) for who in (SERVER, *SITES)}
    if nudge:
        federation.options = {who: ["--nudge", f"syncthing:{one.home}"] for who, one in syncthings.items()}
    return Carried(federation, syncthings)


@contextmanager
def carried(tmp_path: Path, scripts: dict[str, Path], *, nudge: bool = True) -> Iterator[Carried]:
    """The same while it is carried."""
    found = prepared(tmp_path, scripts, nudge=nudge)
    federation, syncthings = found.federation, found.syncthings
    for who in (SERVER, *SITES):
        initialised(federation, who)
    for site in SITES:
        mine, theirs = federation.exchange(SERVER) / site, federation.exchange(site) / site
        fence_site(syncthings[SERVER], syncthings[site], site, mine, theirs)
    with running(*syncthings.values()), federation:
        yield found


def hello(rounds: int, tmp_path: Path, *, nudge: bool) -> list[RoundFinished]:
    """The rounds of the hello job."""
    with carried(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT), nudge=nudge) as found:
        found.federation.serve(HELLO_JOB, "--rounds", str(rounds))
        for site in SITES:
            found.federation.join(site)
        found.end()
        found.federation.check(rounds)
        found.check_files()
        return found.federation.rounds()


def test_the_hello_job_runs_over_what_exchange_init_says(tmp_path: Path) -> None:
    found = prepared(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT))
    federation, syncthings = found.federation, found.syncthings
    devices = {f"DEVICE_ID_OF_{who.upper().replace('-', '_')}": one.device for who, one in syncthings.items()}
    server = syncthings[SERVER]
    with running(*syncthings.values()), federation:
        for who, one in syncthings.items():
            steps = initialised(federation, who)["steps"]
            assert isinstance(steps, list)
            lines = [line for step in steps if step["who"] == who for line in step["details"]]
            for line in lines:
                words = [devices.get(word, word) for word in shlex.split(line)]
                if words[:2] == ["syncthing", "cli"]:
                    words = [word.replace("ADDRESS_OF_SERVER:22000", f"{server.host}:{server.port}") for word in words]
                    words = [one.program, "cli", f"--home={one.home}", *words[2:]]
                    subprocess.run(words, check=True, capture_output=True)
        for site in SITES:
            await_true(partial(server.is_connected, syncthings[site]), f"{site} is connected")
        for site in SITES:
            federation.join(site)
        federation.serve(HELLO_JOB)
        found.end()
        federation.check(3)
        assert federation.final() == HELLO
        for site in SITES:
            await_true(partial(federation.has_logged, site), f"the log of {site} is there")
        found.check_files()
    found.check_key()


def test_nudges_make_rounds_short(tmp_path: Path) -> None:
    with_nudges = paced(hello(6, tmp_path / "with", nudge=True), statistics.median)
    without = paced(hello(3, tmp_path / "without", nudge=False), statistics.median)
    assert with_nudges < without / 2, (with_nudges, without)


@dataclass(frozen=True)
class Kill:
    """Who is killed once something has happened."""

    who: str
    when: type[AnyEvent]
    round: int

    def __str__(self) -> str:
        return f"{self.who} after {self.when.__name__} of round {self.round}"


def disturbed(tmp_path: Path, job: Path, scripts: dict[str, Path], rounds: int, plan: list[Kill]) -> Carried:
    """Go through a plan to the end of the run."""
    with carried(tmp_path, scripts) as found:
        federation = found.federation
        federation.serve(job, "--rounds", str(rounds))
        for site in SITES:
            federation.join(site)
        for kill in plan:
            federation.await_event(kill.when, round=kill.round)
            found.kill(kill.who)
        found.end()
        found.check_files()
    found.check_key()
    return found


def in_simulator(tmp_path: Path, job: Path, rounds: int) -> list[RoundFinished]:
    """The rounds of a run that nobody disturbs, on one machine."""
    tmp_path.mkdir()
    done = fltui(tmp_path, "run", job, "--rounds", str(rounds), "--json")
    assert done.code == 0, done.err
    (run,) = (tmp_path / "runs").glob("*/journal.jsonl")
    return [event for event in read_journal(RunFolder(run.parent).journal) if isinstance(event, RoundFinished)]


def test_whoever_is_killed_the_hello_job_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    plan = [
        Kill("syncthing of site-0", RoundStarted, 0),
        Kill("site-0", TaskPublished, 1),
        Kill("server", ResultAccepted, 1),
        Kill("syncthing of server", RoundFinished, 1),
        Kill("server", TaskPublished, 2),
        Kill("syncthing of site-1", TaskPublished, 2),
    ]
    found = disturbed(tmp_path, HELLO_JOB, dict.fromkeys(SITES, HELLO_SCRIPT), 3, plan)
    found.federation.check(3)
    assert found.federation.final() == HELLO


@pytest.mark.parametrize("seed", [1])
def test_kills_at_random_moments_change_no_bit(tmp_path: Path, seed: int) -> None:
    rounds, drawn = 10, random.Random(seed)
    logs = "print('round', round); flare.log('round', round, step=round)"
    texts = {"site-0": drifting(0.3, logs), "site-1": drifting(0.7)}
    job = write_job(tmp_path / "job", texts)
    scripts = {site: job.parent / f"{site}.py" for site in SITES}
    who: list[str] = [f"syncthing of {one}" for one in (SERVER, *SITES)] + [SERVER, *SITES]
    when: list[type[AnyEvent]] = [RoundStarted, TaskPublished, ResultAccepted, RoundFinished]
    order: Callable[[type[AnyEvent]], int] = when.index
    # None in the last round: a script that is started again when the run is over waits for another one.
    moments = sorted({(drawn.randrange(rounds - 1), order(drawn.choice(when))) for _ in range(7)})
    plan = [Kill(drawn.choice(who), when[kind], number) for number, kind in moments]
    found = disturbed(tmp_path / "disturbed", job, scripts, rounds, plan)
    expected = in_simulator(tmp_path / "simulated", job, rounds)
    found.federation.check(rounds, expected)


def test_a_run_goes_on_where_no_syncthing_answers_the_nudges(tmp_path: Path) -> None:
    home = tmp_path / "syncthing"
    home.mkdir()
    (home / "config.xml").write_text(
        "<configuration><gui enabled='true'><address>127.0.0.1:1</address><apikey>secret</apikey></gui></configuration>"
    )
    federation = Federation(tmp_path / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    federation.options = {who: ["--nudge", f"syncthing:{home}"] for who in (SERVER, *SITES)}
    shared = federation.exchange(SERVER)
    shared.mkdir()
    for site in SITES:
        federation.exchange(site).symlink_to(shared)
    with federation:
        federation.serve(HELLO_JOB)
        for site in SITES:
            federation.join(site)
        Carried(federation, {}).end()
    federation.check(3)
    assert federation.final() == HELLO
    log = (federation.run.logs / "server.log").read_text()
    assert log.count("no nudge: Syncthing of") == 1
    assert "does not answer: Connection refused; is it running?" in log
    for who in (SERVER, *SITES):
        assert federation.said(who).count("warning: no nudge for now") == 1
        assert "secret" not in federation.said(who) + log
