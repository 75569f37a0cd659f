"""Ratios and tables."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.peers.machine import Machine
from benchmarks.peers.memory import Peak
from benchmarks.peers.report import Report, Run, compare, ratio, tables

_MACHINE = Machine(2, "Fast 9", 24.0, "Linux 6", "ext4", "3.11.7")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 1.0, 1.0], [10.0, 20.0, 5.0], 0.1),
        ([1.0, None, 3.0], [10.0, 20.0, 10.0], 0.2),
        ([1.0, 2.0], [None, 4.0], 0.5),
        ([1.0], [None], None),
        ([None, 1.0], [1.0, None], None),
    ],
)
def test_the_ratio_is_the_median_of_the_repeats_in_which_both_ran(
    ours: list[float | None], theirs: list[float | None], expected: float | None
) -> None:
    found = ratio(ours, theirs)
    assert found is None if expected is None else found == pytest.approx(expected)


def _report() -> Report:
    hello = compare("hello", {"fltui": [Run(0.5, command="fltui run")], "slow": [Run(15.0, command="slow run")]})
    wrong = Run(None, "it answered wrongly: element 0 is 3.0, expected 4.0", peak=Peak(9000, 9000, 3))
    runs = {
        "fltui": [Run(0.05), Run(0.07)],
        "slow": [Run(2.0), wrong],
        "broken": [wrong, wrong],
    }
    sampled = {"fltui": Run(0.09, peak=Peak(100, 61, 9)), "slow": Run(9.0, peak=Peak(800, 400, 70)), "broken": wrong}
    versions = {"fltui": "1", "slow": "2", "broken": "3"}
    return Report(
        "2020-01-02", _MACHINE, 2, 8, versions, {"gone": "no index"}, hello, [compare("10 MB", runs, sampled)]
    )


def test_neither_a_wrong_answer_nor_a_sampled_run_counts_in_a_time() -> None:
    ours, slow, broken = _report().sizes[0].rows
    assert [row.median_s for row in (ours, slow, broken)] == [pytest.approx(0.06), 2.0, None]
    assert [row.ratio for row in (ours, slow, broken)] == [1.0, pytest.approx(0.025), None]


def test_the_table_says_what_was_measured_and_what_went_wrong() -> None:
    lines = [" ".join(line.split()) for line in tables(_report()).splitlines()]
    assert "slow 15.000 s 1/30.0" in lines
    assert "10 MB fltui 60.00 ms 1.00 100 MB 61 MB" in lines
    assert "10 MB slow 2.000 s 1/40.0 800 MB 400 MB" in lines
    assert "10 MB broken failed" in lines
    assert "gone was not measured: no index" in lines
    assert "10 MB, broken, run for memory: it answered wrongly: element 0 is 3.0, expected 4.0" in lines
    assert "10 MB, slow, run 2: it answered wrongly: element 0 is 3.0, expected 4.0" in lines


def test_the_report_survives_json() -> None:
    report = _report()
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
