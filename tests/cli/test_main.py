"""What ``fltui`` does before it knows what it is to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fltui.cli import engine_of
from fltui.cli.app import COMMANDS
from fltui.cli.options import say_json
from tests.cli.shell import Shell

LOCATE = """
import atexit, sys
atexit.register(lambda: print(*sorted(name for name in sys.modules if "fltui.cli." in name), file=sys.stderr))
sys.argv = ["fltui", "locate"]
from fltui.cli import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "variable", "engine"),
    [
        ("job.py", "", "local"),
        ("job.py --rounds 3", "dask", "dask"),
        ("job.py --engine local", "dask", "local"),
        ("--engine=local job.py", "dask", "local"),
        ("--engine dask job.py", "", "dask"),
        ("--engine dask --engine local job.py", "", "local"),
        ("job.py --engine", "", ""),
        ("-- --engine", "", "local"),
    ],
)
def test_a_fork_server_is_for_scripts_on_this_machine(
    arguments: str, variable: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLTUI_ENGINE", variable)
    assert engine_of(arguments.split()) == engine


def test_a_command_loads_no_other(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOCATE], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr.split() == ["fltui.cli.app", "fltui.cli.jobs", "fltui.cli.options", "fltui.cli.site"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(shell: Shell, name: str) -> None:
    code, out, err = shell(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: fltui {name} ")
    assert f"Example: fltui {name}" in out
    assert "completion" not in out


def test_the_help_has_all_of_them_in_order(shell: Shell) -> None:
    _, out, _ = shell("--help")
    names = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert [name for name in names if name in COMMANDS] == list(COMMANDS)


def test_a_name_that_is_mistyped_is_guessed(shell: Shell) -> None:
    assert "No such command 'rnu'. Did you mean 'run'?" in shell("rnu")[2]


def test_a_path_that_is_not_utf8_is_refused(shell: Shell) -> None:
    code, _, err = shell("runs", "--runs", "r\udcff")
    assert (code, err) == (2, "error: the path r\\udcff is not UTF-8 and cannot be written down; rename it\n")


def test_a_name_that_is_not_utf8_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"entry": "x\udcff"})
    assert json.loads(capsys.readouterr().out) == {"entry": "x\udcff"}
