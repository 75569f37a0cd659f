"""Federated statistics against NumPy on all rows together, which no server has."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fltui.aggregation.privacy import GaussianNoise
from fltui.client import statistics
from fltui.errors import BadInputError, RunFailedError
from fltui.model import FLModel, Params, ParamsType, as_params
from fltui.workflows.statistics import TABLE, Statistics, quantile
from tests.workflows.hall import Array, Hall, Reply, Site

Table = Mapping[str, Sequence[float]]
"""A site's rows: feature to values."""


class Wards(Hall):
    """A hall whose sites answer as scripts do.

    Attributes:
        absent: site to the round in which it does not answer.
    """

    def __init__(self, folder: Path, tables: Mapping[str, Table], kind: ParamsType = ParamsType.FULL) -> None:
        super().__init__(folder, {name: self.site(name, table, kind) for name, table in tables.items()})
        self.absent: dict[str, int] = {}

    def site(self, name: str, table: Table, kind: ParamsType) -> Site:
        def answer(number: int, params: Params) -> Reply | None:
            if self.absent.get(name) == number:
                return None
            meta = json.loads(json.dumps(dict(self.requests[-1].meta)))
            assert not any(array.any() for array in params.values())
            with patch.object(statistics, "get_site_name", return_value=name):
                told = statistics.answer(FLModel(params=params, current_round=number, meta=meta), table)
            return Reply(as_params(told.params), weight=0.0, params_type=kind)

        return answer

    def found(self) -> Params:
        """What comes of it."""
        return self.model(self.finished[-1].request.round + 1)


async def ask(folder: Path, workflow: Statistics, tables: Mapping[str, Table], **rest: Any) -> Wards:
    hall = Wards(folder / "hall", tables, **rest)
    await workflow.run(hall)
    return hall


def exact(features: tuple[str, ...], num_clients: int, **rest: Any) -> Statistics:
    """Statistics whose sites may tell their extremes."""
    return Statistics(features, num_clients, exact_extremes=True, **rest)


def pooled(tables: Mapping[str, Table], feature: str) -> Array:
    rows = np.concatenate([np.asarray(table[feature], np.float64) for table in tables.values()])
    return np.asarray(rows[~np.isnan(rows)])


def in_large_bins(
    tables: Mapping[str, Table], feature: str, workflow: Statistics, bounds: tuple[float, float]
) -> tuple[Array, Array]:
    """The counts of bins in which a site has enough rows, and these rows."""
    counts, rows = np.zeros(workflow.bins), [np.empty(0)]
    for site in tables:
        values = pooled({site: tables[site]}, feature)
        own, edges = np.histogram(values, workflow.bins, bounds)
        enough = own >= workflow.min_count
        counts += np.where(enough, own, 0)
        among = [np.histogram(value, edges)[0].astype(bool) & enough for value in values]
        rows.append(values[[one.any() for one in among]] if len(values) else values)
    return counts, np.concatenate(rows)


def check(found: Params, tables: Mapping[str, Table], workflow: Statistics) -> None:
    """Compare all that was found with NumPy."""
    for place, feature in enumerate(workflow.features):
        rows = pooled(tables, feature)
        assert found["count"][place] == len(rows)
        if len(rows) < workflow.min_count:
            assert np.isnan([found[name][place] for name in ("mean", "variance", "standard_deviation")]).all()
            assert np.isnan(found["quantiles"][place]).all()
            continue
        low, high = rows.min(), rows.max()
        scale = np.abs(rows).max() or 1
        np.testing.assert_allclose(found["mean"][place], rows.mean(), rtol=0, atol=1e-12 * scale)
        np.testing.assert_allclose(found["variance"][place], rows.var(), rtol=1e-9, atol=1e-20 * scale**2)
        np.testing.assert_allclose(found["standard_deviation"][place], rows.std(), rtol=1e-9, atol=1e-10 * scale)
        edges = np.histogram_bin_edges(rows, workflow.bins, (low, high))
        counts, rows = in_large_bins(tables, feature, workflow, (low, high))
        assert found["histogram"][place].tolist() == counts.tolist()
        assert found["binned"][place] == counts.sum() == len(rows)
        if not len(rows):
            assert np.isnan(found["quantiles"][place]).all()
            continue
        if low == high:
            assert (found["edges"][place] == low).all()
            assert (found["quantiles"][place] == low).all()
            continue
        assert found["edges"][place].tolist() == edges.tolist()
        width = (high - low) / workflow.bins
        for one, value in zip(workflow.quantiles, found["quantiles"][place], strict=True):
            of_rows = np.quantile(rows, one, method="inverted_cdf")
            assert abs(value - of_rows) <= width * (1 + 1e-9)


values = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, 0.0, 1.0, 1e9 + 1, -1e-300]))
columns = st.lists(values, max_size=25)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(columns, columns), min_size=1), st.integers(1, 9))
async def test_what_is_found_is_what_all_rows_together_have(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, tuple[list[float], list[float]]], bins: int
) -> None:
    tables = {site: {"x": x, "y": y} for site, (x, y) in rows.items()}
    quantiles = (0.0, 0.1, 0.5, 0.99, 1.0)
    workflow = exact(("x", "y"), len(tables), bins=bins, quantiles=quantiles, min_count=1)
    folder = tmp_path_factory.mktemp("run")
    if all(len(pooled(tables, feature)) == 0 for feature in "xy"):
        with pytest.raises(RunFailedError, match="round 0: no feature has 1 values in all"):
            await ask(folder, workflow, tables)
        return
    check((await ask(folder, workflow, tables)).found(), tables, workflow)


def cohort(seed: int, size: int, shift: float = 0.0) -> dict[str, list[float]]:
    draw = np.random.default_rng(seed)
    return {"age": draw.normal(50 + shift, 12, size).tolist(), "weight": draw.gamma(9, 8, size).tolist()}


COHORTS = {"a": cohort(1, 300), "b": cohort(2, 40, 8.0), "c": cohort(3, 11, -30.0)}
FEATURES = ("age", "weight")


async def test_variances_of_large_numbers_lose_no_digits(tmp_path: Path) -> None:
    tables = {"a": {"x": (1e9 + np.arange(20)).tolist()}, "b": {"x": (1e9 + np.arange(20, 50)).tolist()}}
    found = (await ask(tmp_path, exact(("x",), 2), tables)).found()
    assert found["variance"][0] == pytest.approx(np.arange(50).var(), rel=1e-12)


async def test_differences_are_taken_as_what_they_differ_from_is_zero(tmp_path: Path) -> None:
    workflow = exact(FEATURES, 3)
    hall = await ask(tmp_path, workflow, COHORTS, kind=ParamsType.DIFF)
    check(hall.found(), COHORTS, workflow)


async def test_no_row_leaves_a_site(tmp_path: Path) -> None:
    hall = await ask(tmp_path, exact(FEATURES, 3, bins=7), COHORTS)
    shapes = [{name: entry.shape for name, entry in one.answers[0].entries.items()} for one in hall.finished]
    assert shapes == [
        {"count": [2], "sum": [2], "least": [2], "greatest": [2]},
        {"squares": [2], "histogram": [2, 7], "count": [2]},
    ]
    assert {str(entry.dtype) for one in hall.finished for a in one.answers for entry in a.entries.values()} == {"<f8"}


async def test_every_site_counts_by_its_rows_and_not_by_what_it_claims(tmp_path: Path) -> None:
    hall = await ask(tmp_path, exact(FEATURES, 3), COHORTS)
    assert [one.weights for one in hall.finished] == [dict.fromkeys("abc", 1.0)] * 2


async def test_a_site_with_few_rows_is_not_among_those_that_count(tmp_path: Path) -> None:
    workflow = exact(FEATURES, 3, min_count=12)
    hall = await ask(tmp_path, workflow, COHORTS)
    check(hall.found(), {site: COHORTS[site] for site in "ab"}, workflow)


async def test_of_a_feature_with_few_rows_in_all_nothing_is_told(tmp_path: Path) -> None:
    tables = {site: {**table, "rare": [1.0, 2.0, 3.0] + [math.nan] * 9} for site, table in COHORTS.items()}
    workflow = exact((*FEATURES, "rare"), 3, min_count=4)
    found = (await ask(tmp_path, workflow, tables)).found()
    assert found["count"][2] == 0
    assert not found["histogram"][2].any()
    assert np.isnan(found["mean"][2])
    check({name: array[:2] for name, array in found.items()}, COHORTS, exact(FEATURES, 3, min_count=4))


