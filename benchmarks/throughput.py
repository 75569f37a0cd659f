"""Rounds with large models, against moving their bytes: ``python -m benchmarks.throughput --cases 100x2``.

Each run stands right after one of `benchmarks.bytes_floor`: floor, fltui, floor, fltui, ... Memory is sampled in one
more run, which counts in no time. Nothing here asserts a time or an amount.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import bytes_floor
from benchmarks.command import Heading, count, end_in_order, lines_of_problems, parser_of, say, this_heading
from benchmarks.peers.memory import Peak, Sampler
from benchmarks.rounds import TINY, is_server, run_rounds
from benchmarks.running import RunError, output_of

_IDLE_ROUNDS = 200
"""Rounds with a tiny model, long enough for some samples of memory."""


class Pair(msgspec.Struct, frozen=True):
    """The rounds of the floor and those of fltui, one run right after the other, in seconds; ratio of the medians."""

    floor_s: list[float]
    fltui_s: list[float]
    ratio: float


class Case(msgspec.Struct, frozen=True):
    """One size of the model with one number of sites.

    Attributes:
        floor_s: median over the pairs, of the medians of their rounds; as `fltui_s` and `ratio`.
        peak: memory in a run of its own.
        over_idle_mb: the server's peak RSS above that with a tiny model and as many sites, in MB (10^6 bytes).
        problem: why something is missing; empty if nothing is.
    """

    megabytes: int
    sites: int
    pairs: list[Pair] = []
    floor_s: float | None = None
    fltui_s: float | None = None
    ratio: float | None = None
    peak: Peak | None = None
    over_idle_mb: float | None = None
    problem: str = ""


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured; `idle` is by number of sites."""

    heading: Heading
    rounds: int
    idle: dict[int, Peak]
    cases: list[Case]


def pair_of(floor: list[float], ours: list[float]) -> Pair:
    """From the seconds of the rounds of both."""
    return Pair(floor, ours, statistics.median(ours) / statistics.median(floor))


def case_of(megabytes: int, sites: int, pairs: list[Pair], peak: Peak, idle: Peak) -> Case:
    """The medians over the pairs, of which there is at least one, and memory."""
    return Case(
        megabytes,
        sites,
        pairs,
        statistics.median(statistics.median(pair.floor_s) for pair in pairs),
        statistics.median(statistics.median(pair.fltui_s) for pair in pairs),
        statistics.median(pair.ratio for pair in pairs),
        peak,
        peak.server_mb - idle.server_mb,
    )


def cases(text: str) -> list[tuple[int, int]]:
    """Pairs of MB and sites, from an option."""
    found = []
    for part in text.split(","):
        megabytes, cross, sites = part.partition("x")
        if not cross:
            raise argparse.ArgumentTypeError(f"{part!r} is no case; give MB and sites, as 100x2")
        found.append((count(megabytes), count(sites)))
    return found


def _measure(megabytes: int, sites: int, rounds: int, repeats: int, idle: dict[int, Peak]) -> Case:
    pairs = []
    try:
        for number in range(1, repeats + 1):
            say(f"{megabytes} MB, {sites} sites, pair {number} of {repeats}")
            pairs.append(pair_of(_floor(megabytes, sites, rounds), _fltui(megabytes, sites, rounds)))
        say(f"{megabytes} MB, {sites} sites, memory")
        if sites not in idle:
            idle[sites] = _peak(TINY, sites, _IDLE_ROUNDS)
        peak = _peak(megabytes, sites, rounds)
    except RunError as error:
        return Case(megabytes, sites, pairs, problem=str(error))
    return case_of(megabytes, sites, pairs, peak, idle[sites])


def _floor(megabytes: int, sites: int, rounds: int) -> list[float]:
    # As of fltui's, the first round is not measured: in it the sites start.
    command = [sys.executable, bytes_floor.__file__, str(megabytes), str(sites), str(rounds + 1)]
    return msgspec.json.decode(output_of(command), type=list[float])[1:]


def _fltui(megabytes: int, sites: int, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as folder:
        return run_rounds(Path(folder), sites, rounds, megabytes=megabytes).rounds_s


def _peak(megabytes: int, sites: int, rounds: int) -> Peak:
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as folder:
        sampler = Sampler(os.getpid(), is_server)
        run_rounds(Path(folder), sites, rounds, megabytes=megabytes, beside=sampler)
        return sampler.peak


def table(report: Report) -> str:
    """The report for people."""
    lines = [
        report.heading.line(),
        f"a round, start to start, the median of {report.rounds}, in s; floor: moving the bytes that any design moves;",
        "peak memory in one more run, in MB: of all processes together (PSS), of the server process (RSS),",
        "and of the server over that with a tiny model",
        "",
        f"{'model':>8} {'sites':>5} {'pair':>6} {'floor':>9} {'fltui':>9} {'ratio':>6} {'all':>7} {'server':>7} "
        f"{'over idle':>9}",
    ]
    for case in report.cases:
        start = f"{case.megabytes:5} MB {case.sites:5}"
        lines += [
            f"{start} {number:6} {statistics.median(pair.floor_s):9.4f} {statistics.median(pair.fltui_s):9.4f} "
            f"{pair.ratio:6.2f}"
            for number, pair in enumerate(case.pairs, start=1)
        ]
        if case.peak:
            lines.append(
                f"{start} median {case.floor_s:9.4f} {case.fltui_s:9.4f} {case.ratio:6.2f} {case.peak.all_mb:7.0f} "
                f"{case.peak.server_mb:7.0f} {case.over_idle_mb:9.0f}"
            )
    problems = {f"{case.megabytes} MB, {case.sites} sites": case.problem for case in report.cases}
    return "\n".join(lines + lines_of_problems(problems))


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = parser_of(
        "throughput",
        "Measure rounds with large models against moving their bytes. Temporary files take 20 times the model with 2 "
        "sites, and 5 times more for every further site.",
        repeats=3,
    )
    parser.add_argument(
        "--cases",
        type=cases,
        default=[(10, 2), (100, 2), (500, 2), (100, 8)],
        metavar="MBxSITES,...",
        help="size of the float32 model in MB (10^6 bytes), and sites (10x2,100x2,500x2,100x8); 2000x2 takes long",
    )
    parser.add_argument("--rounds", type=count, default=6, metavar="N", help="measured rounds of a run (6)")
    options = parser.parse_args(arguments)
    end_in_order()
    idle: dict[int, Peak] = {}
    found = [_measure(megabytes, sites, options.rounds, options.repeats, idle) for megabytes, sites in options.cases]
    report = Report(this_heading(), options.rounds, idle, found)
    print(msgspec.json.encode(report).decode() if options.json else table(report))
    if any(case.problem for case in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
