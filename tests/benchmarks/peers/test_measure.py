"""The times of rounds, and what is said of a final array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.measure import hello_model, large_model, parse_notes, problem_of_final, round_seconds, shown
from benchmarks.peers.system import Job

_JOB = Job(["python"], "runs/*/final.npy")


def test_a_round_starts_when_the_first_site_has_it() -> None:
    assert parse_notes("0 10.5\n0 10.25\n1 12.0\n2 13.0\n1 11.5\n2 13.5\n") == [10.25, 11.5, 13.0]


def test_rounds_may_be_numbered_from_one_and_above_nine() -> None:
    notes = "".join(f"{number} {number}.5\n" for number in range(1, 12))
    assert parse_notes(notes) == [number + 0.5 for number in range(1, 12)]


def test_the_first_round_is_not_measured() -> None:
    assert round_seconds([1.0, 5.0, 6.0, 8.0]) == [1.0, 2.0]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "start.npy"
    np.save(path, hello_model())
    return path


def _final(tmp_path: Path, array: object, run: str = "one") -> None:
    folder = tmp_path / "runs" / run
    folder.mkdir(parents=True)
    np.save(folder / "final.npy", np.asarray(array))


def test_the_right_array_is_no_problem(tmp_path: Path, start: Path) -> None:
    _final(tmp_path, hello_model() + 3)
    assert problem_of_final(tmp_path, _JOB, start, 3) == ""


def test_a_wrong_element_is_named(tmp_path: Path, start: Path) -> None:
    array = hello_model() + 3
    array[1, 2] = np.nan
    _final(tmp_path, array)
    assert problem_of_final(tmp_path, _JOB, start, 3) == "it answered wrongly: element 5 is nan, expected 9.0"


def test_one_round_too_few_is_wrong(tmp_path: Path, start: Path) -> None:
    _final(tmp_path, hello_model() + 2)
    assert "element 0 is 3.0, expected 4.0" in problem_of_final(tmp_path, _JOB, start, 3)


def test_another_shape_is_wrong(tmp_path: Path, start: Path) -> None:
    _final(tmp_path, np.zeros((1, 3), np.float32))
    assert (
        problem_of_final(tmp_path, _JOB, start, 3) == "it answered wrongly: an array of shape (1, 3), expected (3, 3)"
    )


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_exactly_one_final_array(tmp_path: Path, start: Path, count: int) -> None:
    for number in range(count):
        _final(tmp_path, hello_model() + 3, run=f"run-{number}")
    assert problem_of_final(tmp_path, _JOB, start, 3).startswith(f"it ended without an error, but {count} files match")


def test_a_large_model_has_the_size_it_is_named_by() -> None:
    assert large_model(2).nbytes == 2_000_000
    assert large_model(2).dtype == np.float32


def test_a_command_is_shown_without_the_places_of_the_machine(tmp_path: Path, start: Path) -> None:
    script = Path(__file__).resolve().parents[3] / "benchmarks" / "peers" / "scripts" / "flwr_app.py"
    command = ["/opt/environment/bin/python", str(script), str(start), "8", str(tmp_path / "notes")]
    assert shown(command, tmp_path, start) == (
        "python benchmarks/peers/scripts/flwr_app.py <model>.npy 8 <folder>/notes"
    )