async def test_a_sum_over_several_sites_is_guarded_too(tmp_path: Path) -> None:
    """Sites that know no better tell of three rows each; together they are still too few."""
    tables: dict[str, Table] = {site: {"x": [1.0, 2.0, 3.0], "y": list(range(30))} for site in "ab"}
    hall = Wards(tmp_path / "hall", tables)
    workflow = exact(("x", "y"), 2)

    def careless(site: str) -> Site:
        def answer(number: int, params: Params) -> Reply:
            meta = json.loads(json.dumps(dict(hall.requests[-1].meta)))
            meta["statistics"]["min_count"] = 1
            told = statistics.answer(FLModel(params=params, current_round=number, meta=meta), tables[site])
            return Reply(as_params(told.params))

        return answer

    hall.functions = {site: careless(site) for site in tables}
    await workflow.run(hall)
    found = hall.found()
    assert np.isnan([found["mean"][0], found["variance"][0], *found["quantiles"][0]]).all()
    assert found["mean"][1] == pytest.approx(14.5)


async def test_bounds_that_are_known_keep_the_extremes_at_the_sites(tmp_path: Path) -> None:
    bounds = {"age": (20.0, 80.0)}
    hall = await ask(tmp_path, exact(FEATURES, 3, bounds=bounds), COHORTS)
    for answer in hall.finished[0].answers:
        for name in ("least", "greatest"):
            with answer.open(name) as source:
                told = np.empty(2)
                source.read(0, told)
            assert told[0] == 0.0
            assert told[1] > 0
    found, rows = hall.found(), np.clip(pooled(COHORTS, "age"), 20, 80)
    assert (found["edges"][0, 0], found["edges"][0, -1]) == (20, 80)
    assert found["mean"][0] == pytest.approx(rows.mean())
    assert found["variance"][0] == pytest.approx(rows.var())
    clipped = {site: {"age": np.clip(table["age"], 20, 80).tolist()} for site, table in COHORTS.items()}
    counts, _ = in_large_bins(clipped, "age", Statistics(("age",), bounds=bounds), (20, 80))
    assert found["histogram"][0].tolist() == counts.tolist()


async def test_a_bin_with_few_rows_of_a_site_is_not_told(tmp_path: Path) -> None:
    tables: dict[str, Table] = {"a": {"x": [0.5] * 7 + [2.5] * 3 + [3.5] * 5}, "b": {"x": [1.5] * 5 + [2.5] * 3}}
    workflow = Statistics(("x",), 2, bins=4, bounds={"x": (0, 4)}, min_count=5, quantiles=(0.5, 1.0))
    hall = await ask(tmp_path, workflow, tables)
    found, rows = hall.found(), pooled(tables, "x")
    assert found["histogram"].tolist() == [[7, 5, 0, 5]]
    assert (found["count"].tolist(), found["binned"].tolist()) == ([23], [17])
    assert found["mean"][0] == pytest.approx(rows.mean())
    assert found["variance"][0] == pytest.approx(rows.var())
    assert found["quantiles"].tolist() == [[1.3, 4.0]]
    head, row = hall.tables[TABLE]
    assert dict(zip(head, row, strict=True))["binned"] == 17


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_site_that_answers_one_of_two_rounds_does_not_spoil_the_variance(tmp_path: Path, gone: int) -> None:
    workflow = exact(FEATURES, 3, min_clients=2)
    hall = Wards(tmp_path / "hall", COHORTS)
    hall.absent["b"] = gone
    await workflow.run(hall)
    found = hall.found()
    told = {site: COHORTS[site] for site in ("ac" if gone == 0 else "abc")}
    rest = {site: COHORTS[site] for site in ("abc" if gone == 0 else "ac")}
    for place, feature in enumerate(FEATURES):
        mean = pooled(told, feature).mean()
        assert found["mean"][place] == pytest.approx(mean)
        assert found["variance"][place] == pytest.approx(np.square(pooled(rest, feature) - mean).mean())


async def test_the_table_has_a_row_for_each_feature(tmp_path: Path) -> None:
    hall = await ask(tmp_path, exact(FEATURES, 3, quantiles=(0.5,)), COHORTS)
    head, *rows = hall.tables[TABLE]
    assert head == ["feature", "count", "binned", "mean", "standard_deviation", "low", "high", "quantile 0.5"]
    ages = pooled(COHORTS, "age")
    assert [row[0] for row in rows] == list(FEATURES)
    assert rows[0][1] == 351
    assert rows[0][3:7] == pytest.approx([ages.mean(), ages.std(), ages.min(), ages.max()])


