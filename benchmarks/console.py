"""The console's figures: ``python -m benchmarks.console [--json] [--seconds 60]``.

First frame, a flood of log lines, a 5000x5000 matrix, 500 sites in the table, a journal of 100,000 events.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time

import pexpect

from benchmarks import console_journal, console_log, console_matrix, console_sites

_TRIES = 7


def first_frame() -> dict[str, float]:
    """Seconds from the start of ``fltui`` in a terminal to its first text, and of an interpreter that does nothing."""
    frames, floors = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_TRIES):
            begun = time.perf_counter()
            process = pexpect.spawn(sys.executable, ["-m", "fltui"], cwd=folder, dimensions=(36, 120), timeout=30)
            process.expect("Jobs")
            frames.append(time.perf_counter() - begun)
            process.send("q")
            process.expect(pexpect.EOF)
            process.close()
            begun = time.perf_counter()
            pexpect.run(f"{sys.executable} -c pass")
            floors.append(time.perf_counter() - begun)
    return {
        "first_frame_median_s": statistics.median(frames),
        "first_frame_worst_s": max(frames),
        "interpreter_median_s": statistics.median(floors),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the flood of log lines (default: 60)")
    options = parser.parse_args()
    found: dict[str, float] = {}
    for measure in (first_frame, console_journal.measure, console_matrix.measure, console_sites.measure):
        found |= measure()
    found |= console_log.measure(options.seconds)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:32} {value:14.4f}")


if __name__ == "__main__":
    main()
