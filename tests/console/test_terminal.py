"""The console in a real pseudo-terminal: the hello job, clients in other shells, a kill, and text that attacks."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fltui.exchange.watch import Backoff
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder, list_runs
from tests.console.books import Book, hello, weights
from tests.console.terminal import Terminal
from tests.jobs import GOOD, HELLO, HELLO_SCRIPT, Gate, command, drifting, environment, processes_of, script, write_job

ATTACKS = {
    "title": "\x1b]0;OWNED\x07",
    "clipboard": "\x1b]52;c;T1dORUQ=\x07",
    "clear": "\x1b[2JOWNED",
    "c1": "\x9b2JOWNED\x9d0;OWNED\x9c",
    "direction": "\u202eOWNED\u2066",
    "return": "\rOWNED\x08\x7f",
}
MARKUP = "[@click=app.quit]OWNED[/]"


def _only_run(folder: Path) -> RunFolder:
    (run,) = list_runs(folder / "runs")
    return run


def _assert_clean(terminal: Terminal) -> None:
    """The terminal is left as it was found: main screen, cursor visible, no mouse reports."""
    for off in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l"):
        on = off[:-1] + (b"l" if off.endswith(b"h") else b"h")
        assert terminal.raw.rfind(off) > terminal.raw.rfind(on)


def test_the_hello_job_runs_by_one_key(tmp_path: Path) -> None:
    with Terminal(tmp_path, "--jobs", HELLO) as terminal:
        terminal.wait_for("hello-fedavg-numpy", "Runs")
        terminal.send("r")
        shown = terminal.wait_for("COMPLETED", "3 of 3 rounds", "12.000", "2/2 sites")
        assert "4.000" in shown
        terminal.wait_for("round 2 finished")
        terminal.send("3")
        terminal.wait_for("Rounds", "accuracy")
        terminal.send("q")
        assert terminal.exit_code() == 0
        _assert_clean(terminal)
    run = _only_run(tmp_path)
    assert np.array_equal(np.load(run.models / "final" / "numpy_key.npy"), weights(3))
    backoff, until = Backoff(), time.monotonic() + 10
    while processes_of(tmp_path) and time.monotonic() < until:
        threading.Event().wait(backoff.next())  # the run's process ends by itself, soon after the run
    assert processes_of(tmp_path) == []


def test_a_job_is_opened_read_and_run(tmp_path: Path) -> None:
    with Terminal(tmp_path, "--jobs", HELLO) as terminal:
        terminal.wait_for("hello-fedavg-numpy")
        terminal.send("\r")
        terminal.wait_for("FedJob")
        terminal.send("r")
        terminal.wait_for("COMPLETED", "12.000")
        terminal.send("q")
        assert terminal.exit_code() == 0


def test_clients_in_other_shells_serve_a_run_of_the_console(tmp_path: Path) -> None:
    with Terminal(tmp_path, "--jobs", HELLO, columns=200, rows=50) as terminal:
        terminal.wait_for("hello-fedavg-numpy")
        terminal.send("s")
        terminal.wait_for("waiting for sites", "--site site-0", "--site site-1")
        terminal.send("c")
        terminal.wait_for("copied 2 lines")
        assert b"\x1b]52;c;" in terminal.raw
        clients = [
            subprocess.Popen(
                command("client", HELLO_SCRIPT, "--site", name),
                env=environment(tmp_path),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in ("site-0", "site-1")
        ]
        terminal.wait_for("COMPLETED", "12.000", "2/2 sites")
        assert [client.wait(30) for client in clients] == [0, 0]
        terminal.send("q")
        assert terminal.exit_code() == 0


def test_a_killed_console_does_not_touch_its_run(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    held = drifting(1.0, gate.line(100))
    job = write_job(tmp_path / "job", {"site-0": GOOD, "site-1": held}, "num_rounds=200")
    with Terminal(tmp_path, "--jobs", job) as terminal:
        terminal.wait_for("job")
        terminal.send("r")
        terminal.wait_for("RUNNING", "of 200")
        terminal.kill()
    run = _only_run(tmp_path)
    assert not run.state().status.is_finished
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("RUNNING")
        gate.open()
        terminal.send("\t\r")
        terminal.wait_for("COMPLETED", "200 of 200 rounds")
        terminal.send("q")
        assert terminal.exit_code() == 0
    assert run.state().status is RunStatus.COMPLETED
    assert run.state().rounds_done == 200


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, sent: signal.Signals) -> None:
    with Terminal(tmp_path, "--jobs", HELLO) as terminal:
        terminal.wait_for("hello-fedavg-numpy")
        terminal.process.kill(sent)
        terminal.exit_code()
        _assert_clean(terminal)


def test_keys_that_come_with_the_end_are_ignored(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    for keys in ("qo", "qO", "oq\x1bq", "\x10\x1b[6~\x1b[5~\x1b\x1bq", "\x10\x10\x1b[6~\x1b\x1bq"):
        with Terminal(tmp_path, "watch", book.folder.root) as terminal:
            terminal.wait_for("12.000")
            terminal.send(keys)
            terminal.settle()
            terminal.send("\x11")
            assert terminal.exit_code() == 0
            assert b"Traceback" not in terminal.raw


def test_a_resumed_run_outlives_the_console(tmp_path: Path) -> None:
    slow = script(
        "import time; time.sleep(0.02)",
        "flare.send(flare.FLModel(params={'numpy_key': weights + np.float32(1)}))",
    )
    job = write_job(tmp_path / "job", {"site-0": slow, "site-1": slow}, "num_rounds=200")
    with Terminal(tmp_path, "--jobs", job) as terminal:
        terminal.wait_for("job")
        terminal.send("r")
        terminal.wait_for("RUNNING", "of 200")
        terminal.send("a")
        terminal.wait_for("Abort the run")
        terminal.send("\x1b[C\r")
        terminal.wait_for("aborted: asked for in the console")
        terminal.send("r")
        terminal.wait_for("Resume the run")
        terminal.send("\x1b[C\r")
        terminal.wait_for("RUNNING")
        terminal.send("q")
        terminal.wait_for("A run is live")
        terminal.send("\r")
        assert terminal.exit_code() == 0
    run = _only_run(tmp_path)
    assert run.is_alive()
    with run.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # until the engine lets go
    assert run.state().status is RunStatus.COMPLETED


def test_quitting_asks_while_its_run_is_live_and_leaves_it(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    held = drifting(1.0, gate.line(10))
    job = write_job(tmp_path / "job", {"site-0": GOOD, "site-1": held}, "num_rounds=20")
    with Terminal(tmp_path, "--jobs", job) as terminal:
        terminal.wait_for("job")
        terminal.send("r")
        terminal.wait_for("RUNNING", "of 20")
        terminal.send("q")
        terminal.wait_for("A run is live", "Leave it running")
        terminal.send("\r")
        assert terminal.exit_code() == 0
    run = _only_run(tmp_path)
    assert run.is_alive()
    gate.open()
    with run.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # until the engine lets go
    assert run.state().status is RunStatus.COMPLETED


def test_a_run_whose_script_raises_is_told_traced_and_resumed(tmp_path: Path) -> None:
    raising = script(
        "if round == 1 and not __import__('pathlib').Path('mended').exists():",
        "    raise ValueError('labels are missing')",
        "flare.send(flare.FLModel(params={'numpy_key': weights + np.float32(1)}))",
    )
    job = write_job(tmp_path / "job", {"site-0": GOOD, "site-1": raising}, "num_rounds=3")
    with Terminal(tmp_path, "--jobs", job) as terminal:
        terminal.wait_for("job")
        terminal.send("r")
        shown = terminal.wait_for("FAILED", "failed: round 1:", "site-1: ValueError: labels are missing")
        assert [line for line in shown.splitlines() if "round 1:" in line and "labels are missing" in line]
        terminal.send("\r")
        terminal.wait_for("▸", "Traceback (most recent call last)")
        (tmp_path / "mended").touch()
        terminal.send("r")
        terminal.wait_for("Resume the run")
        terminal.send("\x1b[C\r")
        terminal.wait_for("COMPLETED", "3 of 3 rounds", "3.000")
        terminal.send("q")
        assert terminal.exit_code() == 0
    assert _only_run(tmp_path).state().rounds_done == 3


def _hostile_run(folder: Path) -> Book:
    """A run whose sites put every attack into every text they can."""
    exchange = folder / "exchange"
    book = Book(folder / "runs", exchange=str(exchange))
    book.start()
    evil = " ".join([*ATTACKS.values(), MARKUP])
    book.model(0, weights(0))
    book.ask(0)
    book.answer("site-0", 0, weights(1), **{evil: 0.5, MARKUP: 0.25})
    book.logged("site-0", 0, evil, 0.5, 0)
    book.reject("site-1", 0, evil)
    book.close_round(0, weights(1), ["site-0"], **{evil: 0.5})
    book.ask(1)
    (book.folder.models / "round-0001" / "model.json").write_text(
        (book.folder.models / "round-0001" / "model.json")
        .read_text()
        .replace('"name": "numpy_key"', f'"name": {json.dumps(evil)}')
    )
    (book.folder.logs / f"{ATTACKS['title']}.log").write_text(f"2026-01-31T12:00:00.000Z INFO {evil}\n")
    book.log("site-1", *ATTACKS.values(), MARKUP, evil, evil * 2000)
    book.lose("site-1", evil)
    book.finish(RunStatus.FAILED, f"round 1: site-1: {evil}", rounds=1)
    results = exchange / "site-1" / "results"
    results.mkdir(parents=True)
    (exchange / "site-1" / "status.json").write_text(json.dumps({"evil": evil}))
    for attack in (*ATTACKS.values(), MARKUP):
        (results / attack.replace("/", "")).write_text(evil)
        (exchange / "site-1" / attack.replace("/", "")).write_text(evil)
    return book


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=str)
def test_text_of_sites_cannot_act_on_the_terminal(tmp_path: Path, size: tuple[int, int]) -> None:
    book = _hostile_run(tmp_path)
    with Terminal(tmp_path, "watch", book.folder.root, columns=size[0], rows=size[1]) as terminal:
        terminal.wait_for("FAILED", "OWNED")
        for keys in ("\r", "5", "fOWN\r", "y", "\x1b", "6", "y", "2", "y", "3", "y", "1", "s", "s", "p", "v", "v", "y"):
            terminal.send(keys)
            terminal.settle()
        terminal.send("4")
        for keys in ("\x1b[B", "\r", "\x1b[B", "\r", "\x1b[B", "\r", *("\x1b[B", "y") * 12):
            terminal.send(keys)
            terminal.settle()
        terminal.resize(size[0] - 7, size[1] - 2)
        terminal.settle()
        terminal.send("?")
        terminal.wait_for("Everywhere")
        terminal.send("\x1b")
        terminal.wait_without("Everywhere")  # with the escape still on its way, the next key would be another
        terminal.send("q")
        assert terminal.exit_code() == 0
        _assert_clean(terminal)
    _assert_harmless(terminal.raw)
    assert b"[2JOWNED" in terminal.raw.replace(b"\\x1b", b"")


def _assert_harmless(raw: bytes) -> None:
    """Nothing of the attacks reached the terminal."""
    for attack in ATTACKS.values():
        assert attack.encode() not in raw
    assert b"OWNED\x07" not in raw
    assert b"\x1b]0;" not in raw
    assert "\u202e".encode() not in raw
    assert "\u2066".encode() not in raw
    assert not any(bytes([0xC2, code]) in raw for code in range(0x80, 0xA0))
    assert b"\x08" not in raw


def test_names_of_jobs_and_runs_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    evil = " ".join([*ATTACKS.values(), MARKUP]).replace("/", "")[:100]
    hello(tmp_path / "runs", run=f"{evil}-20260131T120000Z-3f2a")
    shutil.copytree(HELLO, tmp_path / "jobs" / evil)
    with Terminal(tmp_path, "--jobs", tmp_path / "jobs") as terminal:
        terminal.wait_for("OWNED", "COMPLETED")
        for keys in ("y", "\r", "\x1b", "\t", "y", "d", "\x1b", "/OWN", "\r", "\x1b", "\t", "\r", "y", "\x1b"):
            terminal.send(keys)
            terminal.settle()
        terminal.send("q")
        assert terminal.exit_code() == 0
    _assert_harmless(terminal.raw)


def test_a_terminal_is_needed(tmp_path: Path) -> None:
    done = subprocess.run(
        command("watch", "last"), env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
