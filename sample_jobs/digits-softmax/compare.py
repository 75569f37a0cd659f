"""Run the job with every algorithm, print what each reached, and draw it. The runs stay in runs/.

python sample_jobs/digits-softmax/compare.py
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

from job import ALGORITHMS, digits_job

PLOT = Path(__file__).parent.parent / "plot.py"


def accuracies(run: Path) -> list[float]:
    """Accuracy of the global model that entered each round."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "accuracy" and not row["site"]]
    return [float(row["value"]) for row in rows]


def main() -> None:
    """Run, print, draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--algorithms", nargs="+", choices=tuple(ALGORITHMS), default=tuple(ALGORITHMS))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--workspace", type=Path, default=Path(), help="where runs/ and exchange/ are")
    parser.add_argument("--plot", type=Path, help="an SVG to write")
    a = parser.parse_args()
    runs = {}
    table = [f"{'algorithm':10} {'round 2':>8} {'round 5':>8} {'last':>8} {'seconds':>8}"]
    for algorithm in a.algorithms:
        began, before = time.monotonic(), set(a.workspace.glob("runs/digits-*"))
        digits_job(algorithm, a.rounds).simulator_run(a.workspace)
        (runs[algorithm],) = set(a.workspace.glob("runs/digits-*")) - before
        reached = [f"{accuracy:8.1%}" for accuracy in accuracies(runs[algorithm])]
        table.append(f"{algorithm:10} {reached[2]} {reached[5]} {reached[-1]} {time.monotonic() - began:8.1f}")
    print("\n".join(table))
    if a.plot:
        named = [f"{algorithm}={run}" for algorithm, run in runs.items()]
        title = "Accuracy on test images, 10 sites with Dirichlet(0.3) label skew"
        options = ["--out", a.plot, "--title", title, "--low", "0.7", "--high", "1"]
        subprocess.run([sys.executable, PLOT, "lines", *named, *options], check=True)


if __name__ == "__main__":
    main()
