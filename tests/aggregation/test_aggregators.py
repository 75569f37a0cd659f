"""Every aggregator, on whole models, against the formulas of `tests.oracles.plain`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fltui.aggregation.aggregators import (
    Aggregator,
    Bulyan,
    GeometricMedian,
    Krum,
    Median,
    MultiKrum,
    TrimmedMean,
    WeightedMean,
)
from fltui.errors import BadInputError
from tests.aggregation.arrays import full
from tests.aggregation.models import Given, Sent, Server, assert_equal, blocks_of, rounds
from tests.oracles import plain

few = settings(max_examples=25, deadline=None)


@few
@given(rounds(st.integers(1, 50)))
def test_the_weighted_mean(made: Given) -> None:
    expected = plain.of_models(plain.weighted_mean, made.wholes, made.weights)
    assert_equal(Server(WeightedMean()).next(made), expected)


@few
@given(rounds(st.integers(1, 50)))
def test_the_median(made: Given) -> None:
    assert_equal(Server(Median()).next(made), plain.of_models(plain.median, made.wholes))


@few
@given(rounds(st.integers(1, 50)), st.integers(0, 49))
def test_the_trimmed_mean(made: Given, hundredths: int) -> None:
    count = len(made.counting)
    cut = int(Fraction(hundredths, 100) * count)
    expected = plain.of_models(plain.trimmed_mean, made.wholes, (cut + 0.5) / count)
    assert_equal(Server(TrimmedMean(hundredths / 100)).next(made), expected)


@few
@given(rounds(st.integers(1, 50)))
def test_the_geometric_median(made: Given) -> None:
    assert_equal(Server(GeometricMedian()).next(made), plain.geometric_median(made.wholes), within=2e-9)


def test_the_geometric_median_among_sites_that_are_far_off() -> None:
    random = np.random.RandomState(9)
    for far in (1e2, 1e4):
        rows = [random.standard_normal(9) for _ in range(7)] + [far * random.standard_normal(9) for _ in range(3)]
        made = Given({"w": np.zeros(9)}, [Sent({"w": row}) for row in rows])
        expected = plain.geometric_median([{"w": row} for row in rows])["w"]
        np.testing.assert_allclose(Server(GeometricMedian()).next(made)["w"], expected, rtol=0, atol=1e-8)


def test_a_site_far_off_does_not_blur_a_geometric_median_at_a_site() -> None:
    rows = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (-6e4, -8e4)]
    made = Given({"w": np.zeros(2)}, [Sent({"w": np.array(row)}) for row in rows])
    assert Server(GeometricMedian()).next(made)["w"] == pytest.approx([0.0, 0.0], abs=1e-5)


def test_where_most_are_equal_they_are_the_geometric_median() -> None:
    rows = [np.array([1.0, 2.0])] * 3 + [np.array([5.0, -7.0]), np.array([1e9, 0.0])]
    made = Given({"w": np.zeros(2)}, [Sent({"w": row}) for row in rows])
    assert Server(GeometricMedian()).next(made)["w"].tolist() == [1.0, 2.0]


@few
@given(rounds(st.integers(3, 50)), st.data())
def test_krum(made: Given, data: st.DataObject) -> None:
    f = data.draw(st.integers(0, (len(made.counting) - 3) // 2))
    assert_equal(Server(Krum(f)).next(made), made.wholes[plain.krum(made.wholes, f)])


@few
@given(rounds(st.integers(3, 50)), st.data())
def test_multi_krum(made: Given, data: st.DataObject) -> None:
    count = len(made.counting)
    f = data.draw(st.integers(0, (count - 3) // 2))
    k = data.draw(st.none() | st.integers(1, count - f - 2))
    expected = plain.multi_krum(made.wholes, f, count - f - 2 if k is None else k)
    assert_equal(Server(MultiKrum(f, k)).next(made), expected)


def has_ties(made: Given, f: int) -> bool:
    """Whether the last value that counts and the first that does not are equally far from a median, to the last digits:
    half precision has few values."""
    chosen = [made.wholes[place] for place in plain.bulyan_selection(made.wholes, f)]
    for name in made.base if f else ():
        values = np.stack([model[name] for model in chosen])
        away = np.sort(np.abs(values - np.median(values, axis=0)), axis=0)
        if np.isclose(away[len(chosen) - 2 * f - 1], away[len(chosen) - 2 * f], rtol=1e-9).any():
            return True
    return False


@few
@given(rounds(st.integers(3, 50)), st.data())
def test_bulyan(made: Given, data: st.DataObject) -> None:
    f = data.draw(st.integers(0, (len(made.counting) - 3) // 4))
    assume(not has_ties(made, f))
    assert_equal(Server(Bulyan(f)).next(made), plain.bulyan(made.wholes, f))


EVERY: list[Aggregator] = [
    WeightedMean(),
    Median(),
    TrimmedMean(0.3),
    GeometricMedian(),
    Krum(1),
    MultiKrum(1),
    MultiKrum(1, 2),
    Bulyan(1),
]

each = pytest.mark.parametrize("aggregator", EVERY, ids=str)


@each
@settings(max_examples=8, deadline=None)
@given(rounds(st.integers(7, 12)), st.integers(1, 9))
def test_the_size_of_a_block_changes_no_bit(aggregator: Aggregator, made: Given, length: int) -> None:
    server = Server(aggregator)
    judged = server.judged(made)
    whole = server.combine(made, judged)
    with blocks_of(length):
        pieces = server.combine(made, judged)
        assert [site.weight for site in server.judged(made)] == pytest.approx([site.weight for site in judged])
    assert all(pieces[name].tobytes() == array.tobytes() for name, array in whole.items())


@each
@settings(max_examples=8, deadline=None)
@given(rounds(st.integers(7, 12)))
def test_sites_that_weigh_nothing_leave_no_trace(aggregator: Aggregator, made: Given) -> None:
    without = Given(made.base, made.counting)
    found, expected = Server(aggregator).next(made), Server(aggregator).next(without)
    assert all(found[name].tobytes() == array.tobytes() for name, array in expected.items())


@pytest.mark.parametrize("aggregator", [one for one in EVERY if not one.by_claims], ids=str)
@settings(max_examples=8, deadline=None)
@given(rounds(st.integers(7, 12)))
def test_the_robust_ones_do_not_look_at_claims(aggregator: Aggregator, made: Given) -> None:
    alike = Given(made.base, [Sent(site.arrays, float(site.weight > 0), site.is_difference) for site in made.sites])
    found, expected = Server(aggregator).next(made), Server(aggregator).next(alike)
    assert all(found[name].tobytes() == array.tobytes() for name, array in expected.items())


@pytest.mark.parametrize(
    "aggregator", [Median(), TrimmedMean(0.3), GeometricMedian(), Krum(3), MultiKrum(3), Bulyan(3)]
)
@pytest.mark.parametrize("attack", ["large", "huge", "beyond measure", "flipped", "alike"])
def test_three_bad_sites_of_fifteen_move_the_robust_ones_no_further_than_good_ones_are(
    aggregator: Aggregator, attack: str
) -> None:
    random = np.random.RandomState(3)
    good = [random.standard_normal(20) * 0.1 + 1 for _ in range(12)]
    bad = {
        "large": [1e5 * random.standard_normal(20) for _ in range(3)],
        "huge": [1e30 * random.standard_normal(20) for _ in range(3)],
        "beyond measure": [1e200 * random.standard_normal(20) for _ in range(3)],
        "flipped": [-10 * one for one in good[:3]],
        "alike": [np.full(20, 5.0)] * 3,
    }
    sites = [Sent({"w": array}) for array in [*bad[attack], *good]]
    centre = np.mean(good, axis=0)
    reach = 1.5 * max(np.abs(one - centre).max() for one in good)
    made = Given({"w": np.zeros(20)}, sites)
    assert np.abs(Server(aggregator).next(made)["w"] - centre).max() < reach
    assert np.abs(Server(WeightedMean()).next(made)["w"] - centre).max() > reach


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_beta_just_below_a_half_leaves_one_value_or_two(count: int) -> None:
    terms = [full(np.array([float(number)])) for number in range(count)]
    out = np.empty(1)
    TrimmedMean(0.49999999999).combine(terms).block(0, np.zeros(1), out)
    assert out == (count - 1) / 2


def test_29_hundredths_of_100_sites_are_29() -> None:
    values = np.arange(100.0) ** 2
    out = np.empty(1)
    TrimmedMean(0.29).combine([full(np.array([value])) for value in values]).block(0, np.zeros(1), out)
    assert out == pytest.approx(values[29:71].mean(), rel=1e-14)


@pytest.mark.parametrize(
    ("aggregator", "least"),
    [
        (WeightedMean(), 1),
        (Median(), 1),
        (TrimmedMean(0.4), 3),
        (TrimmedMean(0.2), 5),
        (TrimmedMean(0.0), 1),
        (GeometricMedian(), 1),
        (Krum(2), 7),
        (Krum(0), 3),
        (MultiKrum(2), 7),
        (MultiKrum(1, 8), 9),
        (Bulyan(2), 11),
    ],
)
def test_how_many_sites_each_takes(aggregator: Aggregator, least: int) -> None:
    assert aggregator.least == least


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        (
            TrimmedMean,
            {"beta": 0.5},
            "TrimmedMean: beta is 0.5, expected a number from 0 to below 0.5: it is left out twice, of the least and "
            "of the greatest values",
        ),
        (TrimmedMean, {"beta": -0.1}, "TrimmedMean: beta is -0.1, expected a number from 0 to below 0.5: "),
        (TrimmedMean, {"beta": float("nan")}, "TrimmedMean: beta is nan, expected "),
        (TrimmedMean, {"beta": "0.2"}, "TrimmedMean: beta is '0.2', expected "),
        (Krum, {"f": -1}, "Krum: f is -1, expected a whole number of at least 0"),
        (Krum, {"f": 1.0}, "Krum: f is 1.0, expected a whole number of at least 0"),
        (MultiKrum, {"f": True}, "MultiKrum: f is True, expected a whole number of at least 0"),
        (MultiKrum, {"k": 0}, "MultiKrum: k is 0, expected a whole number of at least 1"),
        (Bulyan, {"f": None}, "Bulyan: f is None, expected a whole number of at least 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(kind: Any, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as caught:
        kind(**arguments)
    assert str(caught.value).startswith(sentence)
