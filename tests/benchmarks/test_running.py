"""Commands are run to their end, and what goes wrong is said in a sentence.

In a process of its own: running adopts orphans and ends whatever is below it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads processes from /proc, which only Linux has")

_RUN = """
import sys
from pathlib import Path
from benchmarks.command import end_in_order
from benchmarks.running import RunError, output_of, run
end_in_order()
try:
    print({call})
except RunError as error:
    print(type(error).__name__, error)
"""


def _say(call: str, folder: Path) -> str:
    code = _RUN.replace("{call}", call)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, cwd=_ROOT, timeout=60
    )
    return done.stdout.strip()


def _run(code: str, folder: Path, more: str = "") -> str:
    return _say(f"run([sys.executable, '-c', {code!r}], Path(sys.argv[1]){more})", folder)


def test_the_seconds_of_a_command_that_ends_well(tmp_path: Path) -> None:
    assert float(_run("pass", tmp_path)) > 0


def test_a_failure_is_told_with_its_last_line(tmp_path: Path) -> None:
    assert _run("import sys; print('before'); sys.exit('no room')", tmp_path) == (
        "RunError it ended with exit code 1 and last printed: no room"
    )


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    said = _run("import threading; threading.Event().wait()", tmp_path, ", limit=0.3")
    assert said == "LateError it did not end within 0.3 s"


def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    left = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid)"
    _run(left, tmp_path)
    pid = int((tmp_path / "log").read_text("ascii"))
    assert not Path(f"/proc/{pid}").exists()


def test_the_last_line_is_what_a_command_says(tmp_path: Path) -> None:
    assert _say("output_of([sys.executable, '-c', 'print(1); print(2)'])", tmp_path) == "2"


def test_a_command_that_says_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "quiet.py").touch()
    assert (
        _say("output_of([sys.executable, sys.argv[1] + '/quiet.py'])", tmp_path) == "RunError quiet.py printed nothing"
    )
