"""Run the job without an attack, then with every aggregator under each attack; print and draw. The runs stay in runs/.

python sample_jobs/byzantine/compare.py
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

from job import AGGREGATORS, ATTACKS, byzantine_job

PLOT = Path(__file__).parent.parent / "plot.py"


def last_accuracy(run: Path) -> float:
    """Accuracy of the global model that entered the last round."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "accuracy" and not row["site"]]
    return float(rows[-1]["value"])


def main() -> None:
    """Run, print, draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=["huge", "sign-flip"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--workspace", type=Path, default=Path(), help="where runs/ and exchange/ are")
    parser.add_argument("--plot", type=Path, help="an SVG to write")
    a = parser.parse_args()
    runs: dict[tuple[str, str], Path] = {}
    began = time.monotonic()
    for name, attack in [("mean", "none"), *((name, attack) for attack in a.attacks for name in AGGREGATORS)]:
        before = set(a.workspace.glob("runs/byzantine-*"))
        byzantine_job(name, attack, a.rounds).simulator_run(a.workspace)
        (runs[name, attack],) = set(a.workspace.glob("runs/byzantine-*")) - before
    print(f"\n{len(runs)} runs in {time.monotonic() - began:.0f} s; accuracy at the end:\n")
    attacks = ["none", *a.attacks]
    print(f"{'aggregator':18}", *(f"{attack:>9}" for attack in attacks))
    for name in AGGREGATORS:
        cells = [
            f"{last_accuracy(runs[name, attack]):9.1%}" if (name, attack) in runs else " " * 8 + "-"
            for attack in attacks
        ]
        print(f"{name:18}", *cells)
    if a.plot:
        shown = {f"{name}, no attack" if attack == "none" else name: run for (name, attack), run in runs.items()}
        named = [f"{name}={run}" for name, run in shown.items()]
        title = f"Accuracy on test images, 3 of 10 sites attack: {a.attacks[-1]}"
        options = ["--out", a.plot, "--title", title, "--low", "0", "--high", "1"]
        subprocess.run([sys.executable, PLOT, "lines", *named, *options], check=True)


if __name__ == "__main__":
    main()
