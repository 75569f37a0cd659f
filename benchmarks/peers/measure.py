"""Runs the job on every system by turns, so that drift of the machine hits all alike."""

from __future__ import annotations

import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import PeerError
from benchmarks.peers.processes import run
from benchmarks.peers.report import Comparison, Run, compare
from benchmarks.peers.system import HELLO_ROUNDS, Job, System

ROUNDS = 8
"""Rounds of a job whose rounds are measured. Of their starts, the first and the last bound no measured round: one warms
up, the other has no next."""

_BLOCK = 2**20
"""Elements that are compared at a time."""


def measure_hello(systems: Sequence[System], repeats: int) -> Comparison:
    """The whole hello job, `repeats` times on each."""
    with tempfile.TemporaryDirectory(prefix="fltui-peers-") as folder:
        start = Path(folder) / "start.npy"
        np.save(start, hello_model())
        runs: dict[str, list[Run]] = {system.name: [] for system in systems}
        for repeat in range(repeats):
            for system in systems:
                _say(f"hello, {system.name}, run {repeat + 1} of {repeats}")
                runs[system.name].append(_run_hello(system, start))
    return compare("hello", runs)


def measure_size(systems: Sequence[System], size: str, repeats: int) -> Comparison:
    """The time of a round with a model of one size, `repeats` times on each, and the memory in one more run.

    Args:
        size: ``tiny``, the tutorial's model, or MB (10^6 bytes) in digits.
    """
    with tempfile.TemporaryDirectory(prefix="fltui-peers-") as folder:
        start = Path(folder) / "start.npy"
        np.save(start, hello_model() if size == "tiny" else large_model(int(size)))
        runs: dict[str, list[Run]] = {system.name: [] for system in systems}
        for repeat in range(repeats):
            for system in systems:
                _say(f"{size}, {system.name}, run {repeat + 1} of {repeats}")
                runs[system.name].append(_run_sized(system, start, sampled=False))
        sampled = {}
        for system in systems:
            _say(f"{size}, {system.name}, memory")
            sampled[system.name] = _run_sized(system, start, sampled=True)
    return compare(size if size == "tiny" else f"{size} MB", runs, sampled)


def hello_model() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The tutorial's weights: 1 to 9, shape (3, 3)."""
    return np.arange(1, 10, dtype=np.float32).reshape(3, 3)


def large_model(megabytes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One dimension, `megabytes` of 10^6 bytes; small whole numbers, which stay exact when they are averaged."""
    return np.arange(megabytes * 250_000, dtype=np.float32) % 1000


def _run_hello(system: System, start: Path) -> Run:
    with tempfile.TemporaryDirectory(prefix="fltui-peers-") as place:
        folder = Path(place)
        try:
            job = system.hello(folder, start)
        except PeerError as error:
            return Run(None, f"its job cannot be prepared: {error}")
        ended = run(job.command, folder)
        problem = ended.problem or problem_of_final(folder, job, start, HELLO_ROUNDS)
        return Run(None if problem else ended.seconds, problem, shown(job.command, folder, start))


def _run_sized(system: System, start: Path, *, sampled: bool) -> Run:
    with tempfile.TemporaryDirectory(prefix="fltui-peers-") as place:
        folder = Path(place)
        try:
            job = system.sized(folder, start, ROUNDS)
        except PeerError as error:
            return Run(None, f"its job cannot be prepared: {error}")
        ended = run(job.command, folder, system.is_server if sampled else None)
        command = shown(job.command, folder, start)
        starts = parse_notes(job.notes.read_text("ascii")) if job.notes and job.notes.exists() else []
        problem = ended.problem or problem_of_final(folder, job, start, ROUNDS)
        if not problem and len(starts) != ROUNDS:
            problem = f"its sites noted {len(starts)} rounds, expected {ROUNDS}"
        if problem:
            return Run(None, problem, command, peak=ended.peak)
        rounds = round_seconds(starts)
        return Run(statistics.median(rounds), "", command, rounds, ended.peak)


def shown(command: Sequence[str], folder: Path, start: Path) -> str:
    """A command as a person would give it from the repository: without the places of this machine."""
    root = Path(__file__).resolve().parents[2]
    places = {str(start): "<model>.npy", str(folder): "<folder>", f"{root}/": ""}
    text = shlex.join([Path(command[0]).name, *command[1:]])
    for place, name in places.items():
        text = text.replace(place, name)
    return text


def parse_notes(text: str) -> list[float]:
    """When each round reached the first of its sites, by round, from lines of round number and monotonic seconds."""
    first: dict[int, float] = {}
    for line in text.splitlines():
        number, seconds = line.split()
        first[int(number)] = min(float(seconds), first.get(int(number), float(seconds)))
    return [first[number] for number in sorted(first)]


def round_seconds(starts: Sequence[float]) -> list[float]:
    """Seconds from each round's start to the next one's, without the first round."""
    return [after - before for before, after in pairwise(starts)][1:]


def problem_of_final(folder: Path, job: Job, start: Path, rounds: int) -> str:
    """Why the final array below `folder` is not what `rounds` rounds make of `start`; empty if it is."""
    found = list(folder.glob(job.final))
    if len(found) != 1:
        return f"it ended without an error, but {len(found)} files match {job.final}, expected its final array"
    before = np.load(start, mmap_mode="r", allow_pickle=False)
    after = np.load(found[0], mmap_mode="r", allow_pickle=False)
    if after.shape != before.shape:
        return f"it answered wrongly: an array of shape {after.shape}, expected {before.shape}"
    flat_before, flat_after = before.reshape(-1), after.reshape(-1)
    for begin in range(0, before.size, _BLOCK):
        expected, got = flat_before[begin : begin + _BLOCK] + rounds, flat_after[begin : begin + _BLOCK]
        if not np.array_equal(expected, got):
            where = int(np.flatnonzero(expected != got)[0])
            return f"it answered wrongly: element {begin + where} is {got[where]}, expected {expected[where]}"
    return ""


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
