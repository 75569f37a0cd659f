"""Runs among people who sign in the name of others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from fltui.client.config import ClientConfig, Durability
from fltui.client.output import LogFile
from fltui.client.session import Session
from fltui.exchange.keys import Keys
from fltui.exchange.layout import PROTOCOL, SERVER, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.manifest import End, Task
from fltui.exchange.publish import open_exchange, open_site, put_bytes
from fltui.exchange.signing import NOBODY, Identity, signature_fault
from fltui.job.folder import load_job
from fltui.model import FLModel, ParamsType
from fltui.run.folder import list_runs
from tests.exchange.signers import signer
from tests.jobs import GOOD, drifting, events_until, fltui, started, write_job

SERVE = ("--json", "--wait", "30", "--durability", "process", "--keep-results")
RUN = "hello-20260101T000000Z-abcd"


class People:
    """The server's people and those of the sites, each with a folder of keys."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, sites: str) -> None:
        self.folder = folder
        self.exchange = ExchangeFolder(folder / "exchange")
        self._monkeypatch = monkeypatch
        server = self.keys(SERVER).create(SERVER)
        for site in sites:
            self.keys(SERVER).trust(site, self.keys(site).create(site))
            self.keys(site).trust(SERVER, server)
        self.be(SERVER)

    def keys(self, name: str) -> Keys:
        """Somebody's folder of keys."""
        return Keys(self.folder / "keys" / name)

    def be(self, name: str) -> None:
        """Let what begins from now on be somebody's."""
        self._monkeypatch.setenv("FLTUI_KEYS", str(self.keys(name).root))

    @contextmanager
    def site(self, name: str) -> Iterator[Session]:
        """A site's side, played in this process; it demands signatures if it signs."""
        self.be(name)
        place, demands = str(self.exchange.root), self.keys(name).has(name)
        config = ClientConfig(name, place, durability=Durability.PROCESS, require_signatures=demands)
        session = Session(config, LogFile())
        self.be(SERVER)
        session.ready()
        try:
            yield session
        finally:
            session.close()

    def replay(self, source: tuple[str, int], target: tuple[str, int]) -> None:
        """Lay a site's result of a round, byte by byte, as a site's result of a round."""
        (run,) = list_runs(self.folder / "runs")
        (whose, number), (who, later) = source, target
        old, new = TaskId(run.run, number, "train"), TaskId(run.run, later, "train")
        results = self.exchange.site(who).results
        shutil.copytree(self.exchange.site(whose).results / str(old), results / str(new))
        put_bytes(self.exchange.site(whose).result(old).read_bytes(), results / f"{new}.json", results)


def answer(session: Session) -> int:
    """Answer the task at hand, or the next; the round."""
    model = session.receive(timeout=30)
    assert model is not None
    assert model.params is not None
    session.send(FLModel(params={"numpy_key": model.params["numpy_key"] + np.float32(1)}))
    return int(model.current_round or 0)