async def test_it_goes_on_after_its_first_round(tmp_path: Path) -> None:
    workflow = exact(FEATURES, 3, start_round=4)
    whole = await ask(tmp_path / "whole", workflow, COHORTS)
    hall = Wards(tmp_path / "hall", COHORTS)
    hall.stop_before = 5
    with pytest.raises(InterruptedError):
        await workflow.run(hall)
    hall.stop_before = None
    await workflow.run(hall)
    assert hall.models.load(6).digest == whole.models.load(6).digest
    assert hall.tables == whole.tables
    assert [(one.round, one.start_round, one.total_rounds) for one in hall.requests] == [(4, 4, 2), (5, 4, 2)]


# Noise.

WIDE = tuple(f"f{number}" for number in range(1500))
BOUNDS = dict.fromkeys(WIDE, (-2.0, 6.0))


async def test_noise_hides_what_a_row_can_change_and_is_told_as_spent(tmp_path: Path) -> None:
    rows = {name: [0.0, 1.0, 5.0, 5.0] for name in WIDE}
    workflow = Statistics(WIDE, 2, bins=2, bounds=BOUNDS, noise_multiplier=0.5, noise_seed=1, min_count=1)
    hall = await ask(tmp_path, workflow, {"a": rows, "b": rows})
    noise, unit = GaussianNoise(0.5), 0.5 * math.sqrt(2 * 1500) * math.sqrt(2)  # of two sites
    found = hall.found()
    errors = math.sqrt(2 * 1500)
    assert abs(found["count"].std() - unit) < 5 * unit / errors
    assert abs(found["count"].mean() - 8) < 5 * unit / math.sqrt(1500)
    assert hall.spent == [(0, noise.epsilon(1), 1e-5), (1, noise.epsilon(2), 1e-5)]
    assert (found["mean"][~np.isnan(found["mean"])] >= -2).all()
    assert np.isnan(found["mean"][found["count"] < 1]).all()
    assert (found["histogram"] >= 0).all()


async def test_with_little_noise_statistics_are_nearly_right(tmp_path: Path) -> None:
    tables = {site: cohort(place, 5000) for place, site in enumerate("ab")}
    bounds = {"age": (0.0, 100.0), "weight": (0.0, 250.0)}
    workflow = exact(FEATURES, 2, bounds=bounds, noise_multiplier=1.0, noise_seed=2)
    found = (await ask(tmp_path, workflow, tables)).found()
    for place, feature in enumerate(FEATURES):
        rows = pooled(tables, feature)
        assert found["mean"][place] == pytest.approx(rows.mean(), rel=0.01)
        assert found["standard_deviation"][place] == pytest.approx(rows.std(), rel=0.05)


# Hostile sites.

odd = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 12.0, -1e280, 1e280, 5e-324, -1e-300, 2.0**53])


@settings(max_examples=50)
@given(
    st.lists(odd, min_size=8, max_size=8),
    st.lists(odd, min_size=8, max_size=8),
    st.sampled_from([None, 1.0]),
    st.integers(0, 2),
)
async def test_no_answer_that_the_store_takes_crashes_it(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[float],
    second: list[float],
    noise: float | None,
    honest: int,
) -> None:
    bounds = {"x": (0.0, 1.0), "y": (0.0, 1.0)} if noise else {}
    workflow = exact(("x", "y"), honest + 2, bins=3, bounds=bounds, noise_multiplier=noise, noise_seed=3)
    tables = {f"honest-{number}": {"x": [0.5] * 20, "y": [0.25] * 20} for number in range(honest)}
    hall = Wards(tmp_path_factory.mktemp("run") / "hall", tables)

    def hostile(number: int, params: Params) -> Reply:
        told = np.array(first if number == 0 else second).reshape(4, 2)
        if number == 0:
            return Reply(dict(zip(("count", "sum", "least", "greatest"), told, strict=True)))
        counted = {} if noise else {"count": told[1]}
        return Reply({"squares": told[0], "histogram": told[1:].T.copy(), **counted}, params_type=ParamsType.DIFF)

    hall.functions |= {"hostile-1": hostile, "hostile-2": hostile}
    try:
        await workflow.run(hall)
    except RunFailedError as error:
        assert "no feature has 10 values in all" in str(error)
        return
    found = hall.found()
    assert not np.isinf(np.concatenate([array.reshape(-1) for array in found.values()])).any()
    assert (found["histogram"] >= 0).all()


