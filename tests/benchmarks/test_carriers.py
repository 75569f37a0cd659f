"""What the benchmark of carriers says where it cannot measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.carriers import measure
from benchmarks.ways import Way
from tests.engines.federation import Federation
from tests.engines.programs import program


@contextmanager
def by_nothing(folder: Path) -> Iterator[Federation]:
    """A way for which a program is missing."""
    yield Federation(folder / program("fltui-has-no-such-program"), {})


def test_a_missing_program_is_a_problem_of_its_way_alone() -> None:
    found = measure("nothing", Way("none", 2, by_nothing), 2)
    assert found.median_s is None
    assert found.problem.startswith("fltui-has-no-such-program is not installed here")