def test_who_signs_in_the_name_of_others_is_refused_and_the_round_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(tmp_path, monkeypatch, "abcde")
    people.keys("b").private("b").unlink()  # b does not sign
    people.keys("c").private("c").unlink()
    people.keys("c").create("c")  # c signs with a key that nobody trusts
    shutil.copy(people.keys("a").private("a"), people.keys("d").private("d"))  # d signs with the key of a
    job = write_job(tmp_path / "job", dict.fromkeys("abcde", GOOD), "num_rounds=2, min_clients=1")
    with started(tmp_path, "server", job, "--require-signatures", *SERVE) as server, ExitStack() as opened:
        a, b, c, d, e = (opened.enter_context(people.site(name)) for name in "abcde")
        assert [answer(site) for site in (a, e, b, c, d)] == [0] * 5
        events = events_until(server, "round_finished")
        assert [answer(site) for site in (a, b, c)] == [1] * 3
        for other in (d, e):
            assert other.receive(timeout=30) is not None
        people.replay(("a", 1), ("d", 1))
        people.replay(("e", 0), ("e", 1))
        events += events_until(server, "run_finished")
    trusted = people.keys(SERVER).all_trusted()
    assert (events[0]["keys"], events[0]["server_key"]) == (trusted, people.keys(SERVER).signer(SERVER).public)
    accepted = {(event["round"], event["site"]): event for event in events if event["event"] == "result_accepted"}
    assert {key: event["signed_by"] for key, event in accepted.items()} == {
        (0, "a"): trusted["a"],
        (0, "e"): trusted["e"],
        (1, "a"): trusted["a"],
    }
    rejected = {(event["round"], event["site"]): event for event in events if event["event"] == "result_rejected"}
    reasons = {
        (0, "b"): "is not signed; its writer has to be b",
        (0, "c"): "is not signed with the key",
        (0, "d"): "is not signed with the key",
        (1, "b"): "is not signed; its writer has to be b",
        (1, "c"): "is not signed with the key",
        (1, "d"): "is not signed with the key",
        (1, "e"): "is a result of site 'e' for",
    }
    assert rejected.keys() == reasons.keys()
    assert len([event for event in events if event["event"] == "result_rejected"]) == len(reasons)
    (run,) = list_runs(tmp_path / "runs")
    log = (run.logs / "server.log").read_text().splitlines()
    for (number, site), reason in reasons.items():
        event = rejected[number, site]
        assert event["reason"].startswith(f"results/{event['task_id']}.json {reason}")
        (line,) = [line for line in log if event["reason"] in line]
        assert f" {site}" in line.replace(event["reason"], "")
    assert events[-1]["state"] == "FINISHED:COMPLETED"
    np.testing.assert_array_equal(np.load(events[-1]["final_model"]["numpy_key"]), np.full((3, 3), 2, np.float32))


def next_line(stream: IO[str] | None) -> str:
    """The next line of a process's output."""
    assert stream is not None
    return stream.readline()


def publish(site: SiteFolder, number: int, identity: Identity, whose: str) -> None:
    """Publish a task as the server does."""
    task_id = TaskId(RUN, number, "train")
    task = Task(PROTOCOL, RUN, str(task_id), "train", whose, number, 0, 9, ParamsType.FULL, [])
    put_bytes(identity.encode(task), site.task(task_id), site.staging("server"))


def end(site: SiteFolder, number: int, identity: Identity, whose: str) -> None:
    """End the run as the server does."""
    task_id = TaskId(RUN, number, "train").end()
    found = End(PROTOCOL, RUN, "FINISHED:COMPLETED", "", whose, str(task_id))
    put_bytes(identity.encode(found), site.task(task_id), site.staging("server"))


def test_a_site_answers_and_obeys_its_server_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = People(tmp_path, monkeypatch, "a")
    right, wrong = Identity(people.keys(SERVER).signer(SERVER)), Identity(signer(2))
    site = open_exchange(people.exchange.root).site("a")
    open_site(site, "server")
    (tmp_path / "train.py").write_text(GOOD + "    print('answered', round, flush=True)\n")
    people.be("a")
    arguments = ("client", "train.py", "--site", "a", "--run", RUN, "--require-signatures", "--durability", "process")
    with started(tmp_path, *arguments) as client:
        for forge, name in ((publish, "train"), (end, "end")):
            for number, (identity, whose, reason) in enumerate(
                (
                    (NOBODY, "a", "is not signed; its writer has to be server"),
                    (wrong, "a", "is not signed with the key"),
                    (right, "b", "of site 'b'"),
                )
            ):
                forge(site, 4 + number, identity, whose)
                line = next_line(client.stderr)
                assert line.startswith(f"site a goes on waiting: tasks/{RUN}.r000{4 + number}.{name}.a01.json ")
                assert reason in line
        publish(site, 3, right, "a")
        assert next_line(client.stdout) == "answered 3\n"
        end(site, 7, right, "a")
        assert client.wait(30) == 0
        assert next_line(client.stderr) == ""
    (result,) = site.results.glob("*.json")
    assert signature_fault(result.read_bytes(), people.keys("a").signer("a").public) == ""
    assert ".r0003." in result.name


def test_a_site_that_demands_what_it_cannot_check_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLTUI_KEYS", str(tmp_path / "keys"))
    (tmp_path / "train.py").write_text(GOOD)
    done = fltui(tmp_path, "client", "train.py", "--site", "a", "--require-signatures")
    assert done.code == 2
    assert "'fltui keys trust server KEY'" in done.err
    assert not (tmp_path / "exchange").exists()


