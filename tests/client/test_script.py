"""Running a file as the main script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fltui.client.script import reason

RUN = """
import sys
from pathlib import Path
from fltui.client.script import run_as_main
run_as_main(Path(sys.argv[1]), sys.argv[2:])
"""


def run(path: Path, *arguments: str) -> str:
    """What a script prints when it is run as main in a process of its own."""
    command = [sys.executable, "-c", RUN, str(path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_is_main_with_its_arguments_and_folder(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'\n")
    script = tmp_path / "script.py"
    script.write_text("import sys, beside\nprint(__name__, __file__, sys.argv[1:], beside.NAME)\n")
    assert run(script, "--lr", "0.1") == f"__main__ {script} ['--lr', '0.1'] beside\n"


def test_other_modules_can_import_it_as_main(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("VALUE = 3\nimport __main__\nprint(__main__.VALUE)\n")
    assert run(script) == "3\n"


def test_a_reason_is_one_line_with_a_place() -> None:
    with pytest.raises(ValueError, match="two") as caught:
        raise ValueError("two\nlines")
    assert reason(caught.value).startswith("ValueError: two lines (test_script.py, line ")
