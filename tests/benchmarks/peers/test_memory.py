"""What is read from ``/proc``."""

from __future__ import annotations

import pytest

from benchmarks.peers.machine import parse_processor
from benchmarks.peers.memory import descendants, parse_parent, parse_rollup

_ROLLUP = """\
55a0c0000000-7ffd5b5f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               13500 kB
Pss:                9250 kB
Pss_Dirty:          8000 kB
Shared_Clean:       5000 kB
"""


def test_rss_and_pss_are_in_bytes_and_no_other_line_is_taken() -> None:
    assert parse_rollup(_ROLLUP) == (13_500 * 1024, 9_250 * 1024)


def test_a_process_without_memory_counts_as_none() -> None:
    assert parse_rollup("") == (0, 0)


@pytest.mark.parametrize("name", ["python", "a b", "ray::Actor", "odd) S 9 ("])
def test_the_parent_is_found_behind_any_name(name: str) -> None:
    assert parse_parent(f"41 ({name}) S 7 41 41 0 -1 4194560 1 2 3") == 7


def test_descendants_are_all_below_and_not_the_root_or_its_siblings() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 10, 13: 12, 20: 1, 21: 20}
    assert descendants(10, parents) == {11, 12, 13}


def test_a_process_without_children_has_no_descendants() -> None:
    assert descendants(21, {20: 1, 21: 20}) == set()


def test_a_circle_of_processes_that_were_read_at_different_times_ends() -> None:
    assert descendants(1, {2: 1, 3: 2, 1: 3}) == {1, 2, 3}


def test_the_processor_is_the_first_one_named() -> None:
    assert parse_processor("processor\t: 0\nmodel name\t: Fast 9\nprocessor\t: 1\nmodel name\t: Slow 1\n") == "Fast 9"
    assert parse_processor("processor\t: 0\nBogoMIPS\t: 50.00\n") == ""