def test_a_signed_run_ends_with_the_same_bits_and_leaves_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("FLTUI_KEYS", str(tmp_path / "none"))
    show = "import os; k = os.environ['FLTUI_KEYS']; print('keys', oct(os.stat(k).st_mode), sorted(os.listdir(k)))"
    finals = []
    for name, lines in (("signed", (show,)), ("unsigned", ())):
        folder = tmp_path / name
        scripts = {site: drifting(step, *lines) for site, step in (("a", 0.3), ("b", 0.7))}
        job = write_job(folder / "job", scripts, job=f"require_signatures={name == 'signed'}")
        done = fltui(folder, "run", job, "--json")
        assert done.code == 0, done.err
        assert all(bool(event["signed_by"]) == (name == "signed") for event in done.of("result_accepted"))
        finals.append(done.model().tobytes())
    assert finals[0] == finals[1]
    (run,) = list_runs(tmp_path / "signed" / "runs")
    assert "keys 0o40700 ['a.key', 'a.pub', 'trusted']" in (run.logs / "a.log").read_text()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not list((tmp_path / "signed").rglob("*.key"))


def test_a_server_that_is_killed_goes_on_with_the_same_bytes_and_the_same_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(tmp_path, monkeypatch, "abc")
    people.keys("c").private("c").unlink()
    job = write_job(tmp_path / "job", dict.fromkeys("abc", GOOD), "num_rounds=2, min_clients=1")
    with ExitStack() as opened:
        with started(tmp_path, "server", job, "--require-signatures", *SERVE) as server:
            a, b, c = (opened.enter_context(people.site(name)) for name in "abc")
            assert [answer(site) for site in (a, b, c)] == [0] * 3
            events_until(server, "round_finished")
            assert answer(a) == 1
            assert events_until(server, "result_accepted")[-1]["site"] == "a"
            for other in (b, c):
                assert other.receive(timeout=30) is not None
            server.kill()
        (run,) = list_runs(tmp_path / "runs")
        tasks = [people.exchange.site(name).task(TaskId(run.run, 1, "train")) for name in "abc"]
        before = [task.read_bytes() for task in tasks]
        tasks[1].unlink()
        meta = run.job / "meta.json"  # a job that was mended meanwhile drops no demand
        meta.write_text(meta.read_text().replace('"require_signatures": true', '"require_signatures": false'))
        assert not load_job(run.job).require_signatures
        with started(tmp_path, "resume", "last", "--json") as server:
            events_until(server, "run_resumed")
            assert [answer(site) for site in (b, c)] == [1, 1]
            events = events_until(server, "run_finished")
        assert (b.wait_for_task(timeout=30), b.ended) == (False, True)
    assert [task.read_bytes() for task in tasks] == before
    signed = {event["site"]: event["signed_by"] for event in events if event["event"] == "result_accepted"}
    assert signed == {"b": people.keys(SERVER).all_trusted()["b"]}
    (refused,) = [event for event in events if event["event"] == "result_rejected"]
    assert (refused["site"], "is not signed" in refused["reason"]) == ("c", True)
    assert events[-1]["state"] == "FINISHED:COMPLETED"
    public = people.keys(SERVER).signer(SERVER).public
    ends = list(people.exchange.root.glob("*/tasks/*.end.*.json"))
    assert len(ends) == 3
    assert [signature_fault(path.read_bytes(), public) for path in ends] == ["", "", ""]
    assert fltui(tmp_path, "verify", "last").code == 0


def test_the_end_for_a_site_that_is_dropped_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = People(tmp_path, monkeypatch, "ab")
    job = write_job(tmp_path / "job", dict.fromkeys("ab", GOOD), "num_rounds=2, min_clients=1")
    with started(tmp_path, "server", job, "--require-signatures", *SERVE) as server, ExitStack() as opened:
        a, b = (opened.enter_context(people.site(name)) for name in "ab")
        assert b.receive(timeout=30) is not None
        assert fltui(tmp_path, "drop", "last", "b").code == 0
        assert (b.wait_for_task(timeout=30), b.ended) == (False, True)  # while the run goes on
        (path,) = people.exchange.site("b").tasks.glob("*.end.*.json")
        assert signature_fault(path.read_bytes(), people.keys(SERVER).signer(SERVER).public) == ""
        assert [answer(a), answer(a)] == [0, 1]
        assert events_until(server, "run_finished")[-1]["state"] == "FINISHED:COMPLETED"
