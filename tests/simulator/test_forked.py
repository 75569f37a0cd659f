"""The fork server: who dies when another dies, what it passes on, what it knows and what it does not."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from fltui.errors import BadInputError
from fltui.exchange.watch import WatchMode
from fltui.simulator.forked import Forked
from fltui.simulator.forkserver import ahead
from fltui.simulator.forkserver.__main__ import PRELOADED
from fltui.simulator.forkserver.loop import Server
from fltui.simulator.launch import Ended, Launch
from fltui.simulator.local import _WATCHES
from tests.jobs import GOOD, command, environment, events_until, fltui, processes_of, script, started, write_job
from tests.simulator.launches import ends, launch, said

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sites are forked on Linux only")

WAITS = (
    "import subprocess, sys; subprocess.Popen(['sleep', '1000']); print('there', flush=True); subprocess.run(['cat'])"
)
"""A script that leads a group of three, in which nobody ends by himself."""

ENDLESS = script("import subprocess; subprocess.run(['sleep', '1000'])")


@pytest.fixture
async def forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Forked]:
    """A fork server whose processes, and theirs, name the folder of the test."""
    monkeypatch.setenv("FLTUI_TEST", str(tmp_path))
    found = Forked()
    yield found
    await found.close()
    assert processes_of(tmp_path) == []


def _server(forked: Forked) -> int:
    return forked._server.process.pid


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def _waiting(forked: Forked, folder: Path, site: str = "a") -> tuple[Launch, asyncio.Future[Ended], list[int]]:
    """A script that waits, and the processes of its group."""
    one = launch(folder, site, WAITS.replace("'cat'", "'sleep', '1000'"))
    ended = await forked.start(one)
    await _until(lambda: "INFO there" in said(one) and site in forked._pids and len(_group(forked._pids[site])) == 3)
    return one, ended, _group(forked._pids[site])


def _group(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == leader and state != "Z":
                found.append(int(entry.name))
    return sorted(found)


async def test_what_it_has_loaded_is_what_scripts_need_and_no_more() -> None:
    lines = [
        "import importlib, json, sys",
        f"[importlib.import_module(name) for name in {(*PRELOADED, 'fltui.simulator.forkserver')!r}]",
        "print(json.dumps(sorted(sys.modules)))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, check=True)
    modules = set(json.loads(done.stdout))
    assert {"numpy", "blake3", "msgspec", "fltui.client.session", "fltui.simulator.forkserver.loop"} <= modules
    unwanted = {"asyncio", "cryptography", "multiprocessing", "textual", "typer"}
    unwanted |= {f"fltui.{name}" for name in ("aggregation", "cli", "console", "job", "run", "server", "workflows")}
    assert modules & unwanted == set()


async def test_sites_can_be_told_apart(forked: Forked, tmp_path: Path) -> None:
    one, ended, _ = await _waiting(forked, tmp_path, "clinic-a")
    assert Path(f"/proc/{forked._pids['clinic-a']}/comm").read_text() == "clinic-a\n"
    forked.signal([one.site, "nobody"], signal.SIGTERM)
    assert (await ended).code == 128 + signal.SIGTERM


async def test_sites_do_not_draw_the_same(forked: Forked, tmp_path: Path) -> None:
    text = "import random, numpy; print(random.random(), numpy.random.random(), numpy.random.default_rng().random())"
    launches = [launch(tmp_path, site, text) for site in "abc"]
    await ends(forked, launches)
    numbers = [number for one in launches for number in said(one)[0].split()[1:]]
    assert len(set(numbers)) == 9


async def test_what_a_script_left_behind_is_gone_before_its_end_is_told(forked: Forked, tmp_path: Path) -> None:
    one, ended, group = await _waiting(forked, tmp_path)
    os.kill(group[0], signal.SIGKILL)
    assert await ended == Ended("a", group[0], -signal.SIGKILL)
    assert not Path(f"/proc/{group[0]}").exists()  # nobody lets it lie about
    await _until(lambda: _group(group[0]) == [])
    assert said(one) == ["INFO there"]


DAEMON = """
import os, subprocess
print(subprocess.Popen(["setsid", "--fork", "sleep", "1000"]).wait(), flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        subprocess.run(["sleep", "1000"])
    os._exit(0)
os.wait()
print("there", flush=True)
"""


@pytest.mark.parametrize("then", ["", "import time; time.sleep(1000)"])
async def test_what_a_script_sends_away_lives_as_long_as_the_run(forked: Forked, tmp_path: Path, then: str) -> None:
    before = _orphans(forked)
    one = launch(tmp_path, "a", DAEMON + then)
    ended = await forked.start(one)
    await _until(lambda: "INFO there" in said(one) and len(_orphans(forked)) >= 2)
    if not then:
        assert (await ended).code == 0
    await _until(lambda: any(map(_children, _orphans(forked))))
    there = [*_orphans(forked), *(child for pid in _orphans(forked) for child in _children(pid))]
    assert (before, len(there)) == ([], 3)
    watched = [os.pidfd_open(pid) for pid in there]
    await forked.close()
    assert _all_end(watched)


def test_what_a_job_script_sends_away_ends_when_no_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLTUI_TEST", str(tmp_path))
    (tmp_path / "job.py").write_text(f"{DAEMON}1 / 0")
    forked = Forked()
    assert forked.run_job_script(tmp_path / "job.py", {}).code == 1
    watched = [os.pidfd_open(pid) for pid in _orphans(forked)]
    forked.abandon()
    assert len(watched) == 2
    assert _all_end(watched)
    assert processes_of(tmp_path) == []


def test_a_fork_server_that_is_killed_before_it_reads_is_one_sentence(tmp_path: Path) -> None:
    forked = Forked()
    os.kill(_server(forked), signal.SIGSTOP)
    threading.Timer(0.1, os.kill, (_server(forked), signal.SIGKILL)).start()
    with pytest.raises(BadInputError, match=r"job\.py did not end: the fork server .* was killed by SIGKILL"):
        forked.run_job_script(tmp_path / "job.py", {})
    forked.abandon()


def test_a_job_script_that_is_interrupted_may_clear_away(tmp_path: Path) -> None:
    text = "import sys, time\ntry:\n    sys.stderr.write('x' * 300_000); open('begun', 'w').close(); time.sleep(1000)"
    # More than a pipe holds: when it has begun, somebody reads what it says, and knows of it.
    (tmp_path / "job.py").write_text(f"{text}\nfinally: open('cleared', 'w').close()")
    with subprocess.Popen(
        command("run", tmp_path / "job.py"), env=environment(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE
    ) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert (tmp_path / "cleared").exists()


def _orphans(forked: Forked) -> list[int]:
    return [pid for pid in _children(_server(forked)) if pid not in forked._pids.values()]


async def test_all_end_with_the_fork_server(forked: Forked, tmp_path: Path) -> None:
    sites = [await _waiting(forked, tmp_path, site) for site in "ab"]
    os.kill(_server(forked), signal.SIGKILL)
    reason = f"the fork server that starts and ends the scripts (process {_server(forked)}) was killed by SIGKILL"
    for one, ended, group in sites:
        assert (await ended).reason == reason
        await _until(lambda group=group: _group(group[0]) == [])  # type: ignore[misc]
        assert said(one) == ["INFO there"]
    assert (await ends(forked, [launch(tmp_path, "c", "")]))["c"] == Ended("c", 0, 0, reason)


async def test_scripts_that_nobody_knows_of_end_with_the_fork_server(forked: Forked, tmp_path: Path) -> None:
    _, ended, group = await _waiting(forked, tmp_path)
    del forked._pids["a"]  # as if the fork server had died before it could tell
    os.kill(_server(forked), signal.SIGKILL)
    await ended
    await _until(lambda: _group(group[0]) == [])


@pytest.mark.parametrize("stopped", [False, True])
async def test_all_end_with_the_other_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool) -> None:
    """Also where no event loop waits for it, and where the fork server does nothing any more."""
    monkeypatch.setenv("FLTUI_TEST", str(tmp_path))
    forked = Forked()
    _, _, group = await _waiting(forked, tmp_path)
    if stopped:
        os.kill(_server(forked), signal.SIGSTOP)
    forked.abandon()
    await _until(lambda: _group(group[0]) == [])
    assert processes_of(tmp_path) == []
    await forked.close()


async def test_one_that_was_never_asked_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLTUI_TEST", str(tmp_path))
    Forked().abandon()
    assert processes_of(tmp_path) == []


def test_a_run_whose_fork_server_is_killed_fails_with_one_sentence(tmp_path: Path) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS, "b": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        os.kill(_fork_server_of(process.pid), signal.SIGKILL)
        last = events_until(process, "run_finished")[-1]
        assert process.wait() == 1
    assert last["state"] == "FINISHED:FAILED"
    assert "a: the fork server that starts and ends the scripts (process " in last["reason"]
    assert "was killed by SIGKILL" in last["reason"]
    assert processes_of(tmp_path) == []


def test_scripts_end_when_simulator_and_fork_server_are_killed_at_once(tmp_path: Path) -> None:
    with started(tmp_path, "run", write_job(tmp_path / "job", {"a": ENDLESS}), "--json") as process:
        events_until(process, "task_published")
        server = _fork_server_of(process.pid)
        while len(group := [pid for site in _children(server) for pid in _group(site)]) < 2:
            os.sched_yield()  # the script is on its way
        watched = [os.pidfd_open(pid) for pid in group]
        os.kill(server, signal.SIGSTOP)  # it must not do anything about it
        process.kill()
        os.kill(server, signal.SIGKILL)
        for fd in watched:
            assert select.select([fd], [], [], 10)[0]
            os.close(fd)
    assert processes_of(tmp_path) == []


def test_ctrl_c_is_for_the_simulator_alone(tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", {"a": ENDLESS})
    with subprocess.Popen(
        command("run", path, "--json"),
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        events_until(process, "task_published")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        last = events_until(process, "run_finished")[-1]
        assert (process.wait(), last["reason"]) == (130, "interrupted")
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert processes_of(tmp_path) == []


ENDLESS_JOB = """
import os, time
from fltui import FedJob
os.fork() or time.sleep(1000)
open("begun", "w").write(str(os.getpid()))
time.sleep(1000)
"""


@contextmanager
def _at_the_job_script(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A run whose job script does not end, in a process group of its own, and the processes of the script."""
    (folder / "job.py").write_text(ENDLESS_JOB)
    with subprocess.Popen(
        command("run", folder / "job.py"),
        env=environment(folder),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        begun = folder / "begun"
        while not begun.exists() or not begun.read_text():
            assert process.poll() is None
            os.sched_yield()
        group = _group(os.getpgid(int(begun.read_text())))
        assert len(group) == 2
        yield process, [os.pidfd_open(pid) for pid in group]


def _all_end(watched: list[int]) -> bool:
    ended = [bool(select.select([fd], [], [], 10)[0]) for fd in watched]
    for fd in watched:
        os.close(fd)
    return all(ended)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_job_script_ends_with_the_run_that_it_is_for(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    with _at_the_job_script(tmp_path) as (process, watched):
        os.killpg(process.pid, sent)
        assert process.wait() == code
        assert _all_end(watched)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert processes_of(tmp_path) == []


def test_a_job_script_whose_fork_server_is_killed_is_one_sentence(tmp_path: Path) -> None:
    with _at_the_job_script(tmp_path) as (process, watched):
        os.kill(_fork_server_of(process.pid), signal.SIGKILL)
        assert _all_end(watched)
        assert process.wait() == 2
        assert process.stderr is not None
        (said,) = process.stderr.read().splitlines()
    assert said.startswith("error: job script ")
    assert "did not end: the fork server" in said
    assert said.endswith("was killed by SIGKILL")
    assert processes_of(tmp_path) == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _fork_server_of(pid: int) -> int:
    (found,) = [child for child in _children(pid) if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return found


def _descriptors(pid: int) -> list[int]:
    return sorted(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())


HINTED = """
import os
import fltui.client.api as api
hints = api._session._hints
kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(20) if os.path.exists(f"/proc/self/fd/{fd}")]
print(*hints.take(), "anon_inode:inotify" in kinds, flush=True)
while not (found := hints.wait(60)): pass
print(*[path.name for path in found], flush=True)
"""


async def test_hints_are_passed_on(forked: Forked, tmp_path: Path) -> None:
    forked.relay(tmp_path / "exchange", WatchMode.EVENTS)
    launches = [launch(tmp_path, site, HINTED) for site in "ab"]
    first = launch(tmp_path, "c", "")
    await ends(forked, [first])
    before = _descriptors(_server(forked))
    waited = [await forked.start(one) for one in launches]
    await _until(lambda: all(said(one) for one in launches))
    for one, ended in zip(launches, waited, strict=True):
        for number in range(3):
            (Path(one.tasks) / f"{number}.json").write_text("{}")
        assert (await ended).code == 0
        assert said(one) == ["INFO False", "INFO tasks"]
    assert _descriptors(_server(forked)) == before
    limits = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in (os.getpid(), _server(forked))]
    assert limits[1][0] == max(limits[0][0], min(limits[0][1], 1 << 16))


@pytest.mark.parametrize("why", ["mode", "no descriptors"])
async def test_a_site_looks_for_itself_where_nothing_can_be_passed_on(forked: Forked, tmp_path: Path, why: str) -> None:
    forked.relay(tmp_path / "exchange", WatchMode.POLL if why == "mode" else WatchMode.EVENTS)
    await ends(forked, [launch(tmp_path, "first", "")])
    if why != "mode":
        free = min({*range(1000)} - {*_descriptors(_server(forked))})
        hard = resource.prlimit(_server(forked), resource.RLIMIT_NOFILE)[1]
        resource.prlimit(_server(forked), resource.RLIMIT_NOFILE, (free, hard))
    one = launch(tmp_path, "a", "import fltui.client.api as api; print(type(api._session._hints._source).__name__)")
    assert (await ends(forked, [one]))["a"].code == 0, said(one)
    assert said(one) == ["INFO _Inotify"]


def test_a_process_that_cannot_be_forked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    before = signal.getsignal(signal.SIGCHLD)
    ours, theirs = socket.socketpair()
    try:
        with closing(ours), closing(theirs):
            server = Server(theirs.fileno(), -1)
            monkeypatch.setattr(os, "fork", refuse)
            server._do(launch(tmp_path, "a", ""))
            reason = "its script cannot be started: Resource temporarily unavailable"
            assert json.loads(ours.recv(1000)) == {"type": "Ended", "site": "a", "pid": 0, "code": 0, "reason": reason}
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, before)
        for fd in (server._woken, server._waking):
            os.close(fd)


def _job_of(folder: Path, sites: int, text: str) -> Path:
    """A job of so many sites with the same script."""
    path = write_job(folder, {"site-0": text}, f"num_rounds=2, num_clients={sites}")
    more = (f"job.to(ScriptExecutor('site-0.py'), 'site-{number}')" for number in range(1, sites))
    path.write_text(path.read_text().replace("job.simulator_run", "\n".join(more) + "\njob.simulator_run"))
    return path


def test_twenty_sites_share_three_turns(tmp_path: Path) -> None:
    sites, turns = 20, 3
    done = fltui(tmp_path, "run", _job_of(tmp_path / "job", sites, GOOD), "--json", "--threads", str(turns))
    assert done.last["state"] == "FINISHED:COMPLETED"
    busy: set[str] = set()
    for event in done.events:
        if event["event"] == "task_published":
            busy.add(event["site"])
            assert len(busy) <= turns
        elif event["event"] == "result_accepted":
            busy.remove(event["site"])
    asked = [(event["round"], event["site"]) for event in done.of("task_published")]
    assert sorted(asked) == sorted((number, f"site-{site}") for number in range(2) for site in range(sites))


def test_a_run_of_many_sites_watches_once_for_all(tmp_path: Path) -> None:
    tell = "import fltui.client.api as api; print('hints by', type(api._session._hints._source).__name__)"
    done = fltui(tmp_path, "run", _job_of(tmp_path / "job", _WATCHES + 1, f"{tell}\n{GOOD}"), "--json")
    assert done.last["state"] == "FINISHED:COMPLETED"
    logs = [path.read_text() for path in (Path(done.last["run_dir"]) / "logs").glob("site-*.log")]
    assert len(logs) == _WATCHES + 1
    assert all("hints by _Relay" in log for log in logs)
    assert processes_of(tmp_path) == []


def test_one_is_started_ahead_and_taken_once() -> None:
    with ahead.started_ahead():
        (server,) = ahead._ahead
        forked = Forked()
        assert forked._server is server
    assert server.process.poll() is None  # it is no longer theirs
    forked.abandon()
    assert server.process.returncode == -signal.SIGKILL
    with ahead.started_ahead():
        (server,) = ahead._ahead
    assert server.process.returncode == -signal.SIGKILL


async def test_a_log_that_cannot_be_opened_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    forked = Forked()
    one = msgspec.structs.replace(launch(tmp_path, "a", ""), log=str(tmp_path / "none" / "a.log"))
    assert (await ends(forked, [one]))["a"].code == 1
    await forked.close()
    assert capfd.readouterr().err == f"site a: its log {one.log} cannot be opened: No such file or directory\n"


async def test_what_changes_among_the_variables_reaches_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLTUI_TEST", "one")
    monkeypatch.setenv("FLTUI_GONE", "here")
    forked = Forked()
    monkeypatch.setenv("FLTUI_TEST", "two")
    monkeypatch.delenv("FLTUI_GONE")
    one = launch(tmp_path, "a", "import os; print(os.environ['FLTUI_TEST'], os.environ.get('FLTUI_GONE'))")
    await ends(forked, [one])
    await forked.close()
    assert said(one) == ["INFO two None"]
