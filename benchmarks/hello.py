"""What the hello job costs: the whole job, a round against the floor, and importing the Client API.

    python -m benchmarks.hello [--json] [--repeats N]

Times depend on the machine, so a round is compared with `benchmarks.floor` in the same invocation, in alternating
pairs: floor, fltui, floor, fltui, ... Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec

from fltui.run.events import RoundStarted
from fltui.run.journal import read_journal

ROUNDS = 200
"""Rounds that are measured, start to start; one more is run, so that the last one has a next."""

SITES = 2

_T = TypeVar("_T")

_ROOT = Path(__file__).resolve().parent.parent
_JOB = _ROOT / "sample_jobs" / "hello-fedavg-numpy"


class RoundTimes(msgspec.Struct, frozen=True):
    """Times of rounds in milliseconds."""

    median_ms: float
    p99_ms: float


class Pair(msgspec.Struct, frozen=True):
    """The floor and fltui, one right after the other; `ratio` is that of the medians."""

    floor: RoundTimes
    fltui: RoundTimes
    ratio: float


class Rounds(msgspec.Struct, frozen=True):
    """All pairs; `ratio` is the median of theirs."""

    rounds: int
    sites: int
    pairs: list[Pair]
    floor_ms: float
    fltui_ms: float
    ratio: float


class Job(msgspec.Struct, frozen=True):
    """The whole hello job, from the command's start to its exit, in seconds."""

    seconds: list[float]
    median_s: float


class Import(msgspec.Struct, frozen=True):
    """A process that imports, in milliseconds; `cost_ms` is what `fltui.client` adds to `numpy`."""

    numpy_ms: float
    client_ms: float
    cost_ms: float


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured."""

    repeats: int
    job: Job
    rounds: Rounds
    client_import: Import


def measure_job(repeats: int) -> Job:
    """The hello job as it is, `repeats` times, each in folders of its own."""
    seconds = [_in_temporary_folder(_seconds_of_job) for _ in range(repeats)]
    return Job(seconds, statistics.median(seconds))


def measure_rounds(repeats: int) -> Rounds:
    """The time of a round, `repeats` pairs of floor and fltui."""
    pairs = []
    for _ in range(repeats):
        least = _times(_seconds_of_floor())
        ours = _times(_in_temporary_folder(_seconds_of_rounds))
        pairs.append(Pair(least, ours, ours.median_ms / least.median_ms))
    return Rounds(
        ROUNDS,
        SITES,
        pairs,
        statistics.median(pair.floor.median_ms for pair in pairs),
        statistics.median(pair.fltui.median_ms for pair in pairs),
        statistics.median(pair.ratio for pair in pairs),
    )


def measure_import(repeats: int) -> Import:
    """What ``import fltui.client`` costs a script that has NumPy already."""
    numpy, client = [], []
    for _ in range(repeats):
        numpy.append(_seconds_of([sys.executable, "-c", "import numpy"]))
        client.append(_seconds_of([sys.executable, "-c", "import fltui.client"]))
    without, with_client = statistics.median(numpy) * 1e3, statistics.median(client) * 1e3
    return Import(without, with_client, with_client - without)


def _in_temporary_folder(measure: Callable[[Path], _T]) -> _T:
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as folder:
        return measure(Path(folder))


def _run_command(folder: Path, *options: str) -> list[str]:
    places = ["--runs", str(folder / "runs"), "--exchange", str(folder / "exchange")]
    return [sys.executable, "-m", "fltui", "run", str(_JOB), *places, *options]


def _seconds_of_job(folder: Path) -> float:
    return _seconds_of(_run_command(folder))


def _seconds_of_floor() -> list[float]:
    """Seconds of the floor's rounds, in a new process as fltui's: watches and threads of earlier runs slow a round."""
    command = [sys.executable, "-m", "benchmarks.floor", str(ROUNDS), str(SITES), "--json"]
    return msgspec.json.decode(_output_of(command), type=list[float])


def _seconds_of_rounds(folder: Path) -> list[float]:
    """Seconds from each round's start to the next one's, as the journal has them."""
    _seconds_of(_run_command(folder, "--rounds", str(ROUNDS + 1)))
    (journal,) = folder.glob("runs/*/journal.jsonl")
    starts = [event.monotonic for event in read_journal(journal) if isinstance(event, RoundStarted)]
    return [after - before for before, after in pairwise(starts)]


def _seconds_of(command: Sequence[str]) -> float:
    """How long a command takes; see `_output_of`."""
    began = time.perf_counter()
    _output_of(command)
    return time.perf_counter() - began


def _output_of(command: Sequence[str]) -> str:
    """What a command prints.

    Raises:
        SystemExit: it failed; what it printed is passed on.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _times(seconds: Sequence[float]) -> RoundTimes:
    ordered = sorted(seconds)
    return RoundTimes(statistics.median(ordered) * 1e3, ordered[int(0.99 * len(ordered))] * 1e3)


def _table(report: Report) -> str:
    rounds, client = report.rounds, report.client_import
    lines = [
        f"whole job        {report.job.median_s:8.3f} s    median of {report.repeats}",
        f"import numpy     {client.numpy_ms:8.1f} ms   process, start to exit",
        f"import client    {client.client_ms:8.1f} ms   process, start to exit",
        f"client alone     {client.cost_ms:8.1f} ms   the difference",
        "",
        f"a round, {rounds.sites} sites, {rounds.rounds} rounds, in ms",
        "pair   floor median    p99   fltui median    p99   ratio",
    ]
    lines += [
        f"{number:4}   {pair.floor.median_ms:12.3f} {pair.floor.p99_ms:6.2f}   "
        f"{pair.fltui.median_ms:12.3f} {pair.fltui.p99_ms:6.2f}   {pair.ratio:5.2f}"
        for number, pair in enumerate(rounds.pairs, start=1)
    ]
    lines.append(f"median {rounds.floor_ms:12.3f}          {rounds.fltui_ms:12.3f}          {rounds.ratio:5.2f}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hello", description="Measure the hello job.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="runs of each measurement (7)")
    arguments = parser.parse_args()
    repeats: int = arguments.repeats
    if repeats < 1:
        parser.error(f"--repeats is {repeats}, expected at least 1")
    report = Report(repeats, measure_job(repeats), measure_rounds(repeats), measure_import(repeats))
    print(msgspec.json.encode(report).decode() if arguments.json else _table(report))


if __name__ == "__main__":
    main()
