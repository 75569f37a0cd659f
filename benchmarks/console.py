"""The console's figures: ``python -m benchmarks.console [--json] [--seconds 60]``.

A flood of log lines, a 5000x5000 matrix, 500 sites in the table, a journal of 100,000 events. Its first frame is
measured by `benchmarks.startup`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks import console_journal, console_log, console_matrix, console_sites


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.console", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the flood of log lines (default: 60)")
    options = parser.parse_args(arguments)
    found: dict[str, float] = {}
    for measure in (console_journal.measure, console_matrix.measure, console_sites.measure):
        found |= measure()
    found |= console_log.measure(options.seconds)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:32} {value:14.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
