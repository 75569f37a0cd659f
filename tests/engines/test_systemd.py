"""The units of ``docs/systemd``: systemd itself has nothing to say about them, and they run what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fltui.cli.app import app
from tests.engines.programs import program

_OPTION = re.compile(r"--[a-z][a-z-]*")

UNITS = sorted((Path(__file__).parent.parent.parent / "docs" / "systemd").glob("*.service"))


@pytest.mark.programs
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault(tmp_path: Path, unit: Path) -> None:
    analyze = program("systemd-analyze")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/fltui/bin/fltui", "/bin/true"))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_its_command_is_one(unit: Path) -> None:
    found = re.search(r"^ExecStart=\S+ (\w+) ((?:.*\\\n)*.*)$", unit.read_text(), re.MULTILINE)
    assert found is not None
    known = set(_OPTION.findall(CliRunner().invoke(app, [found[1], "--help"]).output))
    used = set(_OPTION.findall(found[2]))
    assert used
    assert used <= known
