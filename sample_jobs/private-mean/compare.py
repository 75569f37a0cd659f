"""Run the job without noise, then with more and more of it; print the epsilon spent and the errors, and draw these.

python sample_jobs/private-mean/compare.py
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path

from job import BOUNDS, statistics_job

PLOT = Path(__file__).parent.parent / "plot.py"
NOISE = (1.0, 2.0, 4.0, 8.0)


def means(run: Path) -> dict[str, float]:
    """The mean of each feature that a run has found."""
    with (run / "statistics.csv").open(encoding="utf-8", newline="") as file:
        return {row["feature"]: float(row["mean"]) for row in csv.DictReader(file)}


def spent(run: Path) -> float:
    """The epsilon that a run has spent in all."""
    events = map(json.loads, (run / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    return [event["epsilon"] for event in events if event["event"] == "privacy_spent"][-1]


def main() -> None:
    """Run, print, draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2, help="runs for each noise multiplier")
    parser.add_argument("--workspace", type=Path, default=Path(), help="where runs/ and exchange/ are")
    parser.add_argument("--plot", type=Path, help="an SVG to write")
    a = parser.parse_args()

    def run(noise: float | None, seed: int) -> Path:
        before = set(a.workspace.glob("runs/private-mean-*"))
        statistics_job(noise, seed).simulator_run(a.workspace)
        (new,) = set(a.workspace.glob("runs/private-mean-*")) - before
        return new

    true = means(run(None, 0))
    errors: dict[float, dict[str, float]] = {0.0: dict.fromkeys(BOUNDS, 0.0)}
    table = [f"{'noise':>5} {'epsilon':>8}", f"{'none':>5} {'':>8}"]
    for noise in NOISE:
        runs = [run(noise, seed) for seed in range(a.seeds)]
        found = [means(one) for one in runs]
        errors[noise] = {
            name: statistics.mean(100 * abs(one[name] / true[name] - 1) for one in found) for name in BOUNDS
        }
        table.append(f"{noise:5g} {spent(runs[0]):8.2f}")
    print("\nhow far each mean is off, in percent (mean of the runs):\n")
    cells = [
        [f"{name:>10}" for name in BOUNDS],
        *([f"{one[name]:10.2f}" for name in BOUNDS] for one in errors.values()),
    ]
    for line, row in zip(table, cells, strict=True):
        print(line, *row)
    if a.plot:
        numbers = a.plot.with_suffix(".csv")
        rows = [["noise multiplier", *BOUNDS], *([noise, *one.values()] for noise, one in errors.items())]
        numbers.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
        title = "How far each mean is off, in percent"
        subprocess.run([sys.executable, PLOT, "table", numbers, "--out", a.plot, "--title", title], check=True)
        numbers.unlink()


if __name__ == "__main__":
    main()
