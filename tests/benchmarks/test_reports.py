"""What the reports make of times and memory, and how people see them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks import aggregation, latency, sites, startup, throughput
from benchmarks.command import Heading
from benchmarks.peers.machine import Machine
from benchmarks.peers.memory import Peak
from benchmarks.rounds import Ran
from fltui.errors import BadInputError

_HEADING = Heading("2026-01-31", Machine(2, "A chip", 24.5, "Linux 6.1", "ext4", "3.11.7"), "0.1.0")


def test_the_heading_names_machine_and_versions() -> None:
    expected = "fltui 0.1.0, 2026-01-31, 2 cores (A chip), 24.5 GB, Linux 6.1, ext4, Python 3.11.7"
    assert _HEADING.line() == expected


def _latency() -> latency.Report:
    pairs = [latency.pair_of([0.002, 0.001, 0.003], [ours]) for ours in (0.003, 0.008, 0.004)]
    levels = [latency.level_of(2, 200, pairs), latency.Level(128, 25, problem="it hung")]
    return latency.Report(_HEADING, "floor", "fltui", levels)


def test_the_ratio_of_latencies_is_the_median_of_the_pairs() -> None:
    level = _latency().levels[0]
    assert [pair.ratio for pair in level.pairs] == pytest.approx([1.5, 4.0, 2.0])
    assert (level.base_ms, level.measured_ms, level.ratio) == pytest.approx((2.0, 4.0, 2.0))


def test_the_table_of_latencies() -> None:
    table = latency.table(_latency())
    assert "    2    200      2         2.000     3.00         8.000     8.00    4.00" in table.splitlines()
    assert "    2    200 median         2.000                  4.000             2.00" in table.splitlines()
    assert table.endswith("what went wrong\n128 sites: it hung")


@pytest.mark.parametrize(
    ("count", "console", "rounds"),
    [(2, False, 200), (16, False, 200), (32, False, 100), (128, False, 25), (1000, False, 25), (2, True, 1000)],
)
def test_many_sites_have_fewer_rounds(count: int, console: bool, rounds: int) -> None:
    assert latency.default_rounds(count, console) == rounds


def _throughput() -> throughput.Report:
    pairs = [throughput.pair_of([0.1, 0.2, 0.3], [ours, ours, 9.0]) for ours in (0.3, 0.5, 0.4)]
    idle, peak = Peak(120.0, 60.0, 20), Peak(700.0, 156.0, 40)
    cases = [throughput.case_of(100, 2, pairs, peak, idle), throughput.Case(500, 2, pairs[:1], problem="no room")]
    return throughput.Report(_HEADING, 3, {2: idle}, cases)


def test_memory_is_told_over_that_with_a_tiny_model() -> None:
    case = _throughput().cases[0]
    assert case.over_idle_mb == 96.0
    assert (case.floor_s, case.fltui_s, case.ratio) == pytest.approx((0.2, 0.4, 2.0))


def test_the_table_of_throughput() -> None:
    lines = throughput.table(_throughput()).splitlines()
    assert "  100 MB     2      1    0.2000    0.3000   1.50" in lines
    assert "  100 MB     2 median    0.2000    0.4000   2.00     700     156        96" in lines
    assert "  500 MB     2      1    0.2000    0.3000   1.50" in lines
    assert lines[-1] == "500 MB, 2 sites: no room"


def test_cases_are_sizes_and_sites() -> None:
    assert throughput.cases("10x2,100x8") == [(10, 2), (100, 8)]


def _sites() -> sites.Report:
    few = sites.row_of(10, [Ran(0.5, 1.0, [0.02, 0.03, 0.02])], Peak(300.0, 60.0, 9), None)
    many = sites.row_of(100, [Ran(2.0, 3.0, [0.3]), Ran(2.5, 3.5, [0.5])], Peak(2500.0, 60.0, 9), few)
    return sites.Report(_HEADING, 2, 3, [few, many, sites.Row(1000, problem="it did not end within 120 s")])


def test_growth_is_the_cost_per_site_to_the_one_before() -> None:
    few, many, _ = _sites().rows
    assert few.growth is None
    assert (few.per_site_ms, many.per_site_ms, many.growth) == pytest.approx((2.0, 4.0, 2.0))
    assert (few.per_site_mb, many.per_site_mb) == pytest.approx((30.0, 25.0))


def test_the_table_of_sites() -> None:
    lines = sites.table(_sites()).splitlines()
    assert "   10    0.50 s    1.00 s   0.020 s     2.00 ms           300 MB    30.0 MB" in lines
    assert "  100    2.25 s    3.25 s   0.400 s     4.00 ms   2.00   2500 MB    25.0 MB" in lines
    assert lines[-1] == "1000 sites: it did not end within 120 s"


def _startup() -> startup.Report:
    wait = startup.wait_of("hello job", "benchmarks.floor 3 2", [0.5, 0.5, 0.75], [1.0, 1.5, 1.0])
    return startup.Report(_HEADING, 3, [wait, startup.Wait("first frame", "nothing", problem="it showed nothing")])


def test_what_is_beyond_the_floor_is_taken_pair_by_pair() -> None:
    wait = _startup().waits[0]
    assert (wait.floor_median_s, wait.fltui_median_s, wait.over_s) == (0.5, 1.0, 0.5)


def test_the_table_of_waits() -> None:
    lines = startup.table(_startup()).splitlines()
    assert "hello job            benchmarks.floor 3 2                 500.0    1000.0     500.0" in lines
    assert lines[-1] == "first frame: it showed nothing"


def _aggregation() -> aggregation.Report:
    found: dict[str, aggregation.Measured | str] = {
        "WeightedMean": aggregation.Measured([0.5, 0.4, 0.9], 5.0),
        "Median": aggregation.Measured([1.0, 1.25, 1.0], 30.0),
        "Bulyan": "it needs more sites",
    }
    return aggregation.Report(_HEADING, 3, [aggregation.Case(1, 32, aggregation.rows_of(found))])


def test_aggregators_are_compared_with_the_mean() -> None:
    mean, median, bulyan = _aggregation().cases[0].rows
    assert (mean.ratio, median.ratio, bulyan.ratio) == (1.0, 2.0, None)


def test_the_table_of_aggregators() -> None:
    lines = aggregation.table(_aggregation()).splitlines()
    assert "   1 M    32 Median            1.0000   2.00        30" in lines
    assert lines[-1] == "1 M, 32 sites, Bulyan: it needs more sites"


@pytest.mark.parametrize("name", ["Bulyan", "FedAdam"])
def test_an_aggregator_is_measured_on_files(tmp_path: Path, name: str) -> None:
    aggregation.make_models(tmp_path, 1000, 15)
    found = aggregation.run_one(name, tmp_path, 2)
    assert len(found.seconds) == 2
    assert (tmp_path / "models/round-0001/w.npy").stat().st_size == 4128


def test_too_few_sites_are_named(tmp_path: Path) -> None:
    aggregation.make_models(tmp_path, 10, 4)
    with pytest.raises(BadInputError, match=r"Krum\(f=3\) needs 9 sites, there are 4"):
        aggregation.run_one("Krum", tmp_path, 1)


@pytest.mark.parametrize("report", [_latency(), _throughput(), _sites(), _startup(), _aggregation()])
def test_every_report_survives_json(report: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
