"""The time of a round where something carries the exchange: ``python -m benchmarks.carriers --ways disk,syncthing``.

The hello job with a server and two sites as processes of their own. Each has its own exchange folder, and what carries
them runs on this machine, on loopback addresses: so no network adds to what is measured. Nothing here asserts a time.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.command import Heading, count, end_in_order, lines_of_problems, parser_of, say, this_heading
from benchmarks.running import RunError
from benchmarks.ways import WAYS, Way
from tests.engines.federation import SERVER, SITES
from tests.engines.programs import NotHereError
from tests.jobs import HELLO_JOB

_LIMIT = 600.0
"""Seconds for a run."""


class Measured(msgspec.Struct, frozen=True):
    """Seconds of the rounds of one way, or why there are none."""

    name: str
    what: str
    rounds: int
    median_s: float | None = None
    longest_s: float | None = None
    problem: str = ""


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured."""

    heading: Heading
    ways: list[Measured]


def measure(name: str, way: Way, rounds: int) -> Measured:
    """The seconds of the rounds, or what kept it from measuring them, so that others are measured all the same."""
    found = Measured(name, way.what, rounds)
    say(f"{name}: {rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="fltui-carriers-", ignore_cleanup_errors=True) as folder:
        try:
            with way.carry(Path(folder)) as federation:
                federation.serve(HELLO_JOB, "--rounds", str(rounds + 1))
                for site in SITES:
                    federation.join(site)
                if federation.ended(SERVER, _LIMIT):
                    raise RunError(federation.said(SERVER)[-600:])
                seconds = [event.seconds for event in federation.rounds()[1:]]
        except (AssertionError, NotHereError, RunError) as error:
            return msgspec.structs.replace(found, problem=str(error))
    return msgspec.structs.replace(found, median_s=statistics.median(seconds), longest_s=max(seconds))


def _lines(report: Report) -> list[str]:
    rows = [
        f"{one.name:22}{one.what:52}{one.rounds:6}"
        + ("" if one.median_s is None or one.longest_s is None else f"{one.median_s:10.3f} s{one.longest_s:10.3f} s")
        for one in report.ways
    ]
    return [
        report.heading.line(),
        "",
        "rounds of the hello job, 2 sites, from the publishing of the tasks; the first round is left out",
        f"{'way':22}{'':52}{'rounds':>6}{'median':>12}{'longest':>12}",
        *rows,
        *lines_of_problems({one.name: one.problem for one in report.ways}),
    ]


def main(arguments: Sequence[str]) -> None:
    """Measure."""
    parser = parser_of("carriers", "Measure a round where something carries the exchange.", 1)
    parser.add_argument("--ways", default=",".join(WAYS), metavar="NAMES", help=f"of {', '.join(WAYS)}; all by default")
    parser.add_argument("--rounds", type=count, metavar="N", help="rounds of each run, instead of its own number")
    chosen = parser.parse_args(arguments)
    names = chosen.ways.split(",")
    if unknown := [name for name in names if name not in WAYS]:
        parser.error(f"--ways: {unknown[0]!r} is none of {', '.join(WAYS)}")
    end_in_order()
    found = [
        measure(name, WAYS[name], chosen.rounds or WAYS[name].rounds) for name in names for _ in range(chosen.repeats)
    ]
    report = Report(this_heading(), found)
    print(msgspec.json.encode(report).decode() if chosen.json else "\n".join(_lines(report)))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
