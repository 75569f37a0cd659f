"""Aggregators on models in files: ``python -m benchmarks.aggregation --cases 1x32``.

Each is measured in a process of its own, which makes one model of the sites' as the server does: opens the files,
judges, combines block by block, writes the model with its digests. Memory is the peak above that of the same process
right before. Nothing here asserts a time or an amount.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.command import Heading, count, end_in_order, lines_of_problems, parser_of, say, this_heading
from benchmarks.running import RunError, output_of
from fltui.aggregation.aggregators import (
    Aggregator,
    Bulyan,
    GeometricMedian,
    Krum,
    Median,
    MultiKrum,
    TrimmedMean,
    WeightedMean,
)
from fltui.aggregation.optimizers import FedAdam, ServerOptimizer
from fltui.errors import BadInputError
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import write_array
from fltui.model import ParamsType
from fltui.run.models import Models
from fltui.server.answers import StoreArrays
from fltui.workflows.aggregating import judge, write_next
from fltui.workflows.workflow import Answer, Request

_BAD = 3
"""Sites that the robust ones hold against."""

_RULES: dict[str, Callable[[], tuple[Aggregator, ServerOptimizer | None]]] = {
    "WeightedMean": lambda: (WeightedMean(), None),
    "Median": lambda: (Median(), None),
    "TrimmedMean": lambda: (TrimmedMean(0.2), None),
    "GeometricMedian": lambda: (GeometricMedian(), None),
    "Krum": lambda: (Krum(_BAD), None),
    "MultiKrum": lambda: (MultiKrum(_BAD), None),
    "Bulyan": lambda: (Bulyan(_BAD), None),
    "FedAdam": lambda: (WeightedMean(), FedAdam()),
}


class Measured(msgspec.Struct, frozen=True):
    """What one process has measured: seconds of each call, and peak memory above idle in MB (10^6 bytes)."""

    seconds: list[float]
    over_idle_mb: float


class Row(msgspec.Struct, frozen=True):
    """One aggregator, or an optimiser on the mean.

    Attributes:
        ratio: its median seconds to those of the weighted mean.
        problem: why something is missing; empty if nothing is.
    """

    name: str
    measured: Measured | None = None
    ratio: float | None = None
    problem: str = ""


class Case(msgspec.Struct, frozen=True):
    """One size of the model, in millions of float32, with one number of sites."""

    millions: int
    sites: int
    rows: list[Row]


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured."""

    heading: Heading
    repeats: int
    cases: list[Case]


def rows_of(found: dict[str, Measured | str]) -> list[Row]:
    """From what was measured, or why it was not; the ratios are to the first."""
    first = next(iter(found.values()))
    rows = []
    for name, measured in found.items():
        if isinstance(measured, str):
            rows.append(Row(name, problem=measured))
            continue
        base = None if isinstance(first, str) else statistics.median(first.seconds)
        ratio = base and statistics.median(measured.seconds) / base
        rows.append(Row(name, measured, ratio))
    return rows


def cases(text: str) -> list[tuple[int, int]]:
    """Pairs of millions of parameters and sites, from an option."""
    found = []
    for part in text.split(","):
        millions, cross, sites = part.partition("x")
        if not cross:
            raise argparse.ArgumentTypeError(f"{part!r} is no case; give millions of parameters and sites, as 1x32")
        found.append((count(millions), count(sites)))
    return found


def _measure(millions: int, sites: int, repeats: int) -> Case:
    found: dict[str, Measured | str] = {}
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as folder:
        make_models(Path(folder), millions * 10**6, sites)
        for name in _RULES:
            say(f"{millions} million parameters, {sites} sites, {name}")
            command = [sys.executable, "-m", __spec__.name, "--one", name, "--folder", folder]
            try:
                out = output_of([*command, "--repeats", str(repeats)])
                found[name] = msgspec.json.decode(out, type=Measured)
            except RunError as error:
                found[name] = str(error)
    return Case(millions, sites, rows_of(found))


