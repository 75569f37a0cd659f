"""``fltui`` without a command, ``fltui watch``, and what the config file says to every command."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.console.books import hello
from tests.console.terminal import Terminal
from tests.jobs import fltui


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config file of the test's own."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("FLTUI_CONFIG", str(path))
    return path


def test_without_a_terminal_help_is_printed(tmp_path: Path) -> None:
    done = fltui(tmp_path)
    assert done.code == 0
    assert "Usage" in done.out
    assert "watch" in done.out


def test_watch_needs_a_terminal(tmp_path: Path) -> None:
    hello(tmp_path / "runs")
    done = fltui(tmp_path, "watch", "last")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "needs a terminal" in done.err


def test_watch_names_a_run_that_is_there(tmp_path: Path) -> None:
    done = fltui(tmp_path, "watch", "nothing")
    assert done.code == 2
    assert "names no run" in done.err


def test_watch_shows_a_run(tmp_path: Path) -> None:
    hello(tmp_path / "runs")
    with Terminal(tmp_path, "watch", "last") as terminal:
        terminal.wait_for("COMPLETED", "12.000")
        terminal.send("q")
        assert terminal.exit_code() == 0


def test_a_broken_config_is_one_line_and_exit_2(tmp_path: Path, config: Path) -> None:
    config.write_text("theme = \n")
    done = fltui(tmp_path, "runs")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert str(config) in done.err


@pytest.mark.parametrize(
    ("text", "told"),
    [('theme = "nrd"', "did you mean 'nord'?"), ('[keys]\n"app.quti" = "x"', "did you mean 'app.quit'?")],
)
def test_a_config_that_names_what_does_not_exist_is_told(tmp_path: Path, config: Path, text: str, told: str) -> None:
    config.write_text(text)
    with Terminal(tmp_path, columns=1000) as terminal:  # wide enough for the sentence and the path in it
        terminal.wait_for(told)
        assert terminal.exit_code() == 2


def test_folders_of_the_config_are_those_of_every_command(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('runs = "mine"\nexchange = "shared"\n')
    hello(tmp_path / "mine")
    monkeypatch.setattr("tests.jobs.environment", lambda folder: _plain(config))
    assert "COMPLETED" in fltui(tmp_path, "runs").out
    (places,) = fltui(tmp_path, "locate", "--json").events
    assert places["runs"] == str(tmp_path / "mine")
    assert places["exchange"] == str(tmp_path / "shared")
    assert places["config"] == str(config)
    assert "no runs" in fltui(tmp_path, "runs", "--runs", "other").out
    assert "no runs" in fltui(tmp_path, "--runs", "other", "runs").out


def _plain(config: Path) -> dict[str, str]:
    taken = ("FLTUI_RUNS", "FLTUI_EXCHANGE")
    return {**{name: value for name, value in os.environ.items() if name not in taken}, "FLTUI_CONFIG": str(config)}


def test_own_keys_and_jobs_work(tmp_path: Path, config: Path) -> None:
    config.write_text(f'jobs = ["{tmp_path}/jobs"]\n[keys]\n"app.quit" = "x"\n')
    job = tmp_path / "jobs" / "mine"
    job.mkdir(parents=True)
    (job / "meta.json").write_text("{}")
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("mine", "x Quit")
        terminal.send("qx")
        assert terminal.exit_code() == 0


def test_locate_prints_where_the_config_is(tmp_path: Path, config: Path) -> None:
    assert str(config) in fltui(tmp_path, "locate").out
    assert json.loads(fltui(tmp_path, "locate", "--json").out)["config"] == str(config)
