"""A job of so many sites that add 1 to a model, run by the simulator, and the times of its rounds."""

from __future__ import annotations

import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.peers.measure import hello_model, large_model, problem_of_final
from benchmarks.peers.processes import LONGEST
from benchmarks.peers.system import Job
from benchmarks.running import RunError, run
from fltui import FedAvg, FedJob, ScriptExecutor
from fltui.run.events import RoundStarted
from fltui.run.journal import read_journal

TINY = 0
"""As a size in MB: the tutorial's model."""

UNMEASURED = 2
"""Rounds of a job beyond those that are measured: in the first the sites start, the last has no next."""

_SCRIPT = Path(__file__).resolve().parent / "scripts" / "add_one.py"


class RoundTimes(msgspec.Struct, frozen=True):
    """Times of rounds in milliseconds."""

    median_ms: float
    p99_ms: float


def times_of(seconds: Sequence[float]) -> RoundTimes:
    """The median and the 99th percentile."""
    ordered = sorted(seconds)
    return RoundTimes(statistics.median(ordered) * 1e3, ordered[int(0.99 * len(ordered))] * 1e3)


@dataclass(frozen=True)
class Ran:
    """A run that ended well.

    Attributes:
        start_s: from the command to the first round.
        first_s: the first round, in which the sites start.
        rounds_s: the measured rounds, start to start.
    """

    start_s: float
    first_s: float
    rounds_s: list[float]


def ran(began: float, starts: Sequence[float]) -> Ran:
    """From the monotonic seconds at which the command and each of its rounds began."""
    first, *measured = [after - before for before, after in pairwise(starts)]
    return Ran(starts[0] - began, first, measured)


def write_job(folder: Path, megabytes: int, sites: int, rounds: int, gate: Path | None = None) -> Job:
    """A job like the tutorial's in `folder`, and the command that runs it there.

    Args:
        folder: empty; the model is beside the job as ``start.npy``.
        megabytes: size of the float32 model in 10^6 bytes, or `TINY`.
        sites: how many sites.
        rounds: how many rounds, with those that are not measured.
        gate: the file that the first round waits for.
    """
    start = folder / "start.npy"
    np.save(start, hello_model() if megabytes == TINY else large_model(megabytes))
    job = FedJob("measured")
    model = {"numpy_key": np.load(start, mmap_mode="r")}
    job.to_server(FedAvg(num_clients=sites, num_rounds=rounds, model=model))
    job.to_clients(ScriptExecutor(str(_SCRIPT), shlex.quote(str(gate)) if gate else ""))
    job.export_job(folder / "job")
    command = [sys.executable, "-m", "fltui", "run", str(folder / "job" / "measured"), "--sites", str(sites)]
    command += ["--runs", str(folder / "runs"), "--exchange", str(folder / "exchange")]
    # Of large models, keep no more than the newest, as the floor does; a console shows all of the tiny ones.
    command += [] if megabytes == TINY else ["--keep-models", "1"]
    return Job(command, "runs/*/models/final/numpy_key.npy")


def run_rounds(
    folder: Path,
    sites: int,
    rounds: int,
    *,
    megabytes: int = TINY,
    limit: float = LONGEST,
    gate: Path | None = None,
    beside: AbstractContextManager[object] | None = None,
) -> Ran:
    """Run a job in the empty `folder`, with `rounds` measured rounds; see `write_job` and `run`.

    Raises:
        RunError: the run failed, took too long, or its final model is wrong.
    """
    job = write_job(folder, megabytes, sites, rounds + UNMEASURED, gate)
    began = time.monotonic()
    run(job.command, folder, limit=limit, beside=beside)
    if problem := problem_of_final(folder, job, folder / "start.npy", rounds + UNMEASURED):
        raise RunError(problem)
    return ran(began, starts_in(folder))


def starts_in(folder: Path) -> list[float]:
    """Monotonic seconds at which the rounds of the run in `folder` began; none if there is no run."""
    return [
        event.monotonic
        for journal in folder.glob("runs/*/journal.jsonl")
        for event in read_journal(journal)
        if isinstance(event, RoundStarted)
    ]


def is_server(command_line: str) -> bool:
    """Whether a process is the server's, for sampling its memory."""
    return " -m fltui run " in command_line