# Arguments.


def test_a_quantile_is_read_off_a_histogram_as_if_its_bins_were_even() -> None:
    counts, edges = np.array([1.0, 0.0, 3.0]), np.array([0.0, 1.0, 2.0, 5.0])
    assert [quantile(counts, edges, part) for part in (0, 0.125, 0.25, 0.625, 1)] == [0, 0.5, 1.0, 3.5, 5]
    assert quantile(np.array([0.0, 2.0, 0.0]), edges, 0.0) == 1.0
    assert math.isnan(quantile(np.zeros(3), edges, 0.5))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"features": ()}, "Statistics: features is [], expected names, each of them once"),
    ({"features": "age"}, "Statistics: features is 'age', expected a list of names, each of them once"),
    ({"features": ("a", "a")}, "Statistics: features is ['a', 'a'], expected names, each of them once"),
    ({"features": (1,)}, "Statistics: features is [1], expected names, each of them once"),
    ({"quantiles": (0.5, 2)}, "Statistics: quantiles is [0.5, 2], expected numbers from 0 to 1"),
    ({"quantiles": 0.5}, "Statistics: quantiles is 0.5, expected a list of numbers from 0 to 1"),
    ({"quantiles": (math.nan,)}, "Statistics: quantiles is [nan], expected numbers from 0 to 1"),
    ({"bounds": {"b": (0, 1)}}, "Statistics: bounds has 'b', which is not one of the features"),
    (
        {"bounds": {"a": (1, 1)}},
        "Statistics: bounds of 'a' is (1, 1), expected the least value and a greater one",
    ),
    ({"bounds": {"a": (0,)}}, "Statistics: bounds of 'a' is (0,), expected the least value and a greater one"),
    ({"bounds": {"a": (0, math.inf)}}, "Statistics: bounds of 'a' is (0, inf), expected"),
    ({"bounds": {"a": "01"}}, "Statistics: bounds of 'a' is '01', expected"),
    (
        {"exact_extremes": False},
        "Statistics: 'a' has no bounds, so every site would tell its least and its greatest value, which are those of "
        "single rows; give bounds={...}, or exact_extremes=True if that may be",
    ),
    (
        {"features": ("b", "a"), "bounds": {"b": (0, 1)}, "exact_extremes": False},
        "Statistics: 'a' has no bounds, so every site would tell",
    ),
    ({"exact_extremes": 1}, "Statistics: exact_extremes is 1, expected True or False"),
    ({"bins": 0}, "Statistics: bins is 0"),
    ({"min_count": 0}, "Statistics: min_count is 0"),
    ({"min_clients": 4}, "Statistics: min_clients is 4, expected 1 to num_clients, which is 3"),
    (
        {"noise_multiplier": 1.0},
        "Statistics: noise hides a row only within bounds that are known, and 'a' has none; give them as bounds={...}",
    ),
    (
        {"noise_multiplier": 0, "bounds": {"a": (0, 1)}},
        "GaussianNoise: noise_multiplier is 0, expected a number of at least 0.001",
    ),
]


@pytest.mark.parametrize(("arguments", "told"), REFUSED, ids=[str(arguments) for arguments, _ in REFUSED])
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Statistics(**{"features": ("a",), "exact_extremes": True, **arguments})
    assert str(caught.value).startswith(told)


def test_without_the_package_for_privacy_noise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    Statistics(("a",), bounds={"a": (0, 1)})
    with pytest.raises(BadInputError, match=r"the package dp-accounting .* install 'fltui\[privacy\]'$"):
        Statistics(("a",), bounds={"a": (0, 1)}, noise_multiplier=1.0)


@pytest.mark.parametrize(
    "change", [lambda one: one.for_sites(2), lambda one: one.for_rounds(7)], ids=["sites", "rounds"]
)
def test_it_has_two_rounds_whatever_the_command_line_says(change: Callable[[Statistics], Statistics]) -> None:
    found = change(exact(("a",), 3, min_clients=3, start_round=5))
    assert (found.rounds, found.quorum) == (range(5, 7), min(3, found.site_count))
