"""Filters against plain NumPy on all elements together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.aggregation import blocks
from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.filters import (
    Change,
    ClipNorm,
    ExcludeVars,
    Filter,
    PercentilePrivacy,
    View,
    asked,
    size_at,
)
from fltui.errors import BadInputError, RunFailedError
from tests.aggregation.arrays import Array, diff, full

DTYPES = (np.float16, np.float32, np.float64)
HEAD: Any = "head"
ONE: Any = (1,)


def update(seed: int = 1, dtype: Any = np.float64, sizes: tuple[int, ...] = (40, 1, 0, 23)) -> tuple[View, Array]:
    """Parameters of floats, whole and as differences by turns, and the difference that they make, one after the other.

    What is read is exactly what is in the arrays, so the difference is that of float64.
    """
    draw = np.random.default_rng(seed)
    terms, expected = {}, []
    for place, size in enumerate(sizes):
        base, value = (draw.normal(0, 3, size).astype(dtype) for _ in range(2))
        is_difference = place % 2 == 1
        terms[f"p{place}"] = ((diff if is_difference else full)(value), ArraySource(base))
        expected.append(value.astype(np.float64) - (0 if is_difference else base.astype(np.float64)))
    return View(terms), np.concatenate(expected)


def after(view: View, change: Change | None) -> Array:
    """All elements after a change, one after the other."""
    found = []
    for name in view.terms:
        for start, values in view.blocks(name):
            if change is not None:
                change(name, start, values)
            found.append(values.copy())
    return np.concatenate(found or [np.empty(0)])


def clipped(elements: Array, most: float) -> Array:
    norm = np.linalg.norm(elements)
    return elements * (most / norm) if norm > most else elements


def selected(elements: Array, percentile: float, gamma: float) -> Array:
    least = np.percentile(np.abs(elements), percentile, method="inverted_cdf")
    return np.clip(np.where(np.abs(elements) < least, 0, elements), -gamma, gamma)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_is_seen_as_its_difference_to_the_model(dtype: Any) -> None:
    view, expected = update(dtype=dtype)
    assert after(view, None).tolist() == expected.tolist()
    assert view.norm() == pytest.approx(np.linalg.norm(expected), rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("most", [0.01, 1.0, 20.0, 1e6])
def test_clipping_is_what_it_is_in_plain_numpy(dtype: Any, most: float) -> None:
    view, elements = update(dtype=dtype)
    found = after(view, ClipNorm(most).result(view))
    np.testing.assert_allclose(found, clipped(elements, most), rtol=1e-14, atol=0)
    assert np.linalg.norm(found) <= most * (1 + 1e-14)


def test_an_update_that_is_short_enough_is_left_alone() -> None:
    view, elements = update()
    assert ClipNorm(float(np.linalg.norm(elements)) * 1.001).result(view) is None
    nothing = View({"w": (full(np.ones(3)), ArraySource(np.ones(3)))})
    assert ClipNorm(1e-9).result(nothing) is None


@pytest.mark.parametrize("size", [1e-100, 1e200, 1e279])
def test_a_norm_neither_overflows_nor_vanishes(size: float) -> None:
    view = View({"w": (diff(np.array([3.0, 4.0]) * size), None), "b": (diff(np.array([12 * size])), None)})
    assert view.norm() == pytest.approx(13 * size, rel=1e-12)
    found = after(view, ClipNorm(size / 2).result(view))
    np.testing.assert_allclose(found / size, np.array([3, 4, 12]) / 26, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("percentile", "gamma"), [(0, 1), (10, 0.01), (50, 2), (97.3, 4.5), (100, 100)])
def test_selection_is_what_it_is_in_plain_numpy(dtype: Any, percentile: float, gamma: float) -> None:
    view, elements = update(dtype=dtype)
    found = after(view, PercentilePrivacy(percentile, gamma).result(view))
    assert found.tolist() == selected(elements, percentile, gamma).tolist()


elements_of_any_size = st.lists(
    st.one_of(st.floats(-1e280, 1e280), st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e-310])),
    min_size=1,
    max_size=60,
)


@given(elements_of_any_size, st.one_of(st.floats(0, 100), st.integers(0, 100)), st.integers(0, 60))
def test_the_size_at_a_percentile_is_that_of_all_elements_sorted(
    elements: list[float], percentile: float, cut: int
) -> None:
    array = np.array(elements)
    view = View({"a": (diff(array[:cut]), None), "b": (diff(array[cut:]), None)})
    assert size_at(view, percentile) == np.percentile(np.abs(array), percentile, method="inverted_cdf")


def test_there_is_no_size_without_elements() -> None:
    empty = View({"w": (diff(np.empty(0)), None)})
    assert size_at(empty, 50) == 0.0 == empty.norm()
    assert after(empty, PercentilePrivacy(50, 1).result(empty)).size == 0


def test_what_is_excluded_stays_as_it_was_and_the_rest_passes() -> None:
    view, elements = update(sizes=(4, 3, 2))
    assert after(view, ExcludeVars(("p1",)).result(view)).tolist() == [*elements[:4], 0, 0, 0, *elements[7:]]
    assert not after(view, ExcludeVars(("p*",)).result(view)).any()
    assert after(view, ExcludeVars(("p0", "p2")).result(view)).tolist() == [*[0.0] * 4, *elements[4:7], 0, 0]


def test_a_model_is_sent_with_zeros_in_place_of_what_is_excluded() -> None:
    model = {"head.w": np.array([1.0, 2]), "head.b": np.array([3.0]), "body": np.array([4.0])}
    view = View({name: (full(array), None) for name, array in model.items()})
    assert after(view, ExcludeVars(("head.*",)).task(view)).tolist() == [0, 0, 0, 4]
    here = View(view.terms, at_site=True)
    assert ExcludeVars(("head.*",)).task(here) is None  # the site's own is what the script goes on with


@pytest.mark.parametrize("what", ["task", "result"])
@pytest.mark.parametrize("names", [("p0", "q"), ("p0", "q*")])
def test_what_is_excluded_has_to_be_there(what: str, names: tuple[str, ...]) -> None:
    view, _ = update()
    with pytest.raises(BadInputError) as caught:
        getattr(ExcludeVars(names), what)(view)
    assert str(caught.value) == f"ExcludeVars: the model has no parameter {names[1]!r}"


@pytest.mark.parametrize("pattern", ["counter", "count*"])
def test_what_is_not_of_floats_cannot_be_excluded_and_does_not_pass_in_silence(pattern: str) -> None:
    view, _ = update()
    with pytest.raises(BadInputError) as caught:
        ExcludeVars((pattern,)).result(View(view.terms, ("counter",)))
    assert str(caught.value) == (
        "ExcludeVars: parameter 'counter' is not of floats, and filters let such pass as they are; leave it out of the "
        "model"
    )


@pytest.mark.parametrize("length", [7, 64, 5000])
@pytest.mark.parametrize("one", [ClipNorm(0.3), PercentilePrivacy(40, 0.5), ExcludeVars(("p1",))], ids=repr)
def test_the_size_of_a_block_changes_no_bit(one: Filter, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    view, _ = update(dtype=np.float32, sizes=(900, 70_000 if length > 1000 else 700, 3))
    expected = after(view, one.result(view)).tobytes()
    monkeypatch.setattr(blocks, "BLOCK", length)
    assert after(view, one.result(view)).tobytes() == expected


def draws(view: View, name: str = "w", start: int = 0, seed: int | None = None) -> tuple[float, ...]:
    return tuple(view.generator(name, start, seed).normal(size=3).tolist())


def test_the_same_view_draws_the_same_and_every_other_one_something_else() -> None:
    def view(secret: int = 5, number: int = 1, place: int = 0, site: str = "a", method: str = "task") -> View:
        return View({}, method=method, entropy=(secret, number, place, int.from_bytes(site.encode(), "big")))

    assert draws(view()) == draws(view())
    assert draws(view(1), seed=9) == draws(view(2), seed=9)
    others = [
        draws(view()),
        draws(view(6)),
        draws(view(number=2)),
        draws(view(place=1)),
        draws(view(site="b")),
        draws(view(method="aggregate")),
        draws(view(), "v"),
        draws(view(), start=1),
        draws(view(), start=1 << 32),
        draws(view(), seed=4),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((7, 0), (7, 0, 0)),
        ((7, 1, 2), (7, 1 + (2 << 32))),
        ((7, 1 << 32), (7, 0, 1)),
    ],
)
def test_numbers_that_numpy_takes_for_the_same_draw_differently(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert draws(View({}, entropy=one)) != draws(View({}, entropy=other))


def test_names_that_end_alike_draw_differently() -> None:
    assert draws(View({}), "w") != draws(View({}), "\0w")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: ClipNorm(0), "ClipNorm: max_norm is 0, expected a number above 0"),
        (lambda: ClipNorm(float("nan")), "ClipNorm: max_norm is nan, expected a number above 0"),
        (lambda: ClipNorm(True), "ClipNorm: max_norm is True, expected a number above 0"),
        (lambda: PercentilePrivacy(101), "percentile is 101, expected a number from 0 to 100"),
        (lambda: PercentilePrivacy(-1), "percentile is -1, expected a number from 0 to 100"),
        (lambda: PercentilePrivacy(10, 0), "gamma is 0, expected a number above 0"),
        (lambda: ExcludeVars(HEAD), r"ExcludeVars: names is 'head', expected a list of parameter names"),
        (lambda: ExcludeVars(()), r"ExcludeVars: names is \(\), expected a list of parameter names"),
        (lambda: ExcludeVars(ONE), r"ExcludeVars: names is \(1,\), expected a list of parameter names"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        make()


class Clumsy(Filter):
    """Fails at once, or later."""

    def __init__(self, at_once: Exception | None = None, later: Exception | None = None) -> None:
        self.errors: Mapping[str, Exception | None] = {"at once": at_once, "later": later}

    def result(self, view: View) -> Change:
        if error := self.errors["at once"]:
            raise error

        def change(*_: object) -> None:
            if error := self.errors["later"]:
                raise error

        return change


@pytest.mark.parametrize("when", ["at_once", "later"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BadInputError("no more"), "round 3: no more"),
        (
            ValueError("shapes differ"),
            r"round 3: Clumsy.result\(\) failed in test_filters.py, line \d+: ValueError: shapes",
        ),
    ],
    ids=["on purpose", "by mistake"],
)
def test_whatever_goes_wrong_in_a_filter_is_one_sentence(when: str, error: Exception, told: str) -> None:
    def call() -> None:
        change = asked(Clumsy(**{when: error}), "result", View({}), lambda text: RunFailedError(f"round 3: {text}"))
        if change is not None:
            change("w", 0, np.zeros(1))

    with pytest.raises(RunFailedError, match=told):
        call()


def test_a_filter_without_a_say_lets_all_pass() -> None:
    for what in ("task", "result", "aggregate"):
        assert asked(Filter(), what, View({}), RunFailedError) is None


def test_a_change_that_returns_values_in_place_of_changing_them_is_refused() -> None:
    class Returns(Filter):
        def result(self, view: View) -> Change | None:
            return lambda name, start, values: values * 2  # type: ignore[return-value]  # as people write it

    change = asked(Returns(), "result", View({}), BadInputError)
    assert change is not None
    with pytest.raises(BadInputError, match=r"Returns\.result\(\): its change returned values; .* in place"):
        change("w", 0, np.zeros(3))
