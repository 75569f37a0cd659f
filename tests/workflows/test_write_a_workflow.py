"""The workflow of docs/write-a-workflow.md, run as its reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.jobs import fltui

GUIDE = Path(__file__).parents[2] / "docs" / "write-a-workflow.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the files of the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    for name, code in re.findall(r"^`(\w+\.py)`[^\n]*:\n\n```python\n(.*?)```", text, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path


def test_it_is_one_file_of_under_60_lines(project: Path) -> None:
    assert len((project / "tournament.py").read_text(encoding="utf-8").splitlines()) < 60


def test_its_job_runs_and_is_recomputed(project: Path) -> None:
    done = fltui(project, "run", project / "job.py", "--keep-results", "--json")
    assert done.code == 0, done.err
    assert done.model().tolist() == [12.0] * 4  # the fastest of three wins four times
    assert [event["note"] for event in done.of("round_noted")] == ["site-2 has won"] * 4
    assert (Path(done.last["run_dir"]) / "job" / "app_server" / "custom" / "tournament.py").is_file()
    careful = fltui(project, "verify", "last", "--json").last
    assert (careful["verified"], careful["recomputed"]) == (True, 0)
    assert "--job-code" in careful["notes"][0]
    assert fltui(project, "verify", "last", "--job-code", "--json").last["recomputed"] == 4
