"""Jobs and commands for tests that need real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HELLO = Path(__file__).parent.parent / "sample_jobs" / "hello-fedavg-numpy"
HELLO_JOB = HELLO / "fedavg_script_executor_hello-numpy.py"
HELLO_SCRIPT = HELLO / "src" / "hello-numpy_fl.py"

HEAD = """
import numpy as np
import fltui.client as flare
flare.init()
"""

LOOP = """
while flare.is_running():
    model = flare.receive()
    round = model.current_round
    weights = model.params.get("numpy_key", np.zeros((3, 3), np.float32))
"""

GOOD = (
    HEAD
    + LOOP
    + '    flare.send(flare.FLModel(params={"numpy_key": weights + np.float32(1)}, metrics={"loss": 1.0}))\n'
)
"""A script that adds 1 a round."""


def drifting(step: float, *before: str) -> str:
    """A script whose floats show every bit of their history; `before` is done first in every task."""
    sent = f"{{'numpy_key': weights * np.float32(0.9) + np.float32({step})}}"
    return script(*before, f"flare.send(flare.FLModel(params={sent}, metrics={{'mean': float(weights.mean())}}))")


class Gate:
    """Holds a script in one round until a test lets it pass, or takes the gate away.

    Args:
        path: of a FIFO that is made here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def line(self, number: int) -> str:
        """The line of a script that waits at the gate in round `number`."""
        path = str(self.path)
        return f"if round == {number} and __import__('os').path.exists({path!r}): open({path!r}).read()"

    def open(self) -> None:
        """Let those pass who wait, once there is one, and everybody who comes later."""
        with self.path.open("w"):
            self.path.unlink()

    def remove(self) -> None:
        """Let everybody pass who comes later; who waits goes on waiting."""
        self.path.unlink()


def script(*lines: str, head: str = HEAD) -> str:
    """A script that does `lines` for every task, with ``model``, ``round`` and ``weights`` at hand."""
    return head + LOOP + textwrap.indent("\n".join(lines), "    ") + "\n"


def write_job(
    folder: Path,
    scripts: dict[str, str],
    arguments: str = "num_rounds=2",
    job: str = "",
    workflow: str = "FedAvg",
) -> Path:
    """Write a job script for FedAvg with a 3x3 model of zeros and a script for each site; its path.

    Args:
        folder: where.
        scripts: site to the text of its script; an empty text leaves the file out.
        arguments: further arguments of the workflow, Python in which the names of `fltui` are known.
        job: further arguments of FedJob.
        workflow: another one than FedAvg.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "import numpy as np",
        "from fltui import *",
        f"job = FedJob('test', {job})",
        f"arguments = dict(num_clients={len(scripts)}, model=np.zeros((3, 3), np.float32))",
        f"arguments |= dict({arguments})",
        f"job.to_server({workflow}(**arguments))",
    ]
    for site, text in scripts.items():
        if text:
            (folder / f"{site}.py").write_text(text)
        lines.append(f"job.to(ScriptExecutor('{site}.py'), '{site}')")
    lines.append("job.simulator_run('nowhere')")
    path = folder / "job.py"
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class Done:
    """A finished command."""

    code: int
    out: str
    err: str
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, Any]:
        """The last event."""
        return self.events[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    def model(self, name: str = "numpy_key") -> NDArray[Any]:
        """The final model."""
        array: NDArray[Any] = np.load(self.last["final_model"][name])
        return array


def environment(folder: Path) -> dict[str, str]:
    """Variables that keep a command's files in `folder`."""
    return {**os.environ, "FLTUI_RUNS": str(folder / "runs"), "FLTUI_EXCHANGE": str(folder / "exchange")}


def command(*arguments: str | Path) -> list[str]:
    """``fltui ARGUMENTS``."""
    return [sys.executable, "-m", "fltui", *map(str, arguments)]


def fltui(folder: Path, *arguments: str | Path, timeout: float = 60) -> Done:
    """Run a command with its files in `folder`; with ``--json`` its events are decoded."""
    process = subprocess.run(
        command(*arguments),
        env=environment(folder),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=timeout,
        check=False,
    )
    events = [json.loads(line) for line in process.stdout.splitlines()] if "--json" in arguments else []
    return Done(process.returncode, process.stdout, process.stderr, events)


@contextmanager
def started(folder: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command that is still running, with its output as text."""
    process = subprocess.Popen(
        command(*arguments),
        env=environment(folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def events_until(process: subprocess.Popen[str], kind: str) -> list[dict[str, Any]]:
    """Read events up to the first of a kind."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        found.append(json.loads(line))
        if found[-1]["event"] == kind:
            return found
    raise AssertionError(
        f"no {kind} among {[event['event'] for event in found]}: {process.stderr and process.stderr.read()}"
    )


def processes_of(folder: Path) -> list[str]:
    """Command lines of live processes that name `folder` in their arguments or environment (Linux)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(folder).encode() in text and state != "Z":
            found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
