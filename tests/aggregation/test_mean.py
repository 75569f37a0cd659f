from __future__ import annotations

import functools
import math
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fltui.aggregation import blocks
from fltui.aggregation.blocks import ArraySource, Sink, Source
from fltui.aggregation.mean import Mean, median_metrics, weighted_metrics
from fltui.aggregation.parameter import write_parameter
from fltui.aggregation.terms import Term
from fltui.exchange.collect import LARGEST_NUMBER, LARGEST_WEIGHT, LEAST_WEIGHT
from fltui.exchange.npy import octets
from fltui.exchange.store import Elements
from tests.aggregation.arrays import Array, ListSink, diff, full


def weighted_mean(terms: Sequence[Term], base: Source | None, sink: Sink) -> float:
    return write_parameter(Mean(terms), base, sink)


def average(*terms: Term, base: Array | None = None) -> Array:
    sink = ListSink()
    weighted_mean(terms, None if base is None else ArraySource(base), sink)
    return sink.array()


# Weights and values of everyday models; what overflows has tests of its own.
weights = st.floats(0, 1e6) | st.integers(0, 10**9).map(float)
values = st.floats(-1e6, 1e6)
sizes = st.integers(1, 30)


@st.composite
def rounds(draw: st.DrawFn, dtype: str = "<f8") -> tuple[list[Array], list[float], Array]:
    """Arrays of some sites, their weights, and the model they received."""
    size = draw(sizes)
    kind = np.dtype(dtype)
    elements = st.floats(-1000, 1000, width=16 if kind.itemsize == 2 else 32) if kind.kind == "f" else None
    array = hnp.arrays(kind, size, elements=elements if kind.kind == "f" else st.integers(-50, 50))
    arrays = draw(st.lists(array, min_size=1, max_size=5))
    found = draw(st.lists(weights, min_size=len(arrays), max_size=len(arrays)))
    found[0] += 1.0
    return arrays, found, draw(array)


def plain_mean(arrays: list[Array], weights: list[float]) -> NDArray[np.float64]:
    """Σ(w·x)/Σw as one would write it down; a sum that begins with 0 would lose the sign of -0."""
    counting = [array.astype(np.float64) * weight for array, weight in zip(arrays, weights, strict=True) if weight]
    total: NDArray[np.float64] = functools.reduce(np.add, counting)
    return total / math.fsum(weights)


@given(rounds())
def test_the_mean_is_that_of_the_textbook_bit_for_bit(given_round: tuple[list[Array], list[float], Array]) -> None:
    arrays, weights, _ = given_round
    found = average(*map(full, arrays, weights))
    assert found.tobytes() == plain_mean(arrays, weights).tobytes()


@given(rounds())
def test_differences_are_averaged_and_added_once(given_round: tuple[list[Array], list[float], Array]) -> None:
    arrays, weights, base = given_round
    found = average(*map(diff, arrays, weights), base=base)
    assert found.tobytes() == (plain_mean(arrays, weights) + base).tobytes()


@given(rounds(), st.data())
def test_a_mix_is_the_mean_of_whole_models(
    given_round: tuple[list[Array], list[float], Array], data: st.DataObject
) -> None:
    arrays, weights, base = given_round
    kinds = data.draw(st.lists(st.booleans(), min_size=len(arrays), max_size=len(arrays)))
    terms = [
        diff(array - base, weight) if is_diff else full(array, weight)
        for array, weight, is_diff in zip(arrays, weights, kinds, strict=True)
    ]
    np.testing.assert_allclose(average(*terms, base=base), plain_mean(arrays, weights), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("block", [1, 3, 7])
@pytest.mark.parametrize("is_difference", [False, True, None], ids=["full", "diff", "mixed"])
@settings(max_examples=25)
@given(rounds("<f4"))
def test_the_size_of_a_block_changes_no_bit(
    block: int, is_difference: bool | None, given_round: tuple[list[Array], list[float], Array]
) -> None:
    arrays, weights, base = given_round
    terms = [
        Term(ArraySource(array), weight, number % 2 == 1 if is_difference is None else is_difference)
        for number, (array, weight) in enumerate(zip(arrays, weights, strict=True))
    ]
    whole = average(*terms, base=base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        assert average(*terms, base=base).tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "|i1", "<i4", "<i8"])
def test_the_mean_has_the_dtype_of_the_model(dtype: str) -> None:
    array = np.array([1, 2, 3], dtype)
    found = average(full(array), full(array), base=array)
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == [1, 2, 3]