def make_models(folder: Path, size: int, sites: int) -> None:
    """Write a model and what each site has made of it."""
    (folder / "models").mkdir()
    (folder / "store").mkdir()
    random = np.random.default_rng(1)
    model = random.standard_normal(size, np.float32)
    with Models(folder / "models", durable=False).new(0, ["w"]) as new:
        new.add("w", model)
    entries = {}
    for number in range(sites):
        trained = model + np.float32(0.01) * random.standard_normal(size, np.float32)
        beside = folder / "store" / "new"
        entry = write_array(beside, "w", trained, file="w.npy")
        beside.rename(beside.with_name(f"{entry.blake3}.npy"))
        entries[f"site-{number:03}"] = entry
    (folder / "entries.json").write_bytes(msgspec.json.encode(entries))


def run_one(name: str, folder: Path, repeats: int) -> Measured:
    """Aggregate so many times, and once before.

    Raises:
        BadInputError: the sites are too few for it.
    """
    entries = msgspec.json.decode((folder / "entries.json").read_bytes(), type=dict[str, ArrayEntry])
    models, store = Models(folder / "models", durable=False), StoreArrays(folder / "store")
    answers = [
        Answer(site, ParamsType.FULL, float(number % 5 + 1), {}, {"w": entry}, store)
        for number, (site, entry) in enumerate(sorted(entries.items()))
    ]
    aggregator, optimizer = _RULES[name]()
    if len(answers) < aggregator.least:
        raise BadInputError(f"{aggregator} needs {aggregator.least} sites, there are {len(answers)}")
    request = Request("train", 0, 0, 1, tuple(entries), models.load(0), len(answers))
    if optimizer is not None:
        with models.new(1, ["w"]) as new:  # so that its states are there, as in every round but the first
            write_next(request, answers, new, aggregator, optimizer)
        models.folder(1).rename(models.folder(2))
        request = Request("train", 2, 0, 1, tuple(entries), models.load(2), len(answers))

    def once() -> None:
        judged = judge(request, answers, aggregator, {})
        with models.new(1, ["w"]) as new:
            write_next(request, judged, new, aggregator, optimizer)

    idle = _restart_peak()
    once()
    peak = _memory("VmHWM")
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - began)
    return Measured(seconds, (peak - idle) / 1e6)


def _restart_peak() -> int:
    """Let the peak of this process's memory be what it is now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """Of this process, in bytes."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def table(report: Report) -> str:
    """The report for people."""
    lines = [
        report.heading.line(),
        f"one model made of those of all sites, float32, from files to files; the median of {report.repeats} calls;",
        "ratio: to the weighted mean; peak memory of the process above that before, in MB",
        "",
        f"{'model':>6} {'sites':>5} {'':15} {'seconds':>8} {'ratio':>6} {'over idle':>9}",
    ]
    problems = {}
    for case in report.cases:
        start = f"{case.millions:4} M {case.sites:5}"
        for row in case.rows:
            problems[f"{case.millions} M, {case.sites} sites, {row.name}"] = row.problem
            if row.measured:
                ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
                seconds = statistics.median(row.measured.seconds)
                lines.append(f"{start} {row.name:15} {seconds:8.4f} {ratio:>6} {row.measured.over_idle_mb:9.0f}")
    return "\n".join(lines + lines_of_problems(problems))


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = parser_of(
        "aggregation",
        "Measure what aggregators and server optimisers cost, on models in files. Temporary files take 4 MB for each "
        "million of parameters and site.",
        repeats=5,
    )
    parser.add_argument(
        "--cases",
        type=cases,
        default=[(1, 32)],
        metavar="MILLIONSxSITES,...",
        help="millions of parameters, and sites (1x32)",
    )
    parser.add_argument("--one", choices=list(_RULES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    end_in_order()
    if options.one:
        try:
            print(msgspec.json.encode(run_one(options.one, options.folder, options.repeats)).decode())
        except BadInputError as error:
            raise SystemExit(str(error)) from error
        return
    found = [_measure(millions, sites, options.repeats) for millions, sites in options.cases]
    report = Report(this_heading(), options.repeats, found)
    print(msgspec.json.encode(report).decode() if options.json else table(report))
    if any(row.problem for case in found for row in case.rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
