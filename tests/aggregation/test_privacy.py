"""What noise is added, and what it costs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from statistics import NormalDist

import dp_accounting
import numpy as np
import pytest

from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.filters import View
from fltui.aggregation.privacy import GaussianNoise
from fltui.errors import BadInputError
from tests.aggregation.arrays import Array, full
from tests.aggregation.test_filters import after, clipped, update

MANY = 40_000


def noisy(entropy: tuple[int, ...] = (7, 0, 0, 0), size: int = MANY, *, at_site: bool = True) -> View:
    """A view of nothing but what is drawn."""
    zeros = np.zeros(size)
    return View({"w": (full(zeros), ArraySource(zeros))}, site="a", at_site=at_site, entropy=entropy)


def local(one: GaussianNoise, view: View) -> Array:
    return after(view, one.result(view))


def central(one: GaussianNoise, weights: dict[str, float], size: int = MANY) -> Array:
    view = View({}, entropy=(7, 0, 0, 0), weights=weights)
    change, values = one.aggregate(view), np.zeros(size)
    assert change is not None
    change("w", 0, values)
    return values


def is_normal(found: Array, deviation: float) -> None:
    """Mean and deviation within five standard errors, and the tails those of a normal distribution."""
    error = deviation / math.sqrt(found.size)
    assert abs(found.mean()) < 5 * error
    assert abs(found.std() - deviation) < 5 * error / math.sqrt(2)
    for times in (1, 2, 3):
        share = 2 * NormalDist().cdf(-times)
        spread = math.sqrt(share * (1 - share) / found.size)
        assert abs((np.abs(found) > times * deviation).mean() - share) < 5 * spread


@pytest.mark.parametrize(("z", "c"), [(1.0, 1.0), (0.5, 4.0), (3.0, 0.01)])
def test_a_site_adds_noise_of_z_times_the_norm(z: float, c: float) -> None:
    is_normal(local(GaussianNoise(z, c), noisy()), z * c)


def test_a_site_clips_before_it_adds_noise() -> None:
    view, elements = update()
    one = GaussianNoise(0.001, 2.0, seed=3)
    nothing = View({name: (full(np.zeros(term.source.size)), None) for name, (term, _) in view.terms.items()})
    drawn = local(one, View(nothing.terms, at_site=True))
    here = View(view.terms, at_site=True)
    np.testing.assert_allclose(local(one, here) - drawn, clipped(elements, 2.0), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("weights", "share"),
    [
        ({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, 1 / 4),
        ({"a": 6.0, "b": 3.0, "c": 1.0}, 0.6),
        ({"a": 5.0, "b": 0.0}, 1.0),
        ({"a": 1e-9, "b": 2.0**53}, 1.0),
    ],
)
def test_the_server_adds_noise_of_the_largest_share(weights: dict[str, float], share: float) -> None:
    is_normal(central(GaussianNoise(2.0, 3.0), weights), 2.0 * 3.0 * share)


def test_the_server_clips_and_adds_no_noise_to_a_site_s_own() -> None:
    view, elements = update()
    np.testing.assert_allclose(local(GaussianNoise(1.0, 2.0), view), clipped(elements, 2.0), rtol=1e-14)


def test_where_nobody_counts_there_is_no_mean_to_hide_in() -> None:
    assert GaussianNoise().aggregate(View({}, weights={"a": 0.0, "b": 0.0})) is None


def test_the_same_view_gives_the_same_noise_and_no_other_does() -> None:
    one = GaussianNoise()
    assert local(one, noisy()).tobytes() == local(one, noisy()).tobytes()
    others = [
        local(one, noisy((7, number, place, site), 50)) for number in (0, 1) for place in (0, 1) for site in (0, 1)
    ]
    for place, found in enumerate(others):
        assert not any(np.isclose(found, other).any() for other in others[:place])


def test_every_block_and_parameter_has_noise_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fltui.aggregation.blocks.BLOCK", 100)
    view = View({name: (full(np.zeros(250)), None) for name in ("v", "w")}, at_site=True)
    found = local(GaussianNoise(), view)
    assert len(set(found.tolist())) == 500
    pieces = [found[start : start + 50] for start in range(0, 500, 50)]
    assert np.abs(np.corrcoef(pieces) - np.eye(10)).max() < 0.6


@pytest.mark.parametrize("length", [1000, 65_536, 100_000, 1_000_000])
def test_the_size_of_a_block_changes_no_bit(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """What was drawn stays as it was: this is the noise of runs that are to be verified."""
    one = GaussianNoise(2.0)
    monkeypatch.setattr("fltui.aggregation.blocks.BLOCK", length)
    view = noisy(size=140_000)
    found = local(one, view)
    for start in (0, 65_536, 131_072):
        piece = view.generator("w", start).normal(0.0, 2.0, 65_536)[: 140_000 - start]
        assert found[start : start + 65_536].tolist() == piece.tolist()


def test_a_known_seed_gives_noise_that_anybody_can_make_again() -> None:
    one = GaussianNoise(seed=11)
    assert local(one, noisy((1, 0, 0, 0), 9)).tolist() == local(one, noisy((2, 0, 0, 0), 9)).tolist()
    assert local(one, noisy((1, 0, 0, 0), 9)).tolist() != local(one, noisy((1, 1, 0, 0), 9)).tolist()


def test_noise_hides_nothing_that_is_not_of_floats() -> None:
    view, _ = update()
    with pytest.raises(BadInputError) as caught:
        GaussianNoise().result(View(view.terms, ("steps",)))
    assert str(caught.value) == "GaussianNoise: parameter 'steps' is not of floats, so no noise would hide it"


def exact_epsilon(z: float, delta: float, rounds: int) -> float:
    """Of the composition, which is one Gaussian mechanism of deviation z / sqrt(rounds), from below by 1e-9.

    Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", 2018, theorem 8.
    """
    sigma = z / math.sqrt(rounds)

    def exceeded(epsilon: float) -> bool:
        first = math.erfc((epsilon * sigma - 1 / (2 * sigma)) / math.sqrt(2)) / 2
        second = math.erfc((epsilon * sigma + 1 / (2 * sigma)) / math.sqrt(2)) / 2
        return first - (math.exp(epsilon + math.log(second)) if second else 0.0) > delta

    low, high = 0.0, 2000.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if exceeded(middle) else (low, middle)
    return low


@pytest.mark.parametrize("rounds", [1, 2, 10, 300])
@pytest.mark.parametrize(("z", "delta"), [(0.7, 1e-5), (1.0, 1e-5), (4.0, 1e-3), (20.0, 1e-8)])
def test_epsilon_is_that_of_a_composition_computed_apart(z: float, delta: float, rounds: int) -> None:
    found = GaussianNoise(z, 9.0, delta).epsilon(rounds)
    accountant = dp_accounting.rdp.RdpAccountant()
    event = dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(z), rounds)
    assert found == pytest.approx(accountant.compose(event).get_epsilon(delta), rel=1e-12)
    exact = exact_epsilon(z, delta, rounds)
    assert exact <= found <= 1.35 * exact + 0.05


def test_nothing_is_spent_before_the_first_round_and_more_with_each() -> None:
    spent = [GaussianNoise().epsilon(rounds) for rounds in range(6)]
    assert spent[0] == 0.0
    assert spent == sorted(set(spent))


def test_no_noise_that_is_allowed_has_an_epsilon_that_is_no_number() -> None:
    assert math.isfinite(GaussianNoise(1e-3, delta=1e-300).epsilon(10**9))


def test_a_round_that_would_exceed_the_budget_is_refused_with_numbers() -> None:
    one = GaussianNoise(1.0, max_epsilon=GaussianNoise(1.0).epsilon(3))
    one.check_budget(2, "round 2")
    with pytest.raises(BadInputError) as caught:
        one.check_budget(3, "round 3 at site a")
    before, later = (f"{one.epsilon(rounds):.6g}" for rounds in (3, 4))
    assert str(caught.value) == (
        f"round 3 at site a does not begin: it would bring the epsilon spent from {before} to {later} (delta 1e-05), "
        f"above max_epsilon, which is {before}"
    )
    GaussianNoise(1.0).check_budget(10**6, "round 1000000")


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    uses: dict[str, Callable[[], object]] = {
        "": lambda: GaussianNoise().check(at_site=True),
        " (import of dp_accounting halted; None in sys.modules)": lambda: GaussianNoise().epsilon(77),
    }
    for why, use in uses.items():
        with pytest.raises(BadInputError) as caught:
            use()
        assert str(caught.value) == (
            f"GaussianNoise: the package dp-accounting computes the epsilon spent and is not here{why}; install "
            "'fltui[privacy]'"
        )


def test_the_package_is_not_loaded_before_it_is_to_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr("fltui.aggregation.privacy.import_module", refuse)
    GaussianNoise().check(at_site=True)
    GaussianNoise().check_budget(3, "round 3")
    with pytest.raises(AssertionError, match="dp_accounting was loaded"):
        GaussianNoise(1.2345).epsilon(1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: GaussianNoise(0), "noise_multiplier is 0, expected a number of at least 0.001"),
        (lambda: GaussianNoise(1e-160), "noise_multiplier is 1e-160, expected a number of at least 0.001"),
        (lambda: GaussianNoise(math.inf), "noise_multiplier is inf, expected"),
        (lambda: GaussianNoise(max_norm=0), "max_norm is 0, expected a number above 0"),
        (lambda: GaussianNoise(delta=0), "delta is 0, expected a number above 0 and at most 0.5"),
        (lambda: GaussianNoise(delta=1), "delta is 1, expected a number above 0 and at most 0.5"),
        (lambda: GaussianNoise(max_epsilon=0), "max_epsilon is 0, expected a number above 0"),
        (lambda: GaussianNoise(seed=-1), "seed is -1, expected a whole number of at least 0"),
        (lambda: GaussianNoise(seed=True), "seed is True, expected a whole number of at least 0"),
        (lambda: GaussianNoise(seed=1.0), "seed is 1.0, expected a whole number of at least 0"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(BadInputError, match=f"^GaussianNoise: {reason}"):
        make()
