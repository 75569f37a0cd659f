"""Published aggregation rules and server optimisers, as one would write them down on paper.

Whole arrays in memory, float64 throughout, no thought for speed, nothing of fltui: to compare with.

- McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data",
  https://arxiv.org/abs/1602.05629
- Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates",
  https://arxiv.org/abs/1803.01498
- Pillutla et al. 2022, "Robust Aggregation for Federated Learning", https://arxiv.org/abs/1912.13445
- Blanchard et al. 2017, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
  https://arxiv.org/abs/1703.02757
- El Mhamdi et al. 2018, "The Hidden Vulnerability of Distributed Learning in Byzantium",
  https://arxiv.org/abs/1802.07927
- Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification",
  https://arxiv.org/abs/1909.06335
- Reddi et al. 2021, "Adaptive Federated Optimization", https://arxiv.org/abs/2003.00295
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
AnyArray = NDArray[Any]
Model = Mapping[str, AnyArray]
"""Parameter name to array. All models of a call have the same names and shapes."""


def of_models(rule: Callable[..., Array], models: Sequence[Model], *arguments: Any) -> dict[str, Array]:
    """Apply a rule on arrays to each parameter of the models: ``of_models(trimmed_mean, models, 0.2)``."""
    return {name: rule([model[name] for model in models], *arguments) for name in models[0]}


# --- each coordinate by itself; arrays of one shape, one a site ---


def weighted_mean(arrays: Sequence[AnyArray], weights: Sequence[float]) -> Array:
    """``sum_k (n_k / n) w_k``: McMahan et al., algorithm 1."""
    total = sum(weight * np.asarray(array, np.float64) for weight, array in zip(weights, arrays, strict=True))
    return np.asarray(total / sum(weights), np.float64)


def median(arrays: Sequence[AnyArray]) -> Array:
    """The usual one-dimensional median of each coordinate: Yin et al., definition 1."""
    return np.asarray(np.median(_stack(arrays), axis=0))


def trimmed_mean(arrays: Sequence[AnyArray], beta: float) -> Array:
    """The mean of each coordinate without its ``floor(beta * n)`` least and as many greatest values: Yin et al.,
    definition 2, for a ``beta * n`` that is no whole number too."""
    cut = math.floor(beta * len(arrays))
    return np.asarray(np.mean(np.sort(_stack(arrays), axis=0)[cut : len(arrays) - cut], axis=0))


def mean_around_median(arrays: Sequence[AnyArray], keep: int) -> Array:
    """The mean of those `keep` values of each coordinate that are closest to its median: El Mhamdi et al., section 4.

    The paper's median is one of the values; of an even number of them two are. Here it is the middle of those two.
    """
    values = _stack(arrays)
    closest = np.argsort(np.abs(values - np.median(values, axis=0)), axis=0, kind="stable")[:keep]
    return np.asarray(np.mean(np.take_along_axis(values, closest, axis=0), axis=0))


# --- by the distances between whole models ---


def squared_distances(models: Sequence[Model]) -> Array:
    """``|x_i - x_j|^2`` over all parameters together, shape (sites, sites)."""
    rows = _rows(models)
    return np.array([[np.sum((one - other) ** 2) for other in rows] for one in rows])


def krum_scores(models: Sequence[Model], f: int) -> Array:
    """``s(i) = sum_{i -> j} |V_i - V_j|^2`` over the ``n - f - 2`` models closest to the i-th: Blanchard et al.,
    section 4. Where that leaves none, as it may at the end of Bulyan, over the closest one."""
    return _scores(squared_distances(models), f)


def krum(models: Sequence[Model], f: int) -> int:
    """Which model Krum takes: the one with the least score, of several the first. Blanchard et al., section 4."""
    return int(np.argmin(krum_scores(models, f)))


def multi_krum_selection(models: Sequence[Model], f: int, k: int) -> list[int]:
    """Which models Multi-Krum averages: the k with the least scores, in ascending order of their places."""
    return sorted(np.argsort(krum_scores(models, f), kind="stable")[:k].tolist())


def multi_krum(models: Sequence[Model], f: int, k: int) -> dict[str, Array]:
    """``(1/k) sum V_i`` of the k models with the least scores, without weights: Blanchard et al., section 6."""
    selected = [models[place] for place in multi_krum_selection(models, f, k)]
    return of_models(weighted_mean, selected, [1] * k)


def bulyan_selection(models: Sequence[Model], f: int) -> list[int]:
    """The ``theta = n - 2f`` models that Krum takes one after the other, each time among those that are left: El Mhamdi
    et al., section 4. In the order in which they are taken."""
    distances = squared_distances(models)
    left = list(range(len(models)))
    taken: list[int] = []
    while len(taken) < len(models) - 2 * f:
        taken.append(left.pop(int(np.argmin(_scores(distances[np.ix_(left, left)], f)))))
    return taken


def bulyan(models: Sequence[Model], f: int) -> dict[str, Array]:
    """Bulyan over Krum: of the models selected, the mean of those ``theta - 2f`` values of each coordinate that are
    closest to its median. El Mhamdi et al., section 4."""
    selected = [models[place] for place in bulyan_selection(models, f)]
    return of_models(mean_around_median, selected, len(selected) - 2 * f)


def geometric_median(
    models: Sequence[Model], weights: Sequence[float] | None = None, nu: float = 1e-9
) -> dict[str, Array]:
    """The z for which ``sum_k a_k |z - w_k|`` is least, by the smoothed Weiszfeld algorithm run until it stands still:
    Pillutla et al., algorithm 2, ``b_k = a_k / max(nu, |z - w_k|)``, ``z = sum_k b_k w_k / sum_k b_k``.

    Args:
        models: one a site.
        weights: the a_k; all 1 without.
        nu: the distance below which a model counts as that far.
    """
    rows = _rows(models)
    alpha = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
    z = alpha @ rows / alpha.sum()
    for _ in range(100_000):
        beta = alpha / np.maximum(nu, np.sqrt(np.sum((rows - z) ** 2, axis=1)))
        before, z = z, beta @ rows / beta.sum()
        if np.abs(z - before).max() <= 1e-14 * max(1.0, np.abs(z).max()):
            break
    else:
        raise ArithmeticError("the geometric median still moves after 100,000 steps")
    found, start = {}, 0
    for name, array in models[0].items():
        found[name] = z[start : start + np.size(array)].reshape(np.shape(array))
        start += np.size(array)
    return found


# --- server optimisers: `step` takes x_t and the sites' mean, gives x_{t+1}, keeps the state ---


@dataclass
class FedAvgM:
    """``v <- beta v + delta``, ``x <- x + eta v`` with ``delta = mean - x``: Hsu et al., "FedAvg with server momentum",
    who write it with ``eta = 1`` and the opposite sign of delta."""

    eta: float = 1.0
    beta: float = 0.9
    v: dict[str, Array] = field(default_factory=dict)

    def step(self, x: Model, mean: Model) -> dict[str, Array]:
        for name, delta in _difference(mean, x).items():
            self.v[name] = self.beta * self.v.get(name, np.zeros_like(delta)) + delta
        return {name: np.asarray(x[name] + self.eta * self.v[name]) for name in x}


@dataclass
class Adaptive(ABC):
    """What the three optimisers of Reddi et al., algorithm 2, have in common::

        m_t = beta_1 m_{t-1} + (1 - beta_1) delta_t,   m_{-1} = 0
        v_t = ...,                                     v_{-1} >= tau^2
        x_{t+1} = x_t + eta m_t / (sqrt(v_t) + tau)

    There is no bias correction in it.

    Attributes:
        v_start: v_{-1} in each coordinate; ``tau ** 2`` without.
        m, v: state, by parameter.
    """

    eta: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.99
    tau: float = 1e-3
    v_start: float | None = None
    m: dict[str, Array] = field(default_factory=dict)
    v: dict[str, Array] = field(default_factory=dict)

    @abstractmethod
    def second(self, v: Array, square: Array) -> Array:
        """v_t of v_{t-1} and delta_t^2."""

    def step(self, x: Model, mean: Model) -> dict[str, Array]:
        start = self.tau**2 if self.v_start is None else self.v_start
        for name, delta in _difference(mean, x).items():
            self.m[name] = self.beta_1 * self.m.get(name, np.zeros_like(delta)) + (1 - self.beta_1) * delta
            self.v[name] = self.second(self.v.get(name, np.full_like(delta, start)), delta**2)
        return {n: np.asarray(x[n] + self.eta * self.m[n] / (np.sqrt(self.v[n]) + self.tau)) for n in x}


class FedAdagrad(Adaptive):
    """``v_t = v_{t-1} + delta_t^2``: Reddi et al., algorithm 2."""

    def second(self, v: Array, square: Array) -> Array:
        return v + square


class FedAdam(Adaptive):
    """``v_t = beta_2 v_{t-1} + (1 - beta_2) delta_t^2``: Reddi et al., algorithm 2."""

    def second(self, v: Array, square: Array) -> Array:
        return self.beta_2 * v + (1 - self.beta_2) * square


class FedYogi(Adaptive):
    """``v_t = v_{t-1} - (1 - beta_2) delta_t^2 sign(v_{t-1} - delta_t^2)``: Reddi et al., algorithm 2."""

    def second(self, v: Array, square: Array) -> Array:
        return np.asarray(v - (1 - self.beta_2) * square * np.sign(v - square))


def _stack(arrays: Sequence[AnyArray]) -> Array:
    return np.stack([np.asarray(array, np.float64) for array in arrays])


def _rows(models: Sequence[Model]) -> Array:
    """Each model as one row: its parameters one after the other, in the order of the first model."""
    return np.stack(
        [np.concatenate([np.ravel(model[name]).astype(np.float64) for name in models[0]]) for model in models]
    )


def _scores(distances: Array, f: int) -> Array:
    closest = max(1, len(distances) - f - 2)
    to_others = [np.sort(np.delete(row, place))[:closest] for place, row in enumerate(distances)]
    return np.array([np.sum(row) for row in to_others])


def _difference(mean: Model, x: Model) -> dict[str, Array]:
    return {name: np.asarray(mean[name], np.float64) - np.asarray(x[name], np.float64) for name in x}