@given(rounds("<f2"))
def test_half_precision_is_summed_in_double_and_rounded_once(
    given_round: tuple[list[Array], list[float], Array],
) -> None:
    arrays, weights, _ = given_round
    found = average(*map(full, arrays, weights))
    assert found.dtype == np.float16
    assert found.tobytes() == plain_mean(arrays, weights).astype(np.float16).tobytes()


@given(rounds("<i4"))
def test_integers_are_rounded_to_the_nearest(given_round: tuple[list[Array], list[float], Array]) -> None:
    arrays, weights, _ = given_round
    found = average(*map(full, arrays, weights))
    assert found.dtype == np.int32
    assert np.abs(found - plain_mean(arrays, weights)).max() <= 0.5


def test_halves_are_rounded_to_the_even_integer() -> None:
    low, high = np.array([0, 1, -1]), np.array([1, 2, -2])
    assert average(full(low), full(high)).tolist() == [0, 2, -2]


def test_truth_values_follow_the_majority() -> None:
    votes = [np.array([True, False]), np.array([True, False]), np.array([False, True])]
    assert average(*map(full, votes)).tolist() == [True, False]


def test_many_small_terms_do_not_vanish_in_half_precision() -> None:
    tenth = np.array([0.1], np.float16)
    assert average(*[full(tenth)] * 5000).tolist() == tenth.tolist()


def test_a_term_of_weight_0_does_not_count() -> None:
    assert average(full(np.array([1.0])), full(np.array([9.0]), 0.0)).tolist() == [1.0]


def test_one_whole_model_replaces_the_base() -> None:
    assert average(full(np.array([5.0])), base=np.array([100.0])).tolist() == [5.0]


def test_one_difference_is_added_to_the_base() -> None:
    assert average(diff(np.array([5.0])), base=np.array([100.0])).tolist() == [105.0]


def test_an_array_without_elements_has_a_mean_without_elements() -> None:
    sink = ListSink()
    assert weighted_mean([full(np.zeros(0))], None, sink) == 0.0
    assert sink.blocks == []


@pytest.mark.parametrize(("base", "norm"), [(None, 5.0), (np.array([3.0, 0.0]), 4.0)])
def test_the_change_is_measured_against_the_base(base: Array | None, norm: float) -> None:
    source = None if base is None else ArraySource(base)
    assert weighted_mean([full(np.array([3.0, 4.0]))], source, ListSink()) == norm


@pytest.mark.parametrize("terms", [[], [full(np.ones(1), 0.0)], [full(np.ones(1), 0.0), full(np.ones(1), 0.0)]])
def test_no_weight_gives_no_mean(terms: list[Term]) -> None:
    with pytest.raises(ValueError, match="add up to 0"):
        weighted_mean(terms, None, ListSink())


def test_a_difference_needs_a_base() -> None:
    with pytest.raises(ValueError, match="no model to add it to"):
        average(diff(np.ones(1)))


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_a_mean_that_overflows_is_an_error(dtype: str) -> None:
    largest = np.array([np.finfo(dtype).max], dtype)
    with pytest.raises(ValueError, match="does not fit into"):
        average(diff(largest), base=largest)


def test_an_integer_mean_never_wraps() -> None:
    with pytest.raises(ValueError, match="does not fit into int8"):
        average(diff(np.array([100], np.int8)), base=np.array([100], np.int8))
    with pytest.raises(ValueError, match="does not fit into int64"):
        average(diff(np.array([2**63 - 1], np.int64)), base=np.array([2**62], np.int64))


@pytest.mark.parametrize("dtype", ["|i1", "<i4", "<i8", "|u1", "<u8"])
def test_the_largest_integers_stay(dtype: str) -> None:
    limits = np.iinfo(dtype)
    array = np.array([limits.min, limits.max], dtype)
    assert average(*(full(array, weight) for weight in (0.1, 0.2, 0.3))).tolist() == array.tolist()


def extremes(dtype: str) -> Array:
    """Numbers that a result may hold at most, and those between which bits are lost."""
    if np.dtype(dtype).kind != "f":
        return np.array([np.iinfo(dtype).min, 0, 1, np.iinfo(dtype).max], dtype)
    most = min(LARGEST_NUMBER, float(np.finfo(dtype).max))
    return np.array([-most, -0.0, 0.0, np.finfo(dtype).smallest_subnormal, 1.0, most], dtype)


