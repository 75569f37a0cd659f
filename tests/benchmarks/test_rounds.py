"""The times of rounds, from the starts that a journal has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.rounds import TINY, ran, starts_in, times_of, write_job
from fltui.job.folder import load_job


def test_times_are_in_milliseconds() -> None:
    times = times_of([number / 1000 for number in range(200, 0, -1)])
    assert (times.median_ms, times.p99_ms) == pytest.approx((100.5, 199.0))


def test_one_round_is_its_own_median() -> None:
    times = times_of([0.25])
    assert (times.median_ms, times.p99_ms) == (250.0, 250.0)


def test_the_first_round_and_the_last_are_not_measured() -> None:
    run = ran(100.0, [102.0, 105.0, 106.0, 108.0])
    assert (run.start_s, run.first_s, run.rounds_s) == (2.0, 3.0, [1.0, 2.0])


def test_a_run_that_did_not_begin_has_no_rounds(tmp_path: Path) -> None:
    assert starts_in(tmp_path) == []


def test_a_job_of_so_many_sites_and_rounds(tmp_path: Path) -> None:
    job = write_job(tmp_path, TINY, sites=8, rounds=7, gate=tmp_path / "a gate")
    assert job.command[job.command.index("--sites") + 1] == "8"
    assert "--keep-models" not in job.command
    read = load_job(tmp_path / "job" / "measured").with_sites(8)
    assert len(read.sites) == 8
    assert read.app("site-1").executor.arguments() == [str(tmp_path / "a gate")]
    assert np.array_equal(np.load(tmp_path / "start.npy"), np.arange(1, 10, dtype=np.float32).reshape(3, 3))


def test_a_large_model_is_kept_only_while_it_is_the_newest(tmp_path: Path) -> None:
    job = write_job(tmp_path, 1, sites=2, rounds=7)
    assert job.command[-2:] == ["--keep-models", "1"]
    assert np.load(tmp_path / "start.npy", mmap_mode="r").nbytes == 1_000_000
