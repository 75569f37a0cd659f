"""``fltui track`` and ``--track``."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

import fltui.cli.tracked
from fltui.cli.app import app
from fltui.cli.tracked import targets_of, tracked
from fltui.errors import BadInputError, RunFailedError
from fltui.run.folder import RunFolder
from fltui.tracking.environment import VARIABLE
from fltui.tracking.follow import track
from fltui.tracking.targets import Target, parse_target
from tests.jobs import GOOD, command, environment, script, write_job
from tests.run.journals import finished, started
from tests.tracking.runs import whole, write_run

pytest.importorskip("tensorboard")

ENVIRONMENT = script(
    f"print('tracked:', {VARIABLE!r} in __import__('os').environ)",
    "flare.send(flare.FLModel(params={'numpy_key': weights}))",
)
"""A script that says whether it can see where its run is tracked."""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and an environment in which the command may leave what it finds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FLTUI_CONFIG", str(tmp_path / "config.toml"))
    for name in ("FLTUI_RUNS", "FLTUI_EXCHANGE", "FLTUI_QUEUE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def test_it_says_what_was_told_and_what_could_not_be(alone: Path) -> None:
    folder = write_run(alone / "runs", whole())
    told = CliRunner().invoke(app, ["track", str(folder.root), "--to", "tensorboard:tb"])
    assert told.exit_code == 0
    assert told.output.startswith(f"run {folder.run} (FINISHED:COMPLETED) is in tensorboard:{alone / 'tb'}: ")

    (alone / "file").write_text("")
    to = ["--to", "tensorboard:tb", "--to", "tensorboard:file"]
    told = CliRunner().invoke(app, ["track", str(folder.root), *to, "--json"])
    assert isinstance(told.exception, RunFailedError)
    first, second = map(json.loads, told.output.splitlines())
    assert (first["tracked"], first["state"]) == (True, "FINISHED:COMPLETED")
    assert (second["tracked"], "cannot be written: Not a directory" in second["error"]) == (False, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--to is missing"),
        (["--to", "tensorboard:tb", "--models", "some"], "--models is 'some', expected one of: none, final, all"),
        (["--to", "wandb:x"], "names no tracker"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(alone: Path, arguments: list[str], sentence: str) -> None:
    told = CliRunner().invoke(app, ["track", "last", *arguments])
    assert isinstance(told.exception, BadInputError)
    assert sentence in str(told.exception)


def test_a_run_that_is_tracked_ends_as_it_would_whatever_becomes_of_that(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", {"a": GOOD, "b": GOOD})
    (tmp_path / "file").write_text("")
    found = subprocess.run(
        command("run", str(job), "--track", "tensorboard:tb", "--track", "tensorboard:file"),
        cwd=tmp_path,
        env={**environment(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"warning: tracking: tensorboard:{tmp_path / 'file'} cannot be written")
    again = shlex.split(line.partition("; for what is lacking type: ")[2])
    (run,) = (tmp_path / "runs").glob("*-*")
    assert again[:3] == ["fltui", "track", str(run.resolve())]
    assert again[-1] == f"tensorboard:{tmp_path / 'file'}"
    assert len(list((tmp_path / "tb").rglob("events*"))) == 4


def test_targets_of_all_runs_are_lines_and_their_passwords_are_shown_nowhere(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    targets = f"tensorboard:{tmp_path / 'a tb'}\n\nmlflow:http://bob:s3cret@127.0.0.1:1\n"
    found = subprocess.run(
        command("run", str(write_job(tmp_path / "job", {"a": ENVIRONMENT})), "--rounds", "1"),
        cwd=tmp_path,
        env={**environment(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), VARIABLE: targets},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stdout
    before, _, warning = found.stdout.partition("warning: tracking: ")
    assert "head of the journal" in before, "the outcome comes first"
    assert "mlflow:http://127.0.0.1:1: nobody answers there" in warning
    assert f"--to 'tensorboard:{tmp_path / 'a tb'}' --to mlflow:http://127.0.0.1:1\n" in warning
    assert len(list((tmp_path / "a tb").rglob("events*"))) == 2
    (log,) = tmp_path.glob("runs/*/logs/a.log")
    assert "tracked: False" in log.read_text()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert "s3cret" not in found.stdout


def test_two_targets_in_a_line_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tensorboard:/a tb mlflow:/b")
    with pytest.raises(BadInputError, match="each has a line of its own"):
        targets_of(None)


class Process:
    """Stands in for the one that is started."""

    started: ClassVar[list[Process]] = []
    pid = 0

    def __init__(self, arguments: list[str], env: dict[str, str], **others: object) -> None:
        self.arguments, self.environment, self.stderr = arguments, env, others["stderr"]
        self.returncode: int | None = None
        self.waited: list[float | None] = []
        Process.started = [self]

    def wait(self, timeout: float | None = None) -> int:
        """Never ends, unless it is killed."""
        self.waited.append(timeout)
        if timeout is not None:
            raise subprocess.TimeoutExpired("fltui", timeout)
        return -9

    def poll(self) -> int | None:
        """It goes on."""
        return None

    def kill(self) -> None:
        """It ends."""


@pytest.mark.parametrize("alone", [False, True])
def test_a_tracker_is_waited_for_a_while_and_in_a_queue_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], alone: bool
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    target = Target("mlflow", "http://bob:s3cret@host:5000")
    with tracked(RunFolder(tmp_path), [target], alone=alone) as tell:
        for _ in range(2):
            tell(finished())
    (process,) = Process.started
    assert "s3cret" not in " ".join(process.arguments)
    assert process.environment[VARIABLE] == "mlflow:http://bob:s3cret@host:5000"
    said = capsys.readouterr().err
    if alone:
        assert (process.waited, process.stderr, said) == ([], None, "")
        assert process.arguments[-1] == "--beside"
    else:
        assert process.waited == [1.0, 60.0, None]
        assert said.startswith("warning: tracking: it was not done when the run was; for what is lacking")


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import sys; [print('out of paper', file=file, flush=True) for file in (sys.stdout, sys.stderr)]; sys.exit(1)",
         "out of paper"),
        ("raise SystemExit(7)", "it ended with exit code 7"),
        ("pass", ""),
    ],
)  # fmt: skip
def test_what_fails_while_the_run_goes_on_is_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool, script: str, why: str
) -> None:
    begin = subprocess.Popen

    def begun(_: list[str], **others: Any) -> subprocess.Popen[bytes]:
        process = begin([sys.executable, "-S", "-c", script], **others)
        process.wait(60)
        return process

    monkeypatch.setattr(subprocess, "Popen", begun)
    folder = RunFolder(tmp_path / "a run")
    folder.logs.mkdir(parents=True)
    with tracked(folder, [Target("tensorboard", "/a b")], alone=alone) as tell:
        for _ in range(3):
            tell(started())
    told = (folder.logs / "server.log").read_text().splitlines() if why else []
    again = f"fltui track '{folder.root}' --to 'tensorboard:/a b'"
    assert [line.split(" ", 1)[1] for line in told] == [
        f"WARN tracking: {why}; for what is lacking type: {again}"
    ] * bool(why)


async def test_also_while_the_run_waits_and_never_once_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fltui.cli.tracked, "_EVERY", 0.01)
    for name, ended in (("one", False), ("another", True)):
        folder = RunFolder(tmp_path / name)
        folder.logs.mkdir(parents=True)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with tracked(folder, [Target("tensorboard", "/a b")], alone=True) as tell:
            tell(finished() if ended else started())
            if not ended:
                deadline = time.monotonic() + 20
                while not (folder.logs / "server.log").exists():
                    assert time.monotonic() < deadline, "nothing is told"
                    await asyncio.sleep(0.01)
            tell(finished())
        assert (folder.logs / "server.log").exists() is not ended


def test_of_several_trackers_the_one_that_fails_is_told_at_once(alone: Path) -> None:
    folder = write_run(alone / "runs", whole())
    (alone / "file").write_text("")
    failed: list[str] = []
    told = track(folder, [parse_target("tensorboard:file"), parse_target("tensorboard:tb")], say_failed=failed.append)
    assert failed == list(told.failed.values())
    assert len(failed) == 1


def test_what_is_said_beside_a_run_is_no_error_of_the_run(alone: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_run(alone / "runs", whole())
    (alone / "file").write_text("")
    told = CliRunner().invoke(app, ["track", str(folder.root), "--to", "tensorboard:file", "--beside"])
    assert told.exit_code == 1
    assert told.stderr.startswith(f"warning: tracking: tensorboard:{alone / 'file'} cannot be written")
    assert told.stdout.startswith(f"tensorboard:{alone / 'file'} cannot be written"), "for the process of the run"


def test_a_target_that_is_none_ends_a_run_before_it_begins(alone: Path) -> None:
    told = CliRunner().invoke(app, ["run", "job.py", "--track", "wandb:x"])
    assert "--track 'wandb:x' names no tracker" in str(told.exception)
    assert not list(alone.iterdir())
