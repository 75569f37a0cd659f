"""Starting runs: real processes that are waited for, told apart from their parent, and never left behind."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from fltui.console.runs.child import Child, NotStartedError, start
from fltui.job.handover import LIFELINE
from fltui.run.events import RunFinished, RunStatus
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from tests.jobs import GOOD, environment, processes_of, script, write_job

ENDLESS = script("import threading; threading.Event().wait()")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All files of a test lie in its folder."""
    for name in ("FLTUI_RUNS", "FLTUI_EXCHANGE"):
        monkeypatch.setenv(name, environment(tmp_path)[name])
    return tmp_path


def wait_until(true: Callable[[], bool], folder: Path) -> None:
    """Look again whenever something changes in `folder`."""
    read, write = os.pipe()

    class Nudge(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            os.write(write, b".")

    observer = Observer()
    observer.schedule(Nudge(), str(folder), recursive=False)
    observer.start()
    try:
        while not true():
            assert select.select([read], [], [], 60)[0], "nothing happened for a minute"
            os.read(read, 65536)
    finally:
        observer.stop()
        observer.join()
        os.close(read)
        os.close(write)


def outcome(folder: Path, run: str) -> RunStatus | None:
    """How the run ended; None if it did not yet."""
    events = list(read_journal(RunFolder(folder / "runs" / run).journal))
    return events[-1].state if events and isinstance(events[-1], RunFinished) else None


def is_gone(pid: int) -> bool:
    """Whether there is no such process any more, not even a dead one that nobody waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_run_of_a_job_is_known_while_it_goes_on(here: Path) -> None:
    child = await start(["run", str(write_job(here / "job", {"site-1": GOOD}))], here)
    assert (here / "runs" / child.run / "journal.jsonl").is_file()
    assert await child.ended == 0
    assert not child.is_alive
    assert outcome(here, child.run) is RunStatus.COMPLETED


async def test_the_end_is_told_to_everybody_who_waits_even_if_one_gives_up(here: Path) -> None:
    child = await start(["run", str(write_job(here / "job", {"site-1": GOOD}))], here)
    one, other = asyncio.ensure_future(child.ended), asyncio.ensure_future(child.ended)
    one.cancel()
    assert await other == 0
    assert await child.ended == 0


async def test_a_process_that_ended_is_reaped_without_being_asked_for(here: Path) -> None:
    child = await start(["run", str(write_job(here / "job", {"site-1": GOOD}))], here)
    await child.ended
    assert is_gone(child.pid)


async def test_it_has_a_session_of_its_own(here: Path) -> None:
    child = await start(["run", str(write_job(here / "job", {"site-1": ENDLESS}))], here)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    assert child.is_alive
    await child.kill()


async def test_a_run_of_a_server_is_known_before_its_sites_come(here: Path) -> None:
    job = write_job(here / "job", {"site-1": GOOD})
    child = await start(["server", str(job), "--wait", "600"], here)
    assert (here / "runs" / child.run).is_dir()
    os.kill(child.pid, signal.SIGTERM)
    assert await child.ended == 3


async def test_relative_paths_start_from_the_folder_given(here: Path) -> None:
    write_job(here / "job", {"site-1": GOOD})
    child = await start(["run", "job.py", "--runs", "mine"], here / "job")
    assert (here / "job" / "mine" / child.run).is_dir()
    assert await child.ended == 0


async def test_a_job_that_cannot_be_run_is_told_in_a_sentence(here: Path) -> None:
    with pytest.raises(NotStartedError, match=r"^job no-such-job does not exist$") as told:
        await start(["run", "no-such-job"], here)
    assert told.value.code == 2


async def test_what_a_job_script_prints_does_not_hide_why_it_failed(here: Path) -> None:
    (here / "job.py").write_text("print('hello'); raise SystemExit('no \\x1b]0;x\\x07data')")
    with pytest.raises(NotStartedError) as told:
        await start(["run", "job.py"], here)
    assert str(told.value) == "job script job.py failed: no \\x1b]0;x\\x07data"


async def test_a_folder_that_does_not_exist_is_told(here: Path) -> None:
    with pytest.raises(NotStartedError, match=r"cannot be started in .*/none: No such file or directory"):
        await start(["run", "job"], here / "none")


async def test_standard_error_can_be_looked_at(here: Path) -> None:
    job = write_job(here / "job", {"site-1": script("raise ValueError('broken')")})
    child = await start(["run", str(job)], here)
    assert await child.ended == 1
    assert child.stderr_tail().startswith(f"error: run {child.run} failed: ")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc and waits for processes of others")
async def test_cancelling_leaves_no_process(here: Path) -> None:
    note = here / "note" / "pid"
    note.parent.mkdir()
    lines = "import os, pathlib, threading", f"pathlib.Path({str(note)!r}).write_text(str(os.getpid()) + '.')"
    (here / "job.py").write_text("\n".join([*lines, "threading.Event().wait()"]))
    starting = asyncio.create_task(start(["run", "job.py"], here))
    await asyncio.to_thread(wait_until, lambda: note.exists() and note.read_text().endswith("."), note.parent)
    assert len(processes_of(here)) == 3  # the run, its fork server and the script
    of_script = os.pidfd_open(int(note.read_text()[:-1]))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await asyncio.to_thread(select.select, [of_script], [], [], 60) == ([of_script], [], [])
    os.close(of_script)
    deadline = time.monotonic() + 10
    while processes_of(here) and time.monotonic() < deadline:  # the fork server ends by itself, at once
        await asyncio.sleep(0.01)
    assert processes_of(here) == []


async def test_a_lifeline_of_ours_is_not_handed_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIFELINE, "77")
    child = await start(["run", str(write_job(here / "job", {"site-1": GOOD}))], here)
    assert await child.ended == 0


PARENT = """
import asyncio, sys
from pathlib import Path
from fltui.console.runs.child import start
async def main():
    child = await start(["run", sys.argv[1]], Path.cwd())
    print(child.run, flush=True)
    {then}
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("then", "kill"), [("await asyncio.Event().wait()", True), ("pass", False)], ids=["killed", "left"]
)
def test_a_run_outlives_the_console(here: Path, then: str, kill: bool) -> None:
    gate = here / "gate"
    os.mkfifo(gate)
    waiting = script(
        f"open({str(gate)!r}).read() if round == 0 else None",
        'flare.send(flare.FLModel(params={"numpy_key": weights + np.float32(1)}))',
    )
    job = write_job(here / "job", {"site-1": waiting})
    parent = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", PARENT.format(then=then), str(job)],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with parent:
        assert parent.stdout
        assert parent.stderr
        run = parent.stdout.readline().strip()
        assert run, parent.stderr.read()
        if kill:
            parent.kill()
        parent.wait()
        assert outcome(here, run) is None
        gate.write_text("go")  # only now the first round can end
        wait_until(lambda: outcome(here, run) is not None, here / "runs" / run)
        assert outcome(here, run) is RunStatus.COMPLETED
        assert kill or parent.stderr.read() == ""


async def test_it_works_within_a_running_application(here: Path) -> None:
    job = write_job(here / "job", {"site-1": GOOD})
    found: list[Child] = []

    class Starter(App[None]):
        async def on_mount(self) -> None:
            self.run_worker(self._start())

        async def _start(self) -> None:
            found.append(await start(["run", str(job)], here))

    app = Starter()
    async with app.run_test():
        await app.workers.wait_for_complete()
        assert await found[0].ended == 0
        assert is_gone(found[0].pid)
