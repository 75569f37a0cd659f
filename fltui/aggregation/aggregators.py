"""Aggregators: what the sites' models make together.

`judge` says how much each site counts, by the distances between all models where it asks for them; `combine` makes one
parameter of those that count. Each looks at one block at a time, so memory does not grow with the model.

The robust ones hold while at most some sites are bad, which send whatever they like. They do not use the weights that
the sites claim, which would give a bad one the say; a site that claims to weigh nothing is left out all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from fltui.aggregation.coordinates import Coordinates, mean_around_median, median, trimmed_mean
from fltui.aggregation.distances import Distances, bulyan_selection, geometric_median_weights, multi_krum
from fltui.aggregation.mean import Mean, median_metrics, weighted_metrics
from fltui.aggregation.parameter import Combine
from fltui.aggregation.terms import Term
from fltui.arguments import check_number, check_whole


@dataclass(frozen=True)
class Aggregator:
    """A rule that makes one model of many.

    Attributes:
        by_distance: `judge` needs the distances.
        by_claims: the weights that the sites claim count.
    """

    by_distance: ClassVar[bool] = False
    by_claims: ClassVar[bool] = False

    @property
    def least(self) -> int:
        """How many sites it needs."""
        return 1

    def judge(self, distances: Distances) -> list[float]:
        """How much each site counts, from 0, in the order of the distances, by which alone it may be judged.

        Args:
            distances: squared, between the models of the sites that do not claim to weigh nothing; where the aggregator
                is not `by_distance` only their shape has a meaning.

        Raises:
            ValueError: the models are too far from each other to be measured.
        """
        return [1.0] * len(distances)

    def combine(self, terms: Sequence[Term]) -> Combine:
        """One parameter of the sites; those that weigh nothing do not count."""
        return Mean(terms)

    def metrics_of(self, reports: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
        """A round's metrics, of the weight and the metrics of each site."""
        return median_metrics(reports)


@dataclass(frozen=True)
class WeightedMean(Aggregator):
    """The mean, each site with the weight it claims: Σ(w·x)/Σw. See `fltui.aggregation.mean`."""

    by_claims: ClassVar[bool] = True

    def metrics_of(self, reports: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
        """See `Aggregator.metrics_of`."""
        return weighted_metrics(reports)


@dataclass(frozen=True)
class Median(Aggregator):
    """The median of each coordinate; the mean of the two in the middle where the sites are even in number.

    Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", 2018, definition 1.
    """

    def combine(self, terms: Sequence[Term]) -> Combine:
        """See `Aggregator.combine`."""
        return Coordinates(terms, median)


@dataclass(frozen=True)
class TrimmedMean(Aggregator):
    """The mean of each coordinate without its least and its greatest values.

    Yin et al., 2018, definition 2.

    Attributes:
        beta: the part of the sites that is left out at either end, from 0 to below 0.5; rounded down to whole sites.
    """

    beta: float = 0.2

    def __post_init__(self) -> None:
        twice = "a number from 0 to below 0.5: it is left out twice, of the least and of the greatest values"
        check_number(self, "beta", least=0, below=0.5, expected=twice)

    @property
    def least(self) -> int:
        """See `Aggregator.least`: of fewer, none would be left out."""
        return math.ceil(round(1 / self.beta, 9)) if self.beta else 1

    def combine(self, terms: Sequence[Term]) -> Combine:
        """See `Aggregator.combine`."""
        count = sum(1 for term in terms if term.weight)
        cut = int(round(self.beta * count, 9))  # 0.29 * 100 is 28.999999999999996
        return Coordinates(terms, partial(trimmed_mean, cut=min(cut, (count - 1) // 2)))


@dataclass(frozen=True)
class GeometricMedian(Aggregator):
    """The model whose distances to those of the sites, not squared, have the least sum.

    Pillutla et al., "Robust Aggregation for Federated Learning", 2022, by the smoothed algorithm of Weiszfeld. A model
    that is a million times farther off than most are from each other does not count.
    """

    by_distance: ClassVar[bool] = True

    def judge(self, distances: Distances) -> list[float]:
        """See `Aggregator.judge`."""
        weights: list[float] = geometric_median_weights(distances).tolist()
        return weights


@dataclass(frozen=True)
class _Bounded(Aggregator):
    """Holds while at most `f` sites are bad."""

    f: int = 1

    by_distance: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole(self, "f", 0)


@dataclass(frozen=True)
class MultiKrum(_Bounded):
    """The mean of the `k` models that are closest to their neighbours.

    Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", 2017, section 4.

    Attributes:
        f: how many sites may be bad; it takes 2 f + 3 sites.
        k: how many models count; all but `f` and 2 if not given.
    """

    k: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, "k", 1, optional=True)

    @property
    def least(self) -> int:
        """See `Aggregator.least`."""
        return max(2 * self.f + 3, (self.k or 1) + self.f)

    def judge(self, distances: Distances) -> list[float]:
        """See `Aggregator.judge`."""
        count = len(distances)
        chosen = multi_krum(distances, self.f, self.k or count - self.f - 2)
        return [float(place in chosen) for place in range(count)]


@dataclass(frozen=True)
class Krum(_Bounded):
    """The one model that is closest to its neighbours.

    Blanchard et al., 2017, section 4.

    Attributes:
        f: how many sites may be bad; it takes 2 f + 3 sites.
    """

    @property
    def least(self) -> int:
        """See `Aggregator.least`."""
        return 2 * self.f + 3

    def judge(self, distances: Distances) -> list[float]:
        """See `Aggregator.judge`."""
        return MultiKrum(self.f, 1).judge(distances)


@dataclass(frozen=True)
class Bulyan(_Bounded):
    """Of the models that Krum chooses one after the other, the mean of each coordinate's values around their median.

    El Mhamdi et al., "The Hidden Vulnerability of Distributed Learning in Byzantium", 2018, section 4.

    Attributes:
        f: how many sites may be bad; it takes 4 f + 3 sites.
    """

    @property
    def least(self) -> int:
        """See `Aggregator.least`."""
        return 4 * self.f + 3

    def judge(self, distances: Distances) -> list[float]:
        """See `Aggregator.judge`."""
        chosen = bulyan_selection(distances, self.f)
        return [float(place in chosen) for place in range(len(distances))]

    def combine(self, terms: Sequence[Term]) -> Combine:
        """See `Aggregator.combine`."""
        chosen = sum(1 for term in terms if term.weight)
        return Coordinates(terms, partial(mean_around_median, keep=chosen - 2 * self.f))


def unmeasured(count: int) -> Distances:
    """What `Aggregator.judge` gets where nothing is measured."""
    return np.zeros((count, count))
