"""What many sites cost, with a tiny model: ``python -m benchmarks.sites --sites 10,100``.

For each number of sites, by turns: runs that are timed, then one more in which memory is sampled. What is compared with
is the smallest number of sites: where the cost of a round grows in proportion, `growth` is 1.

Measured are later rounds: the first make the files that those write over. What runs leave is removed when all is
measured: for minutes ext4 looks at each file that was removed before it makes another.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from benchmarks.command import Heading, count, counts, end_in_order, lines_of_problems, parser_of, say, this_heading
from benchmarks.peers.memory import Peak, Sampler
from benchmarks.rounds import UNMEASURED, Ran, is_server, run_rounds, starts_in
from benchmarks.running import LateError, RunError

_BEFORE = 6
"""Rounds before those that are measured: the first, and those in which there is no file yet to be written over."""


class Row(msgspec.Struct, frozen=True):
    """One number of sites; medians over its runs.

    Attributes:
        start_s: from the command to the start of the first round.
        first_s: the first round, in which the sites' processes start.
        round_s: the median of the measured rounds.
        per_site_ms: `round_s` by the number of sites.
        growth: `per_site_ms` to that of the row before; 1 is linear.
        peak: memory of all processes together and of the server, in a run of its own.
        per_site_mb: of all together, by the number of sites; MB (10^6 bytes).
        problem: why something is missing; empty if nothing is.
    """

    sites: int
    start_s: float | None = None
    first_s: float | None = None
    round_s: float | None = None
    per_site_ms: float | None = None
    growth: float | None = None
    peak: Peak | None = None
    per_site_mb: float | None = None
    problem: str = ""


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured."""

    heading: Heading
    repeats: int
    rounds: int
    rows: list[Row]


def row_of(sites: int, runs: list[Ran], peak: Peak, before: Row | None) -> Row:
    """The medians over the runs, of which there is at least one."""
    round_s = statistics.median(statistics.median(run.rounds_s) for run in runs)
    per_site_ms = round_s / sites * 1e3
    return Row(
        sites,
        statistics.median(run.start_s for run in runs),
        statistics.median(run.first_s for run in runs),
        round_s,
        per_site_ms,
        per_site_ms / before.per_site_ms if before and before.per_site_ms else None,
        peak,
        peak.all_mb / sites,
    )


def _measure(place: Path, sites: int, rounds: int, repeats: int, limit: float, before: Row | None) -> Row:
    runs = []
    try:
        for number in range(1, repeats + 1):
            say(f"{sites} sites, run {number} of {repeats}")
            runs.append(_run(place, sites, rounds, limit))
        say(f"{sites} sites, memory")
        sampler = Sampler(os.getpid(), is_server)
        _run(place, sites, rounds, limit, sampler)
    except RunError as error:
        return Row(sites, problem=str(error))
    return row_of(sites, runs, sampler.peak, before)


def _run(place: Path, sites: int, rounds: int, limit: float, sampler: Sampler | None = None) -> Ran:
    folder = Path(tempfile.mkdtemp(dir=place))
    warming = _BEFORE - 1  # `run_rounds` leaves out the first
    try:
        ran = run_rounds(folder, sites, warming + rounds, limit=limit, beside=sampler)
    except LateError as error:
        begun = len(starts_in(folder))
        raise RunError(
            f"{error}, in which {begun} of {warming + rounds + UNMEASURED} rounds began; --limit gives it more"
        ) from error
    return replace(ran, rounds_s=ran.rounds_s[warming:])


def table(report: Report) -> str:
    """The report for people."""
    lines = [
        report.heading.line(),
        f"rounds with the tutorial's model, start to start, the median of {report.rounds} after {_BEFORE} others; "
        f"runs: {report.repeats};",
        "start: from the command to the first round; first: that round, in which the sites start;",
        "growth: cost per site to that of the line before, 1 is linear; memory in one more run, PSS of all processes",
        "",
        f"{'sites':>5} {'start':>9} {'first':>9} {'round':>9} {'per site':>11} {'growth':>6} {'memory':>9} "
        f"{'per site':>10}",
    ]
    for row in report.rows:
        if row.peak:
            growth = "" if row.growth is None else f"{row.growth:.2f}"
            lines.append(
                f"{row.sites:5} {row.start_s:7.2f} s {row.first_s:7.2f} s {row.round_s:7.3f} s "
                f"{row.per_site_ms:8.2f} ms {growth:>6} {row.peak.all_mb:6.0f} MB {row.per_site_mb:7.1f} MB"
            )
    return "\n".join(lines + lines_of_problems({f"{row.sites} sites": row.problem for row in report.rows}))


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = parser_of("sites", "Measure what many simulated sites cost.", repeats=3)
    parser.add_argument(
        "--sites", type=counts, default=[10, 100, 1000], metavar="N,...", help="how many sites (10,100,1000)"
    )
    parser.add_argument("--rounds", type=count, default=5, metavar="N", help="measured rounds of a run (5)")
    parser.add_argument("--limit", type=count, default=120, metavar="SECONDS", help="that one run has (120)")
    options = parser.parse_args(arguments)
    end_in_order()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as place:
        for sites in options.sites:
            before = rows[-1] if rows else None
            rows.append(_measure(Path(place), sites, options.rounds, options.repeats, options.limit, before))
    report = Report(this_heading(), options.repeats, options.rounds, rows)
    print(msgspec.json.encode(report).decode() if options.json else table(report))
    if any(row.problem for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