@settings(max_examples=60)
@given(st.data(), st.sampled_from(["<f2", "<f4", "<f8", "|i1", "<i8", "|u1", "<u8"]))
def test_no_terms_that_are_accepted_overflow(data: st.DataObject, dtype: str) -> None:
    element = st.sampled_from(extremes(dtype).tolist())
    weight = st.sampled_from([LEAST_WEIGHT, 0.1, 0.3, 1.0, LARGEST_WEIGHT])
    base = np.array([data.draw(element)], dtype)
    terms = []
    for value, heavy, is_difference in data.draw(st.lists(st.tuples(element, weight, st.booleans()), max_size=20)):
        array = np.array([value], dtype)
        elements = Elements(dtype, ArraySource(base) if is_difference else None)
        elements.look(octets(array))
        if not elements.fault:
            terms += [Term(ArraySource(array), heavy, is_difference)] * 20
    if terms:
        assert np.isfinite(average(*terms, base=base)).all()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
@pytest.mark.parametrize("is_difference", [False, True], ids=["full", "diff"])
def test_signed_zeros_and_subnormals_keep_every_bit(dtype: str, is_difference: bool) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    array = np.array([-0.0, 0.0, tiny, -tiny, 3 * tiny], dtype)
    terms = [Term(ArraySource(array), weight, is_difference) for weight in (8.0, 24.0, 0.0, 3.0)]
    base = np.full(5, -0.0, dtype) if is_difference else None
    assert average(*terms, base=base).tobytes() == array.tobytes()


def test_a_term_of_weight_0_leaves_no_trace() -> None:
    zero = np.array([-0.0])
    assert average(full(np.array([5.0]), 0.0), full(zero), diff(zero, 0.0), base=zero).tobytes() == zero.tobytes()


def test_the_norm_of_a_huge_change_is_finite() -> None:
    assert weighted_mean([full(np.array([3e200, 4e200]))], None, ListSink()) == pytest.approx(5e200)


def test_metrics_are_averaged_with_the_weights() -> None:
    assert weighted_metrics([(1, {"loss": 1.0}), (3, {"loss": 2.0})]) == {"loss": 1.75}


def test_a_metric_is_averaged_over_the_sites_that_report_it() -> None:
    reports = [(1.0, {"loss": 1.0, "accuracy": 0.5}), (3.0, {"loss": 2.0})]
    assert weighted_metrics(reports) == {"accuracy": 0.5, "loss": 1.75}


def test_a_metric_whose_reporters_weigh_nothing_is_left_out() -> None:
    assert weighted_metrics([(0.0, {"loss": 1.0}), (1.0, {})]) == {}


def test_metrics_are_ordered_by_name() -> None:
    assert list(weighted_metrics([(1.0, {"b": 1.0, "a": 1.0})])) == ["a", "b"]


@given(st.lists(st.tuples(st.floats(0.001, 1e6), values), min_size=1, max_size=6))
def test_a_mean_of_metrics_lies_between_them(pairs: list[tuple[float, float]]) -> None:
    found = weighted_metrics([(weight, {"loss": value}) for weight, value in pairs])["loss"]
    low, high = min(value for _, value in pairs), max(value for _, value in pairs)
    slack = 1e-9 * max(abs(low), abs(high)) + 1e-300  # below it a float64 keeps few digits
    assert low - slack <= found <= high + slack


@pytest.mark.parametrize("threads", [1, 3])
def test_long_arrays_give_the_same_bits_in_however_many_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    random = np.random.default_rng(1)
    base = random.standard_normal(5000).astype(np.float32)
    terms = [full(base + np.float32(0.1), 3), diff(base * np.float32(0.01), 0.5), full(-base, 1)]
    expected, norm = ListSink(), weighted_mean(terms, ArraySource(base), ListSink())
    weighted_mean(terms, ArraySource(base), expected)
    monkeypatch.setattr(blocks, "BLOCK", 100)
    monkeypatch.setattr(blocks, "_THREADS", threads)
    sink = ListSink()
    assert weighted_mean(terms, ArraySource(base), sink) == pytest.approx(norm, rel=1e-12)
    assert len(sink.blocks) == 50
    assert sink.array().tobytes() == expected.array().tobytes()


def test_an_overflow_far_behind_ends_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 10)
    array = np.zeros(1000)
    array[500] = 1e308
    with pytest.raises(ValueError, match="does not fit into float64"):
        average(full(array, 1e10), full(array, 1e10))
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")] == []


def test_the_norm_of_what_has_no_square_is_known() -> None:
    array = np.full(20_000, 1e200)
    assert weighted_mean([full(array)], None, ListSink()) == pytest.approx(1e200 * math.sqrt(20_000))


def test_the_median_of_a_metric_is_that_of_those_who_count_and_report_it() -> None:
    reports = [(1.0, {"auc": 0.5}), (1.0, {"auc": 0.7, "loss": 2.0}), (1.0, {"auc": 1e9}), (0.0, {"auc": -1.0})]
    assert median_metrics(reports) == {"auc": 0.7, "loss": 2.0}
    assert median_metrics([]) == {}
