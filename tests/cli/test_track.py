"""``fltui track`` and ``--track``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fltui.cli.app import app
from fltui.errors import BadInputError, RunFailedError
from tests.jobs import GOOD, command, environment, write_job
from tests.tracking.runs import whole, write_run

pytest.importorskip("tensorboard")


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
    assert line.endswith("adds what is lacking")
    assert len(list((tmp_path / "tb").rglob("events*"))) == 4


def test_a_target_that_is_none_ends_a_run_before_it_begins(alone: Path) -> None:
    told = CliRunner().invoke(app, ["run", "job.py", "--track", "wandb:x"])
    assert "--track 'wandb:x' names no tracker" in str(told.exception)
    assert not list(alone.iterdir())
