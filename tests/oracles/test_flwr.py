"""The formulas of `plain` against what flwr 1.42 made of the same inputs; where it differs, why, to the last digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.oracles import plain
from tests.oracles.cases import CASES, SHAPES, Case, of_strategy, stored
from tests.oracles.plain import Adaptive, Model

WITHIN = {"float64": 1e-12, "float32": 1e-6}
"""How near two results are that say the same, by the dtype in which flwr computes."""


def off(found: Model, expected: Model) -> float:
    """The greatest deviation of an element, relative to the expected one where that exceeds 1."""
    assert found.keys() == expected.keys()
    return max(
        float(np.max(np.abs(found[name] - expected[name]) / np.maximum(1, np.abs(expected[name])))) for name in SHAPES
    )


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def bad(case: Case) -> int:
    """The f of Krum and Bulyan."""
    return int(case.arguments.get("num_malicious_nodes", case.arguments.get("num_malicious_clients", 0)))


def mean_of(case: Case, round_: int = 1) -> Model:
    return plain.of_models(plain.weighted_mean, case.models(round_), case.weights(round_))


def test_the_stored_cases_are_those_of_today() -> None:
    assert list(stored()["cases"]) == list(CASES)
    assert stored()["flwr"] == "1.42.0"


@each(list(CASES.values()))
def test_flwr_was_given_these_inputs(case: Case) -> None:
    entry = stored()["cases"][case.name]
    assert {name: value for name, value in entry.items() if name != "outputs"} == case.description()
    assert len(case.outputs()) == case.rounds
    changed = case.strategy == "FedAdam"  # a float64 scalar in its step makes every model float64
    assert {array.dtype for model in case.outputs() for array in model.values()} == {
        np.dtype("float64" if changed else case.dtype)
    }


@each(of_strategy("FedAvg"))
def test_the_weighted_mean_agrees(case: Case) -> None:
    assert off(case.outputs()[0], mean_of(case)) < WITHIN[case.dtype]


@each(of_strategy("FedMedian"))
def test_the_median_agrees(case: Case) -> None:
    assert off(case.outputs()[0], plain.of_models(plain.median, case.models())) < WITHIN[case.dtype]


@each(of_strategy("FedTrimmedAvg"))
def test_the_trimmed_mean_agrees(case: Case) -> None:
    expected = plain.of_models(plain.trimmed_mean, case.models(), case.arguments["beta"])
    assert off(case.outputs()[0], expected) < WITHIN[case.dtype]


@each([case for case in of_strategy("Krum") if case.offset == 0 and not case.reversed_names])
def test_krum_takes_the_same_model(case: Case) -> None:
    assert off(case.outputs()[0], case.models()[plain.krum(case.models(), bad(case))]) == 0


def test_krum_in_float32_takes_another_of_near_models() -> None:
    wide, narrow = (case for case in of_strategy("Krum") if case.offset)
    assert (wide.dtype, narrow.dtype) == ("float64", "float32")
    models = wide.models()
    assert off(wide.outputs()[0], models[plain.krum(models, bad(wide))]) == 0

    models = narrow.models()
    taken = [place for place, model in enumerate(models) if off(narrow.outputs()[0], model) == 0]
    assert taken != [plain.krum(models, bad(narrow))]
    # The expansion |x|^2 + |y|^2 - 2xy in float32 is off by more than the distances themselves; some become negative.
    rows = np.stack([np.concatenate([array.ravel() for array in model.values()]) for model in models])
    norms = np.square(rows).sum(axis=1)
    expanded = norms[:, None] + norms[None, :] - 2 * rows @ rows.T
    exact = plain.squared_distances(models)
    assert expanded.dtype == np.float32
    assert np.abs(expanded - exact).max() > 100 * exact.max()
    assert expanded.min() < 0


def test_krum_measures_parameters_in_the_order_in_which_each_site_names_them() -> None:
    (case,) = (case for case in of_strategy("Krum") if case.reversed_names)
    models = case.models()
    assert off(case.outputs()[0], models[plain.krum(models, bad(case))]) > 0.1
    in_line = [{"all": np.concatenate([array.ravel() for array in model.values()])} for model in models]
    assert off(case.outputs()[0], models[plain.krum(in_line, bad(case))]) == 0


@each(of_strategy("MultiKrum"))
def test_multi_krum_weighs_what_it_has_selected(case: Case) -> None:
    models, weights = case.models(), case.weights()
    keep = int(case.arguments["num_nodes_to_select"])
    selected = plain.multi_krum_selection(models, bad(case), keep)
    weighted = plain.of_models(
        plain.weighted_mean, [models[place] for place in selected], [weights[place] for place in selected]
    )
    assert off(case.outputs()[0], weighted) < WITHIN[case.dtype]
    from_paper = off(case.outputs()[0], plain.multi_krum(models, bad(case), keep))
    assert from_paper < WITHIN[case.dtype] if case.equal_weights else from_paper > 0.01


@each(of_strategy("server.Bulyan"))
def test_the_earlier_bulyan_agrees(case: Case) -> None:
    assert off(case.outputs()[0], plain.bulyan(case.models(), bad(case))) < WITHIN[case.dtype]


@each(of_strategy("Bulyan"))
def test_bulyan_selects_by_one_ranking(case: Case) -> None:
    models, f = case.models(), bad(case)
    theta = case.sites - 2 * f
    ranked = plain.multi_krum_selection(models, f, theta)
    expected = plain.of_models(plain.mean_around_median, [models[place] for place in ranked], theta - 2 * f)
    assert off(case.outputs()[0], expected) < WITHIN[case.dtype]
    same = ranked == sorted(plain.bulyan_selection(models, f))
    from_paper = off(case.outputs()[0], plain.bulyan(models, f))
    assert from_paper < WITHIN[case.dtype] if same else from_paper > 0.01


def test_bulyan_s_ranking_is_another_selection_as_a_rule() -> None:
    other = [
        case
        for case in of_strategy("Bulyan")
        if plain.multi_krum_selection(case.models(), bad(case), case.sites - 2 * bad(case))
        != sorted(plain.bulyan_selection(case.models(), bad(case)))
    ]
    assert len(other) >= 4


@each(of_strategy("FedAvgM"))
def test_server_momentum_agrees(case: Case) -> None:
    optimizer = plain.FedAvgM(case.arguments["server_learning_rate"], case.arguments["server_momentum"])
    model: Model = case.initial()
    for round_, found in enumerate(case.outputs(), 1):
        model = optimizer.step(model, mean_of(case, round_))
        assert off(found, model) < WITHIN[case.dtype]


OPTIMIZERS: dict[str, Callable[..., Adaptive]] = {
    "FedAdagrad": plain.FedAdagrad,
    "FedAdam": plain.FedAdam,
    "FedYogi": plain.FedYogi,
}


def furthest(case: Case, v_start: float | None = None, exponent: Callable[[int], int] | None = None) -> float:
    """How far flwr is from the formula in its worst round.

    Args:
        case: of one of the `OPTIMIZERS`.
        v_start: v before the first round; that of the paper without.
        exponent: of the betas, by the round; with it eta is corrected for the bias of m and v that start at 0: Kingma
            and Ba 2015, https://arxiv.org/abs/1412.6980, end of section 2.
    """
    arguments = {"beta_1": 0.0, **case.arguments}  # flwr's FedAdagrad has no momentum
    optimizer = OPTIMIZERS[case.strategy](**arguments, v_start=v_start)
    model: Model = case.initial()
    worst = 0.0
    for round_, found in enumerate(case.outputs(), 1):
        if exponent:
            t = exponent(round_)
            optimizer.eta = arguments["eta"] * np.sqrt(1 - arguments["beta_2"] ** t) / (1 - arguments["beta_1"] ** t)
        model = optimizer.step(model, mean_of(case, round_))
        worst = max(worst, off(found, model))
    return worst


@each(of_strategy("FedAdagrad", "FedYogi"))
def test_adagrad_and_yogi_start_with_v_at_0(case: Case) -> None:
    assert furthest(case) > 2e-6
    assert furthest(case, v_start=0.0) < WITHIN[case.dtype]


@each(of_strategy("FedAdam"))
def test_adam_starts_with_v_at_0_and_corrects_the_bias_by_one_round_too_many(case: Case) -> None:
    assert furthest(case) > 1e-2
    assert furthest(case, v_start=0.0) > 1e-2
    assert furthest(case, v_start=0.0, exponent=lambda round_: round_) > 5e-3  # as Kingma and Ba have it
    assert furthest(case, exponent=lambda round_: round_ + 1) > 1e-4
    assert furthest(case, v_start=0.0, exponent=lambda round_: round_ + 1) < WITHIN[case.dtype]
