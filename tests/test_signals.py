"""Being told to stop, from the first moment of a command on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import GOOD, HELLO_SCRIPT, command, environment, fltui, script, started, write_job

INTERRUPTED_AT = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == when:
            os.kill(os.getpid(), getattr(signal, sent))
module, when, sent, *sys.argv[1:] = sys.argv[1:]
sys.meta_path.insert(0, Finder())
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""Runs a module that is told to stop at the moment when it begins to load another."""


def stopped_at(folder: Path, when: str, sent: str, module: str, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and last words of a module that is sent a signal when it begins to load another."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, module, when, sent, *map(str, arguments)],
        env={**environment(folder), "FLTUI_SITE": "a"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("name", "when"),
    [("run", "typer"), ("run", "numpy"), ("run", "fltui.server.engine"), ("server", "fltui.server.engine")],
)
def test_ctrl_c_while_a_command_is_loaded_gives_no_traceback(tmp_path: Path, name: str, when: str) -> None:
    path = write_job(tmp_path / "job", {"a": GOOD})
    assert stopped_at(tmp_path, when, "SIGINT", "fltui", name, path) == (130, "")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("when", ["numpy", "fltui.client.__main__"])
def test_ctrl_c_while_a_client_is_loaded_gives_no_traceback(tmp_path: Path, when: str) -> None:
    assert stopped_at(tmp_path, when, "SIGINT", "fltui.cli.site", HELLO_SCRIPT) == (130, "")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", -15), ("SIGHUP", -1)])
def test_what_is_sent_between_the_command_and_the_site_s_process_waits_for_it(
    tmp_path: Path, name: str, code: int
) -> None:
    text = f"""if True:
        import os, signal, sys, threading
        become = os.execve
        def at_once(*arguments):
            signal.pthread_kill(threading.get_ident(), signal.{name})  # not to a thread of numpy's
            become(*arguments)
        os.execve = at_once
        sys.argv = ["fltui", "client", {str(HELLO_SCRIPT)!r}, "--site", "a"]
        from fltui.cli import main
        main()
    """
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [
        (signal.SIGINT, 130, ""),
        (signal.SIGTERM, 143, "error: stopped by SIGTERM\n"),
        (signal.SIGHUP, 129, "error: stopped by SIGHUP\n"),
    ],
)
def test_while_the_job_script_runs_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals, code: int, said: str
) -> None:
    process, _ = _at_the_job_script(tmp_path, monkeypatch)
    process.send_signal(sent)
    assert (process.communicate()[1], process.returncode) == (said, code)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "exchange").exists()


def test_what_a_killed_command_left_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process, job_script = _at_the_job_script(tmp_path, monkeypatch)
    process.kill()
    os.kill(job_script, signal.SIGKILL)
    process.communicate()
    assert list((tmp_path / "tmp").iterdir()) != []
    good = write_job(tmp_path / "good", {"a": GOOD})
    assert fltui(tmp_path, "export", good, tmp_path / "exported").code == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def _at_the_job_script(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[subprocess.Popen[str], int]:
    """``fltui run`` at a moment when its job script runs, and that script's process."""
    (folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    begun = folder / "begun"
    os.mkfifo(begun)
    path = write_job(folder / "job", {"a": GOOD})
    held = f"import os, pathlib, signal\npathlib.Path({str(begun)!r}).write_text(str(os.getpid()))\nsignal.pause()\n"
    path.write_text(held + path.read_text())
    process = subprocess.Popen(
        command("run", path), env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return process, int(begun.read_text())


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_a_client_says_what_stopped_it(tmp_path: Path, sent: signal.Signals) -> None:
    with started(tmp_path, "client", HELLO_SCRIPT, "--site", "a", "--durability", "process") as process:
        assert process.stderr is not None
        assert "waits for a server" in process.stderr.readline()
        process.send_signal(sent)
        assert (process.stderr.read(), process.wait()) == (f"stopped by {sent.name}\n", 128 + sent)
    assert '"state": "waiting"' in (tmp_path / "exchange" / "a" / "status.json").read_text()


GOODBYE = """
import os, runpy, signal, sys
from fltui.exchange.hints import Hints
sent, close = sys.argv.pop(1), Hints.close
def told(hints):
    Hints.close = close
    os.kill(os.getpid(), getattr(signal, sent))
    close(hints)
Hints.close = told
runpy.run_module("fltui.cli.site", run_name="__main__", alter_sys=True)
"""
"""A client that is told to stop while it says goodbye."""


@pytest.mark.parametrize(("sent", "code", "said"), [("SIGINT", 130, ""), ("SIGTERM", 143, "stopped by SIGTERM\n")])
@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        ("pass", "finished", ""),
        ("raise SystemExit(3)", "failed", "the script called sys.exit(3)"),
        ("raise ValueError('boom')", "failed", "ValueError: boom (script.py, line 1)"),
    ],
)
def test_a_client_that_is_stopped_while_it_says_goodbye_has_said_it(
    tmp_path: Path, text: str, state: str, reason: str, sent: str, code: int, said: str
) -> None:
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", GOODBYE, sent, tmp_path / "script.py"],
        env={**environment(tmp_path), "FLTUI_SITE": "a"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.endswith(said)) == (code, True)
    assert "KeyboardInterrupt" not in done.stderr
    assert "StoppedError" not in done.stderr
    status = json.loads((tmp_path / "exchange" / "a" / "status.json").read_text())
    assert (status["state"], status["reason"]) == (state, reason)


def test_a_copy_of_the_process_that_a_script_made_ends_as_it_would_anyway(tmp_path: Path) -> None:
    text = script(
        "import os, signal",
        "readable, writable = os.pipe()",
        "if (child := os.fork()) == 0: os.write(writable, b'.'); signal.pause()",
        "os.read(readable, 1)",
        "os.kill(child, signal.SIGTERM)",
        "assert os.waitpid(child, 0)[1] == signal.SIGTERM",
        "flare.send(flare.FLModel(params={'numpy_key': weights}))",
    )
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text}, "num_rounds=1"))
    assert (done.code, done.err) == (0, "")
