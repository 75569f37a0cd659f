"""The sample jobs do what their READMEs say."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fltui.job.find import find_job
from tests.jobs import Done, fltui

SAMPLES = Path(__file__).parents[2] / "sample_jobs"
JOBS = sorted(job.parent.name for job in SAMPLES.glob("*/job.py"))

needs_data = pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn, which has the data, is missing")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_found_and_its_readme_shows_pictures(name: str) -> None:
    assert find_job(SAMPLES / name).name == "job.py"
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (SAMPLES / name / "README.md").read_text())
    assert pictures
    assert all((SAMPLES / name / picture).is_file() for picture in pictures)


def run(folder: Path, name: str) -> Done:
    done = fltui(folder, "run", SAMPLES / name, "--json")
    assert done.code == 0, done.err
    return done


def compare(folder: Path, name: str, *arguments: str) -> dict[str, list[str]]:
    """The table that ``compare.py`` prints, by its first column; it draws a line for each run, too."""
    command: list[str | Path] = [
        sys.executable,
        SAMPLES / name / "compare.py",
        "--workspace",
        folder,
        "--plot",
        folder / "x.svg",
    ]
    process = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=100, check=True)
    head = process.stdout.rindex("\nalgorithm " if name == "digits-softmax" else "\naggregator ")
    rows = [line.split() for line in process.stdout[head:].splitlines()[2:]]
    assert (folder / "x.svg").read_text().count("<polyline") == len(list((folder / "runs").iterdir()))
    return {row[0]: row[1:] for row in rows}


def percent(cell: str) -> float:
    """``95.3%``."""
    return float(cell.removesuffix("%"))


def matrix(run_dir: Path) -> dict[str, list[float]]:
    """``cross_site.csv``, by model."""
    with (run_dir / "cross_site.csv").open(newline="") as file:
        return {row[1]: [float(value) for value in row[2:]] for row in list(csv.reader(file))[1:]}


def test_three_sites_in_turn_each_add_their_own(tmp_path: Path) -> None:
    done = run(tmp_path, "hello-cyclic")
    asked = [list(event["weights"]) for event in done.of("round_finished")]
    assert asked == [["site-0"], ["site-1"], ["site-2"]] * 2
    np.testing.assert_array_equal(done.model(), np.arange(1, 10).reshape(3, 3) + 222)


def test_every_model_is_best_where_it_was_trained(tmp_path: Path) -> None:
    done = run(tmp_path, "hello-cross-val")
    measured = matrix(Path(done.last["run_dir"]))
    models = ["site-0", "site-1", "site-2", "global"]
    assert list(measured) == models
    for place, site in enumerate(models[:3]):
        assert min(models[:3], key=lambda model: measured[model][place]) == site
    assert sum(measured["global"]) <= min(sum(measured[site]) for site in models[:3])


@needs_data
def test_hospitals_stop_early_and_gain_by_training_together(tmp_path: Path) -> None:
    done = run(tmp_path, "breast-cancer-mlp")
    (stopped,) = done.of("workflow_finished")
    assert "has not become better for 3 rounds" in stopped["reason"]
    measured = matrix(Path(done.last["run_dir"]))
    assert len(measured) == 5
    assert all(0.95 < value <= 1 for value in measured["global"])
    assert np.mean(measured["global"]) > max(np.mean(measured[f"hospital-{i}"]) for i in range(4))


@needs_data
def test_averaging_comes_close_to_pooled_data(tmp_path: Path) -> None:
    table = compare(tmp_path, "digits-softmax", "--algorithms", "pooled", "fedavg")
    pooled, fedavg = (percent(table[name][2]) for name in ("pooled", "fedavg"))
    assert pooled > 95
    assert fedavg >= pooled - 2


@needs_data
def test_the_mean_fails_where_robust_aggregators_hold(tmp_path: Path) -> None:
    table = compare(tmp_path, "byzantine", "--attacks", "sign-flip")
    undisturbed, mean = map(percent, table.pop("mean"))
    assert undisturbed > 90
    assert mean < 20
    assert table.keys() == {"median", "trimmed-mean", "geometric-median", "krum", "multi-krum"}
    assert all(percent(cells[-1]) >= undisturbed - 3 for cells in table.values()), table


@needs_data
@pytest.mark.skipif(find_spec("dp_accounting") is None, reason="dp-accounting is missing")
def test_means_come_out_with_noise_and_what_it_spends(tmp_path: Path) -> None:
    done = run(tmp_path, "private-mean")
    assert [event["epsilon"] for event in done.of("privacy_spent")] == pytest.approx([1.013, 1.478], abs=1e-3)
    true = np.array([14.134, 19.295, 0.0963])
    off = np.abs(done.model("mean") / true - 1)
    assert (off > 0.001).all()
    assert (off < 0.1).all()


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is here")
def test_without_pytorch_its_job_says_what_is_missing(tmp_path: Path) -> None:
    done = fltui(tmp_path, "run", SAMPLES / "hello-pt")
    assert done.code == 2
    assert "hello-pt needs PyTorch, which is not installed here: pip install torch" in done.err
    assert not (tmp_path / "runs").exists()


@needs_data
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is missing")
def test_a_network_of_pytorch_learns(tmp_path: Path) -> None:
    done = run(tmp_path, "hello-pt")
    assert done.last["metrics"]["accuracy"] > 0.9
