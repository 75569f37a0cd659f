"""The formulas on numbers small enough to be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles import plain


def line(*values: float) -> list[plain.Model]:
    """Models of one number each."""
    return [{"x": np.array(value)} for value in values]


def test_means_and_medians() -> None:
    arrays = [np.array([value, -value]) for value in (1.0, 2.0, 3.0, 10.0)]
    assert plain.weighted_mean(arrays, [1, 1, 1, 2]).tolist() == [5.2, -5.2]
    assert plain.median(arrays).tolist() == [2.5, -2.5]
    assert plain.trimmed_mean(arrays, 0.25).tolist() == [2.5, -2.5]
    assert plain.trimmed_mean(arrays, 0.24).tolist() == [4.0, -4.0]
    assert plain.mean_around_median(arrays, 3).tolist() == [2.0, -2.0]


def test_krum_measures_to_the_n_minus_f_minus_2_closest() -> None:
    models = line(0, 1, 3, 4, 6, 100)
    assert plain.krum_scores(models, 1).tolist() == [26, 14, 14, 14, 38, 8836 + 9216 + 9409]
    assert plain.krum(models, 1) == 1
    assert plain.multi_krum_selection(models, 1, 4) == [0, 1, 2, 3]
    assert plain.multi_krum(models, 1, 4)["x"] == 2


def test_distances_are_over_all_parameters_whatever_their_order() -> None:
    models: list[plain.Model] = [
        {"a": np.zeros(2), "b": np.array(0.0)},
        {"b": np.array(4.0), "a": np.array([3.0, 12.0])},
    ]
    assert plain.squared_distances(models).tolist() == [[0, 169], [169, 0]]


def test_bulyan_takes_one_after_the_other() -> None:
    models = line(0, 1, 3, 4, 6, 7, 100)
    # The least sum to the 4 closest is that of 3: 1 + 4 + 9 + 9. Without it and to 3: 4, 4 + 9 + 9. Then to 2: 1, as
    # good as 6 and before it, 1 + 25. Then to one: 6. Of 0, 7 and 100, still to one, 0 is as good as 7 and before it.
    assert plain.bulyan_selection(models, 1) == [2, 3, 1, 4, 0]
    # Of 3, 4, 1, 6 and 0 the three closest to 3 are 3, 4 and 1.
    assert plain.bulyan(models, 1)["x"] == pytest.approx(8 / 3)


def test_the_geometric_median() -> None:
    corners: list[plain.Model] = [
        {"x": np.array([np.cos(angle), np.sin(angle)]), "y": np.array(0.5)} for angle in np.arange(3) * 2 * np.pi / 3
    ]
    found = plain.geometric_median(corners)
    np.testing.assert_allclose(found["x"], [0, 0], atol=1e-12)
    assert found["y"].shape == ()
    assert plain.geometric_median(line(0, 1, 5, 6, 100))["x"] == pytest.approx(5, abs=1e-8)
    assert plain.geometric_median(line(0, 1, 5), [5, 1, 1])["x"] == pytest.approx(0, abs=1e-8)
    assert plain.geometric_median(line(3, 3))["x"] == 3


def test_no_step_away_from_the_geometric_median_is_downhill() -> None:
    rows = np.random.RandomState(5).random_sample((9, 4))
    away = plain.geometric_median([{"x": row} for row in rows])["x"] - rows
    np.testing.assert_allclose((away / np.linalg.norm(away, axis=1)[:, None]).sum(axis=0), 0, atol=1e-10)


def test_server_momentum_adds_up() -> None:
    optimizer = plain.FedAvgM(eta=0.5, beta=0.5)
    model = optimizer.step(line(0)[0], line(2)[0])
    assert model["x"] == 1
    assert optimizer.step(model, line(2)[0])["x"] == 2  # v = 0.5 * 2 + 1


@pytest.mark.parametrize(
    ("rule", "v"),
    [(plain.FedAdagrad, 0.25 + 4), (plain.FedAdam, 0.75 * 0.25 + 1), (plain.FedYogi, 0.25 + 1)],
)
def test_the_first_step_of_the_adaptive_ones(rule: type[plain.Adaptive], v: float) -> None:
    optimizer = rule(eta=0.1, beta_1=0.5, beta_2=0.75, tau=0.5)
    assert optimizer.step(line(1)[0], line(3)[0])["x"] == pytest.approx(1 + 0.1 * 1 / (np.sqrt(v) + 0.5), rel=1e-15)
    assert optimizer.v["x"] == pytest.approx(v)
    still = rule(eta=0.1, beta_1=0.5, beta_2=0.75, tau=0.5, v_start=9.0)
    still.step(line(1)[0], line(1)[0])
    assert still.v["x"] == (6.75 if rule is plain.FedAdam else 9)


def test_yogi_lets_v_shrink_by_no_more_than_the_square() -> None:
    optimizer = plain.FedYogi(beta_2=0.75, v_start=9.0)
    optimizer.step(line(0)[0], line(2)[0])
    assert optimizer.v["x"] == 8
