"""Distances between models, and who is trusted by them, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.distances import (
    bulyan_selection,
    geometric_median_weights,
    krum_scores,
    multi_krum,
    squared_distances,
)
from tests.aggregation.arrays import Array, diff, full


def distances_of(rows: Array) -> Array:
    """As one would write it down."""
    found: Array = ((rows[:, None, :] - rows[None, :, :]) ** 2).sum(axis=-1)
    return found


def plain_krum(rows: Array, bad: int) -> Array:
    """Blanchard et al. (2017), section 4."""
    scores = []
    for number, row in enumerate(rows):
        others = [((row - other) ** 2).sum() for place, other in enumerate(rows) if place != number]
        scores.append(sum(sorted(others)[: len(rows) - bad - 2]))
    return np.array(scores)


@st.composite
def models(draw: st.DrawFn, least: int = 3) -> Array:
    shape = draw(st.integers(least, 12)), draw(st.integers(1, 8))
    return draw(hnp.arrays(np.float64, shape, elements=st.floats(-1000, 1000, width=32)))


@given(models(least=1))
def test_distances_are_those_of_all_parameters_together(rows: Array) -> None:
    first, second = rows[:, :1], rows[:, 1:]
    parameters = [([*map(full, part)], None) for part in (first, second) if part.shape[1]]
    np.testing.assert_allclose(squared_distances(parameters), distances_of(rows), rtol=1e-12)


def test_models_that_are_close_have_a_small_distance_and_none_below_zero() -> None:
    rng = np.random.default_rng(3)
    model = rng.normal(size=100_000).astype(np.float32)
    near = model + np.float32(1e-6)
    found = squared_distances([([full(model), full(near), full(model)], None)])
    assert found[0, 2] == 0
    assert found[0, 1] == pytest.approx(float(((near.astype(float) - model) ** 2).sum()), rel=1e-12)


@given(models())
def test_differences_are_as_far_from_each_other_as_what_they_make(rows: Array) -> None:
    base = np.linspace(-1, 1, rows.shape[1])
    terms = [full(row + base) if number % 2 else diff(row) for number, row in enumerate(rows)]
    found = squared_distances([(terms, ArraySource(base))])
    np.testing.assert_allclose(found, distances_of(rows), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(squared_distances([([*map(diff, rows)], ArraySource(base))]), distances_of(rows))


def test_without_parameters_there_is_nothing_to_measure() -> None:
    with pytest.raises(ValueError, match="no parameters"):
        squared_distances([])


@given(models(), st.data())
def test_scores_are_krums(rows: Array, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, (len(rows) - 3) // 2))
    np.testing.assert_allclose(krum_scores(distances_of(rows), bad), plain_krum(rows, bad), rtol=1e-9, atol=1e-9)


def test_of_equal_scores_the_first_counts() -> None:
    rows = np.array([[0.0], [0.0], [0.0], [0.0], [9.0]])
    assert multi_krum(distances_of(rows), bad=1, keep=3) == [0, 1, 2]


def test_krum_passes_over_those_that_are_far_off() -> None:
    rng = np.random.default_rng(5)
    rows = np.vstack([rng.normal(size=(7, 4)), rng.normal(size=(3, 4)) * 1e6])
    assert multi_krum(distances_of(rows), bad=3, keep=1)[0] < 7
    assert bulyan_selection(distances_of(rows[:8]), bad=1) == [0, 1, 2, 3, 4, 5]


def plain_bulyan(rows: Array, bad: int) -> list[int]:
    left = list(range(len(rows)))
    chosen: list[int] = []
    while len(chosen) < len(rows) - 2 * bad:
        scores = []
        for number in left:
            others = sorted(((rows[number] - rows[other]) ** 2).sum() for other in left if other != number)
            scores.append(sum(others[: max(1, len(left) - bad - 2)]))
        chosen.append(left.pop(scores.index(min(scores))))
    return sorted(chosen)


@given(hnp.arrays(np.float64, (11, 3), elements=st.integers(-50, 50).map(float)), st.integers(0, 2))
def test_bulyan_chooses_one_after_the_other(rows: Array, bad: int) -> None:
    assert bulyan_selection(distances_of(rows), bad) == plain_bulyan(rows, bad)


def cost(point: Array, rows: Array) -> float:
    return float(np.linalg.norm(rows - point, axis=1).sum())


@given(models())
def test_no_point_nearby_is_closer_to_all_than_the_geometric_median(rows: Array) -> None:
    scale = np.abs(rows).max()
    assume(scale > 1e-3)
    weights = geometric_median_weights(distances_of(rows))
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    found = weights @ rows
    least = cost(found, rows)
    rng = np.random.default_rng(1)
    for size in (1e-1, 1e-2, 1e-3):
        for step in rng.normal(size=(20, rows.shape[1])):
            assert cost(found + size * scale * step, rows) >= least * (1 - 1e-4)


def plain_weiszfeld(rows: Array, steps: int) -> Array:
    point: Array = rows.mean(axis=0)
    for _ in range(steps):
        away = np.maximum(np.linalg.norm(rows - point, axis=1), 1e-12)
        point = (rows / away[:, None]).sum(axis=0) / (1 / away).sum()
    return point


def test_the_geometric_median_is_weiszfelds() -> None:
    rows = np.random.default_rng(7).normal(size=(15, 40))
    found = geometric_median_weights(distances_of(rows)) @ rows
    np.testing.assert_allclose(found, plain_weiszfeld(rows, 1000), rtol=1e-8, atol=1e-9)


def test_equal_models_are_their_own_median() -> None:
    assert geometric_median_weights(np.zeros((4, 4))).tolist() == [0.25] * 4


def test_who_is_too_far_to_be_measured_does_not_count() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [1e200]])
    with np.errstate(over="ignore"):
        distances = distances_of(rows)
    weights = geometric_median_weights(distances)
    assert weights[3] == 0
    assert weights @ rows == pytest.approx(1.0, abs=1e-3)
    assert multi_krum(distances, bad=1, keep=1) == [0]
    with pytest.raises(ValueError, match="too far from each other"):
        geometric_median_weights(np.where(np.eye(4), 0, np.inf))
