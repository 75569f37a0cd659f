"""What a person waits for: the hello job, the console, an import. ``python -m benchmarks.startup``.

Each is compared with the least that it needs, in alternating pairs: the hello job with as many rounds of
`benchmarks.floor`, the console's first frame with an interpreter that does nothing in a terminal, and
``import fltui.client`` with ``import numpy``. Nothing here asserts a time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pexpect

from benchmarks import floor
from benchmarks.command import Heading, end_in_order, lines_of_problems, parser_of, say, this_heading
from benchmarks.peers.environments import surroundings
from benchmarks.peers.measure import hello_model, problem_of_final
from benchmarks.peers.system import HELLO_ROUNDS, SITES, Job
from benchmarks.running import RunError, run

_JOB = Path(__file__).resolve().parent.parent / "sample_jobs" / "hello-fedavg-numpy"

_PATIENCE = 60.0
"""Seconds for the console to show something."""


class Wait(msgspec.Struct, frozen=True):
    """One thing that is waited for, in seconds, and its floor.

    Attributes:
        what: as people call it.
        floor: what it is compared with.
        floor_s: by pair; as `fltui_s`.
        floor_median_s: of all; as `fltui_median_s`.
        over_s: the median over the pairs of what fltui takes beyond the floor.
        problem: why something is missing; empty if nothing is.
    """

    what: str
    floor: str
    floor_s: list[float] = []
    fltui_s: list[float] = []
    floor_median_s: float | None = None
    fltui_median_s: float | None = None
    over_s: float | None = None
    problem: str = ""


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured."""

    heading: Heading
    repeats: int
    waits: list[Wait]


def wait_of(what: str, floor: str, floor_s: list[float], fltui_s: list[float]) -> Wait:
    """The medians over the pairs, of which there is at least one."""
    over = [ours - least for least, ours in zip(floor_s, fltui_s, strict=True)]
    medians = statistics.median(floor_s), statistics.median(fltui_s), statistics.median(over)
    return Wait(what, floor, floor_s, fltui_s, *medians)


def _measure(
    what: str, floor: str, least: Callable[[Path], float], ours: Callable[[Path], float], repeats: int
) -> Wait:
    floor_s, fltui_s = [], []
    try:
        for number in range(1, repeats + 1):
            say(f"{what}, pair {number} of {repeats}")
            floor_s.append(_in_temporary_folder(least))
            fltui_s.append(_in_temporary_folder(ours))
    except RunError as error:
        return Wait(what, floor, floor_s, fltui_s, problem=str(error))
    return wait_of(what, floor, floor_s, fltui_s)


def _in_temporary_folder(measure: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as folder:
        return measure(Path(folder))


def _hello(folder: Path) -> float:
    command = [sys.executable, "-m", "fltui", "run", str(_JOB)]
    command += ["--runs", str(folder / "runs"), "--exchange", str(folder / "exchange")]
    seconds = run(command, folder)
    final = Job(command, "runs/*/models/final/numpy_key.npy")
    if problem := problem_of_final(folder, final, _saved_start(folder), HELLO_ROUNDS):
        raise RunError(problem)
    return seconds


def _saved_start(folder: Path) -> Path:
    start = folder / "start.npy"
    np.save(start, hello_model())
    return start


def _hello_floor(folder: Path) -> float:
    return run([sys.executable, floor.__file__, str(HELLO_ROUNDS), str(SITES)], folder)


def first_frame(folder: Path) -> float:
    """Seconds from the start of ``fltui`` in a terminal to its first text.

    Raises:
        RunError: it showed nothing.
    """
    environment = surroundings(folder) | {"TERM": "xterm-256color"}
    began = time.perf_counter()
    process = pexpect.spawn(
        sys.executable,
        ["-m", "fltui"],
        cwd=str(folder),
        env=environment,
        dimensions=(36, 120),
        timeout=_PATIENCE,
    )
    try:
        process.expect("Jobs")
        seconds = time.perf_counter() - began
        process.send("q")
        process.expect(pexpect.EOF)
    except pexpect.ExceptionPexpect as error:
        raise RunError(f"the console did not show its jobs, or not end, within {_PATIENCE:g} s") from error
    finally:
        process.close(force=True)
    return seconds


def nothing_in_a_terminal(folder: Path) -> float:
    """Seconds that an interpreter in a terminal takes to start and end."""
    began = time.perf_counter()
    pexpect.run(f"{sys.executable} -c pass", cwd=str(folder))
    return time.perf_counter() - began


def _numpy(folder: Path) -> float:
    return run([sys.executable, "-c", "import numpy"], folder)


def _client(folder: Path) -> float:
    return run([sys.executable, "-c", "import fltui.client"], folder)


def table(report: Report) -> str:
    """The report for people."""
    lines = [
        report.heading.line(),
        f"medians of {report.repeats} pairs, in ms; over: what fltui takes beyond the floor",
        "",
        f"{'what':20} {'floor':32} {'floor':>9} {'fltui':>9} {'over':>9}",
    ]
    lines += [
        f"{wait.what:20} {wait.floor:32} {wait.floor_median_s * 1e3:9.1f} {wait.fltui_median_s * 1e3:9.1f} "
        f"{wait.over_s * 1e3:9.1f}"
        for wait in report.waits
        if wait.floor_median_s is not None and wait.fltui_median_s is not None and wait.over_s is not None
    ]
    return "\n".join(lines + lines_of_problems({wait.what: wait.problem for wait in report.waits}))


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = parser_of("startup", "Measure the hello job, the console's first frame and the Client API.", repeats=7)
    options = parser.parse_args(arguments)
    end_in_order()
    repeats: int = options.repeats
    waits = [
        _measure("hello job", f"benchmarks.floor {HELLO_ROUNDS} {SITES}", _hello_floor, _hello, repeats),
        _measure("first frame", "an interpreter in a terminal", nothing_in_a_terminal, first_frame, repeats),
        _measure("import fltui.client", "import numpy", _numpy, _client, repeats),
    ]
    report = Report(this_heading(), repeats, waits)
    print(msgspec.json.encode(report).decode() if options.json else table(report))
    if any(wait.problem for wait in waits):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
