"""fltui, as it is installed for the Python that runs this."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.peers.system import SCRIPTS, SITES, Job
from fltui import FedAvg, FedJob, ScriptExecutor

_HELLO = Path(__file__).resolve().parents[2] / "sample_jobs" / "hello-fedavg-numpy"

_FINAL = "runs/*/models/final/numpy_key.npy"


class Fltui:
    """The simulator: a server process, and a process per site."""

    name = "fltui"

    def __init__(self) -> None:
        self.version = version("fltui")

    def hello(self, folder: Path, start: Path) -> Job:  # noqa: ARG002 - its sites start from the tutorial's weights
        """The sample job as it stands."""
        return Job(_command(folder, _HELLO), _FINAL)

    def sized(self, folder: Path, start: Path, rounds: int) -> Job:
        """A job like the sample, exported beforehand."""
        notes = folder / "notes"
        job = FedJob("peers")
        model = {"numpy_key": np.load(start, mmap_mode="r")}
        job.to_server(FedAvg(num_clients=SITES, num_rounds=rounds, model=model))
        for number in range(1, SITES + 1):
            job.to(ScriptExecutor(str(SCRIPTS / "fltui_site.py"), str(notes)), f"site-{number}")
        job.export_job(folder / "job")
        return Job(_command(folder, folder / "job" / "peers"), _FINAL, notes)

    def is_server(self, command_line: str) -> bool:
        """The process of the command is the server."""
        return " -m fltui run " in command_line


def _command(folder: Path, job: Path) -> list[str]:
    places = ["--runs", str(folder / "runs"), "--exchange", str(folder / "exchange")]
    return [sys.executable, "-m", "fltui", "run", str(job), *places]
