"""What was measured, as one object and as tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.peers.machine import Machine
from benchmarks.peers.memory import Peak


class Run(msgspec.Struct, frozen=True):
    """One run of a job.

    Attributes:
        figure_s: what is compared, in seconds: the whole job, or the median of the measured rounds; `None` if the run
            failed or its final array is wrong.
        problem: why, in a sentence; empty if all is well.
        command: what was run, without the places of this machine.
        rounds_s: every measured round, without the first.
        peak: memory, if it was sampled. Such a run counts in no time: sampling slows it a little.
    """

    figure_s: float | None
    problem: str = ""
    command: str = ""
    rounds_s: list[float] = []
    peak: Peak | None = None


class Row(msgspec.Struct, frozen=True):
    """All runs of one system, in the order of the repeats.

    Attributes:
        median_s: of the figures of its good runs; `None` if there is none.
        ratio: fltui's figure to this one's, the median over the repeats in which both ran well.
        sampled: one more run, for its memory; `None` for the hello job.
    """

    system: str
    runs: list[Run]
    median_s: float | None
    ratio: float | None
    sampled: Run | None


class Comparison(msgspec.Struct, frozen=True):
    """All systems at one job, fltui first."""

    job: str
    rows: list[Row]


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured.

    Attributes:
        versions: system to version.
        absent: peer to the reason why it could not be measured.
        hello: the whole hello job, from the command to its exit.
        sizes: a round, for each size of the model.
    """

    date: str
    machine: Machine
    repeats: int
    rounds: int
    versions: dict[str, str]
    absent: dict[str, str]
    hello: Comparison
    sizes: list[Comparison]


def compare(job: str, runs: dict[str, list[Run]], sampled: dict[str, Run] | None = None) -> Comparison:
    """Rows for all systems; the first one is what the others are compared with."""
    ours = next(iter(runs.values()))
    return Comparison(job, [_row(name, ours, theirs, (sampled or {}).get(name)) for name, theirs in runs.items()])


def _row(system: str, ours: Sequence[Run], theirs: list[Run], sampled: Run | None) -> Row:
    figures = [run.figure_s for run in theirs if run.figure_s is not None]
    return Row(
        system,
        theirs,
        statistics.median(figures) if figures else None,
        ratio([run.figure_s for run in ours], [run.figure_s for run in theirs]),
        sampled,
    )


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """The median of ours to theirs, repeat by repeat; `None` if there is no repeat with both."""
    both = [mine / other for mine, other in zip(ours, theirs, strict=True) if mine is not None and other is not None]
    return statistics.median(both) if both else None


def tables(report: Report) -> str:
    """The report for people."""
    machine = report.machine
    lines = [
        f"{report.date}, {machine.cores} cores ({machine.processor}), {machine.memory_gb:.1f} GB, {machine.kernel}, "
        f"{machine.file_system}, Python {machine.python}",
        ", ".join(f"{system} {version}" for system, version in report.versions.items())
        + f"; repeats {report.repeats}; 2 sites; ratio: fltui to the peer",
        *(f"{peer} was not measured: {reason}" for peer, reason in report.absent.items()),
        "",
        "whole hello job, from the command to its exit (3 rounds)",
        f"{'system':10} {'median':>10} {'ratio':>8}",
    ]
    lines += [f"{row.system:10} {_seconds(row.median_s):>10} {_ratio(row.ratio):>8}" for row in report.hello.rows]
    lines += [
        "",
        f"a round, start to start, the median of {report.rounds - 2} of a run's {report.rounds} rounds;",
        "peak memory in one more run: of all processes together (PSS), of the server process (RSS)",
        f"{'model':8} {'system':10} {'round':>10} {'ratio':>8} {'all':>10} {'server':>10}",
    ]
    for comparison in report.sizes:
        for row in comparison.rows:
            peak = row.sampled.peak if row.sampled and not row.sampled.problem else None
            lines.append(
                f"{comparison.job:8} {row.system:10} {_seconds(row.median_s):>10} {_ratio(row.ratio):>8} "
                f"{_megabytes(peak.all_mb if peak else None):>10} {_megabytes(peak.server_mb if peak else None):>10}"
            )
    problems = [
        f"{comparison.job}, {row.system}, {name}: {run.problem}"
        for comparison in (report.hello, *report.sizes)
        for row in comparison.rows
        for name, run in _named_runs(row)
        if run.problem
    ]
    commands = [row.runs[0].command for comparison in (report.hello, *report.sizes[:1]) for row in comparison.rows]
    lines += ["", "commands, for the hello job and for rounds", *commands]
    return "\n".join([*lines, *(["", "what went wrong", *problems] if problems else [])])


def _named_runs(row: Row) -> list[tuple[str, Run]]:
    runs = [(f"run {number}", run) for number, run in enumerate(row.runs, start=1)]
    return [*runs, ("run for memory", row.sampled)] if row.sampled else runs


def _seconds(amount: float | None) -> str:
    if amount is None:
        return "failed"
    return f"{amount:.3f} s" if amount >= 0.1 else f"{amount * 1e3:.2f} ms"


def _megabytes(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.0f} MB"


def _ratio(amount: float | None) -> str:
    if amount is None:
        return ""
    return f"1/{1 / amount:.1f}" if amount < 1 else f"{amount:.2f}"
