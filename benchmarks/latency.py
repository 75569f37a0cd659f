"""The time of a round with a tiny model, against the floor: ``python -m benchmarks.latency --sites 2,8``.

Times depend on the machine, so each run stands beside one of `benchmarks.floor`: floor, fltui, fltui, floor, floor, ...
With ``--console`` it stands beside a run that nobody watches, and has a console attached. What runs leave is removed at
the end: for minutes ext4 looks at each file that was removed before it makes another. Nothing here asserts a time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks import floor
from benchmarks.command import Heading, count, counts, end_in_order, lines_of_problems, parser_of, say, this_heading
from benchmarks.rounds import RoundTimes, run_rounds, times_of
from benchmarks.running import RunError, output_of
from benchmarks.watching import Watching

_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")


Rounds = Callable[[Path, int, int], list[float]]
"""Seconds of the rounds of a run in an empty folder, by its sites and how many rounds are measured."""


class Pair(msgspec.Struct, frozen=True):
    """What is compared with and what is measured, one right after the other; `ratio` is that of the medians."""

    base: RoundTimes
    measured: RoundTimes
    ratio: float


class Level(msgspec.Struct, frozen=True):
    """All pairs with one number of sites, and the medians of theirs; why there are none, if there are none."""

    sites: int
    rounds: int
    pairs: list[Pair] = []
    base_ms: float | None = None
    measured_ms: float | None = None
    ratio: float | None = None
    problem: str = ""


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured; `base` and `measured` say what was compared."""

    heading: Heading
    base: str
    measured: str
    levels: list[Level]


def default_rounds(sites: int, console: bool) -> int:
    """Fewer with many sites, whose rounds are long; more with a console, which draws at its own pace."""
    return max(25, min(200, 3200 // sites)) * (5 if console else 1)


def level_of(sites: int, rounds: int, pairs: list[Pair]) -> Level:
    """The medians over the pairs, of which there is at least one."""
    return Level(
        sites,
        rounds,
        pairs,
        statistics.median(pair.base.median_ms for pair in pairs),
        statistics.median(pair.measured.median_ms for pair in pairs),
        statistics.median(pair.ratio for pair in pairs),
    )


def pair_of(base: Sequence[float], measured: Sequence[float]) -> Pair:
    """From the seconds of the rounds of both."""
    least, ours = times_of(base), times_of(measured)
    return Pair(least, ours, ours.median_ms / least.median_ms)


def _measure(place: Path, sites: int, rounds: int, repeats: int, base: Rounds, measured: Rounds) -> Level:
    """Every second pair the other way round: what comes later finds a machine that has been through more."""
    pairs = []
    try:
        for number in range(1, repeats + 1):
            say(f"{sites} sites, {rounds} rounds, pair {number} of {repeats}")
            turns = [base, measured][:: 1 if number % 2 else -1]
            times = {turn: turn(Path(tempfile.mkdtemp(dir=place)), sites, rounds) for turn in turns}
            pairs.append(pair_of(times[base], times[measured]))
    except RunError as error:
        return Level(sites, rounds, pairs, problem=str(error))
    return level_of(sites, rounds, pairs)


def floor_rounds(folder: Path, sites: int, rounds: int) -> list[float]:
    """Seconds of the floor's rounds, in a new process as fltui's: watches and threads of earlier runs slow a round.

    Raises:
        RunError: it failed, or the kernel does not let so many processes watch folders.
    """
    # The server of the floor and each of its sites own one, as do other programs of this user.
    if _INSTANCES.exists() and (most := int(_INSTANCES.read_text("ascii"))) <= sites:
        raise RunError(
            f"the floor needs {sites + 1} inotify instances, but a user may have {most}; "
            f"allow more with: sysctl fs.inotify.max_user_instances={4 * sites}"
        )
    command = [sys.executable, floor.__file__, str(rounds + 1), str(sites), str(folder), "--json"]
    return msgspec.json.decode(output_of(command), type=list[float])[1:]


def _plain_rounds(folder: Path, sites: int, rounds: int) -> list[float]:
    return run_rounds(folder, sites, rounds).rounds_s


def _watched_rounds(folder: Path, sites: int, rounds: int) -> list[float]:
    gate = folder / "gate"
    return run_rounds(folder, sites, rounds, gate=gate, beside=Watching(folder, gate)).rounds_s


def table(report: Report) -> str:
    """The report for people."""
    base, measured = report.base, report.measured
    lines = [
        report.heading.line(),
        "a round with the tutorial's model, start to start, in ms; ratio: of the medians",
        "",
        f"{'sites':>5} {'rounds':>6} {'pair':>6}   {base:>11} {'p99':>8}   {measured:>11} {'p99':>8}   ratio",
    ]
    for level in report.levels:
        lines += [
            f"{level.sites:5} {level.rounds:6} {number:6}   {pair.base.median_ms:11.3f} {pair.base.p99_ms:8.2f}   "
            f"{pair.measured.median_ms:11.3f} {pair.measured.p99_ms:8.2f}   {pair.ratio:5.2f}"
            for number, pair in enumerate(level.pairs, start=1)
        ]
        if level.ratio is not None:
            lines.append(
                f"{level.sites:5} {level.rounds:6} median   {level.base_ms:11.3f} {'':8}   {level.measured_ms:11.3f} "
                f"{'':8}   {level.ratio:5.2f}"
            )
    return "\n".join(lines + lines_of_problems({f"{level.sites} sites": level.problem for level in report.levels}))


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = parser_of("latency", "Measure the time of a round with a tiny model against the floor.", repeats=7)
    parser.add_argument("--sites", type=counts, default=[2, 8, 32], metavar="N,...", help="how many sites (2,8,32)")
    parser.add_argument(
        "--rounds", type=count, metavar="N", help="measured rounds of a run (200; fewer above 16 sites)"
    )
    parser.add_argument(
        "--console", action="store_true", help="compare runs with a console attached to runs without, not to the floor"
    )
    options = parser.parse_args(arguments)
    end_in_order()
    console: bool = options.console
    base, measured = (_plain_rounds, _watched_rounds) if console else (floor_rounds, _plain_rounds)
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as folder:
        levels = [
            _measure(
                Path(folder), sites, options.rounds or default_rounds(sites, console), options.repeats, base, measured
            )
            for sites in options.sites
        ]
    names = ("unwatched", "watched") if console else ("floor", "fltui")
    report = Report(this_heading(), *names, levels)
    print(msgspec.json.encode(report).decode() if options.json else table(report))
    if any(level.problem for level in levels):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
