"""Federated statistics: what all sites' rows are like, without a row leaving its site.

Two rounds. In the first every site tells, for each feature, how many values it has, their sum, the least and the
greatest. From these come the mean and the bounds of the histogram, which the second round sends: every site answers
with its sum of squared deviations from that mean, and its histogram. So variances are added up around the mean of all
and not as differences of large squares. Quantiles are read off the histogram.

Without noise a site keeps small numbers to itself, as tables of health statistics do: it tells nothing of a feature
with fewer values than `min_count`, and a histogram's bin with fewer rows is sent as 0. So histogram and quantiles are
those of the rows in larger bins; ``binned`` says how many these are. Such a rule hides a row from a reader of the table
and not from somebody who compares two runs, with and without it: that takes noise.

A script answers with `fltui.client.statistics`. What comes of it is a model, one array for each statistic, a row in it
for each feature, and ``statistics.csv`` in the run folder.

With a `noise_multiplier` z every site adds noise to what it tells, so that no row shows: each answer is a Gaussian
mechanism, scaled so that one row more or less changes it by a Euclidean norm of 1 and noise of deviation z is added;
see `fltui.aggregation.privacy` for ε.

Least and greatest values are those of single rows. So bounds have to be given, known without a look at the data, unless
the job says that these two may be told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.privacy import GaussianNoise
from fltui.arguments import check_number, check_whole, wrong
from fltui.errors import BadInputError, RunFailedError
from fltui.model import STATISTICS, Params
from fltui.run.models import ModelWriter, StoredModel
from fltui.workflows.workflow import Answer, Federation, Request, Workflow

_MOST_BINS = 10_000

TABLE = "statistics"
"""Name of the table that comes of it."""

Column = NDArray[np.float64]
"""One number for each feature."""


@dataclass(frozen=True)
class Statistics(Workflow):
    """Counts, means, variances, histograms and quantiles over all sites.

    Attributes:
        features: their names; a script gives values for each.
        num_clients: how many sites are asked.
        min_clients: how many have to answer; all if not given.
        bins: of each histogram.
        quantiles: between 0 and 1.
        bounds: the least and the greatest value of each feature; values beyond count as these.
        exact_extremes: features without bounds are allowed: each site tells the least and the greatest of its values.
        min_count: a site with fewer values of a feature tells nothing of it, and 0 of a bin with fewer; nothing is made
            of fewer in all. With noise, it counts for the last alone.
        noise_multiplier: z, the noise that each site adds; none if not given.
        delta: δ, see `GaussianNoise`.
        noise_seed: see `seed` of `GaussianNoise`.
        round_timeout: seconds that the sites have in each round; no deadline if not given.
        start_round: number of the first round.

    Raises:
        BadInputError: an argument makes no sense, or a feature has no bounds and is not allowed to.
    """

    features: tuple[str, ...] = ()
    num_clients: int = 3
    min_clients: int | None = None
    bins: int = 20
    quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    exact_extremes: bool = False
    min_count: int = 10
    noise_multiplier: float | None = None
    delta: float = 1e-5
    noise_seed: int | None = None
    round_timeout: float | None = None
    start_round: int = 0

    no_site_filters: ClassVar[str] = (
        "filters look at an update of a model, and statistics are no such; noise for them is noise_multiplier=..."
    )

    def __post_init__(self) -> None:
        for name, expected in (("features", "names, each of them once"), ("quantiles", "numbers from 0 to 1")):
            value: object = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise BadInputError(f"Statistics: {name} is {value!r}, expected a list of {expected}")
            object.__setattr__(self, name, tuple(value))
        for name, least in (("num_clients", 1), ("min_count", 1), ("start_round", 0)):
            check_whole(self, name, least)
        check_whole(self, "bins", 1, _MOST_BINS)
        check_number(self, "round_timeout", above=0, optional=True, expected="seconds above 0")
        quorum = f"1 to num_clients, which is {self.num_clients}"
        check_whole(self, "min_clients", 1, self.num_clients, optional=True, expected=quorum)
        if not isinstance(self.bounds, dict):
            raise wrong(self, "bounds", "the least and the greatest value by feature, such as {'age': (0, 120)}")
        named = all(isinstance(one, str) and one for one in self.features)
        if not self.features or not named or len(set(self.features)) < len(self.features):
            raise BadInputError(f"Statistics: features is {list(self.features)!r}, expected names, each of them once")
        if not all(_is_number(one) and 0 <= one <= 1 for one in self.quantiles):
            raise BadInputError(f"Statistics: quantiles is {list(self.quantiles)!r}, expected numbers from 0 to 1")
        for feature, bounds in self.bounds.items():
            if feature not in self.features:
                raise BadInputError(f"Statistics: bounds has {feature!r}, which is not one of the features")
            if not _are_bounds(bounds):
                raise BadInputError(
                    f"Statistics: bounds of {feature!r} is {bounds!r}, expected the least value and a greater one"
                )
        if type(self.exact_extremes) is not bool:
            raise BadInputError(f"Statistics: exact_extremes is {self.exact_extremes!r}, expected True or False")
        free = [name for name in self.features if name not in self.bounds]
        if self.noise is not None and free:
            raise BadInputError(
                f"Statistics: noise hides a row only within bounds that are known, and {free[0]!r} has none; give them "
                "as bounds={...}"
            )
        if free and not self.exact_extremes:
            raise BadInputError(
                f"Statistics: {free[0]!r} has no bounds, so every site would tell its least and its greatest value, "
                "which are those of single rows; give bounds={...}, or exact_extremes=True if that may be"
            )

    @property
    def noise(self) -> GaussianNoise | None:
        """The noise that hides a row; None without any."""
        if self.noise_multiplier is None:
            return None
        found = GaussianNoise(self.noise_multiplier, 1.0, self.delta, seed=self.noise_seed)
        found.check(at_site=False)
        return found

    @property
    def rounds(self) -> range:
        """Numbers of the two rounds."""
        return range(self.start_round, self.start_round + 2)

    @property
    def site_count(self) -> int:
        """How many sites it asks for."""
        return self.num_clients

    @property
    def quorum(self) -> int:
        """How many sites have to be there."""
        return self.min_clients or self.num_clients

    def for_sites(self, count: int) -> Statistics:
        """The same workflow for `count` sites."""
        return replace(self, num_clients=count, min_clients=self.min_clients and min(self.min_clients, count))

    def for_rounds(self, count: int) -> Statistics:  # noqa: ARG002  # it has two
        """The same workflow."""
        return self

    async def run(self, federation: Federation) -> str:
        """Go through the rounds that are to be done; see `Workflow.run`."""
        rows = len(self.features)
        asked = {name: np.zeros(rows) for name in ("count", "sum", "least", "greatest")}
        model, rounds = federation.begin(asked, self.rounds)
        start = federation.first_round
        for number in rounds:
            if number == start:
                model = await self._ask(federation, model, number, start, asked, {})
            else:
                found = {name: _column(model, name) for name in ("mean", "low", "high")}
                wanted = {"squares": np.zeros(rows), "histogram": np.zeros((rows, self.bins))}
                if self.noise is None:
                    wanted["count"] = np.zeros(rows)
                told = {name: column.tolist() for name, column in found.items()}
                model = await self._ask(federation, model, number, start, wanted, told)
        federation.add_table(TABLE, self._rows(model))
        return ""

    async def _ask(
        self, federation: Federation, model: StoredModel, number: int, start: int, wanted: Params, told: dict[str, Any]
    ) -> StoredModel:
        """One round: what the sites tell, added up, and the model that it makes."""
        sites = await federation.sites(self.quorum)
        with federation.scratch_model("asked", list(wanted)) as template:
            template.add_all(wanted, {})
        about = {
            "features": list(self.features),
            "bins": self.bins,
            "min_count": self.min_count,
            "bounds": {name: list(pair) for name, pair in self.bounds.items()},
            "noise_multiplier": self.noise_multiplier,
            "noise_seed": self.noise_seed,
            **told,
        }
        request = Request(
            task_name=STATISTICS,
            round=number,
            start_round=start,
            total_rounds=2,
            sites=sites,
            model=model,
            quorum=min(self.quorum, len(sites)),
            timeout=self.round_timeout,
            sent=template.stored,
            meta={STATISTICS: about},
        )
        answers = [replace(answer, weight=1.0) for answer in await federation.ask(request)]
        totals = {name: [_array(answer, name) for answer in answers] for name in wanted}
        made = self._first(totals, number) if number == start else self._second(totals, model)
        with federation.new_model(number + 1, sorted(made)) as new:
            _write(new, made)
        if self.noise is not None:
            federation.spend(number, self.noise.epsilon(number - start + 1), self.delta)
        return federation.finish_round(request, answers, 0.0, {})

    def _first(self, told: dict[str, list[Column]], number: int) -> Params:
        """Counts, means and bounds."""
        count, total = _sum(told["count"]), _sum(told["sum"])
        enough = count >= self.min_count
        if not enough.any():
            raise RunFailedError(
                f"round {number}: no feature has {self.min_count} values in all, and nothing is made of fewer "
                "(min_count)"
            )
        has = np.stack(told["count"]) >= 1
        low = np.where(has, np.stack(told["least"]), np.inf).min(axis=0)
        high = np.where(has, np.stack(told["greatest"]), -np.inf).max(axis=0)
        for place, feature in enumerate(self.features):
            if feature in self.bounds:
                low[place], high[place] = self.bounds[feature]
        low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
        mean = np.divide(total, count, out=np.zeros_like(total), where=enough)
        return {"count": count, "mean": np.clip(mean, low, high), "low": low, "high": np.maximum(high, low)}

    def _second(self, told: dict[str, list[Column]], model: StoredModel) -> Params:
        """All that there is to tell; NaN where there are too few values."""
        found = {name: _column(model, name) for name in ("count", "mean", "low", "high")}
        count, histogram = found["count"], np.maximum(_sum(told["histogram"]), 0)
        enough = count >= self.min_count
        nothing = np.full_like(count, np.nan)
        # A site that is not there any more, or has just come, told nothing in one of the two rounds: what is added up
        # in this one belongs to the values of this one. With noise, they are counted once.
        seen = _sum(told["count"]) if "count" in told else count
        there = enough & (seen >= 1)
        variance = np.divide(np.maximum(_sum(told["squares"]), 0), seen, out=nothing.copy(), where=there)
        # One by one: of several at once NumPy gives other last bits than its histogram has.
        bounds = zip(found["low"], found["high"], strict=True)
        edges = np.stack([np.linspace(low, high, self.bins + 1) for low, high in bounds])
        quantiles = np.array(
            [
                [quantile(bins, edge, one) if some else math.nan for one in self.quantiles]
                for bins, edge, some in zip(histogram, edges, enough, strict=True)
            ]
        ).reshape(len(self.features), len(self.quantiles))
        return {
            "count": count,
            "binned": histogram.sum(axis=1),
            "mean": np.where(enough, found["mean"], nothing),
            "variance": variance,
            "standard_deviation": np.sqrt(variance),
            "histogram": histogram,
            "edges": edges,
            "quantiles": quantiles,
        }

    def _rows(self, model: StoredModel) -> Iterator[list[object]]:
        """The table: a row for each feature."""
        found = {name: _column(model, name) for name in ("count", "binned", "mean", "standard_deviation")}
        edges = _column(model, "edges").reshape(len(self.features), -1)
        quantiles = _column(model, "quantiles").reshape(len(self.features), -1)
        yield ["feature", *found, "low", "high", *(f"quantile {one:g}" for one in self.quantiles)]
        for place, feature in enumerate(self.features):
            numbers = [column[place] for column in found.values()]
            numbers += [edges[place, 0], edges[place, -1], *quantiles[place]]
            yield [feature, *(float(number) for number in numbers)]


def quantile(counts: Column, edges: Column, part: float) -> float:
    """The least value that `part` of all values do not exceed, as if the values of a bin lay evenly in it.

    It lies in the bin of the value that a quantile by the inverse of the distribution function is.

    Args:
        counts: of a histogram's bins, from 0.
        edges: of the bins, one more.
        part: 0 to 1.
    """
    below = np.concatenate([[0.0], np.cumsum(counts)])
    if below[-1] <= 0:
        return math.nan
    wanted, filled = part * below[-1], np.flatnonzero(counts)
    place = filled[min(int(np.searchsorted(below[1:][filled], wanted)), len(filled) - 1)]
    inside = min((wanted - below[place]) / counts[place], 1.0)
    return float(edges[place] + inside * (edges[place + 1] - edges[place]))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_bounds(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is_number(one) for one in value):
        return False
    return bool(value[0] < value[1])


def _sum(arrays: Sequence[Column]) -> Column:
    """Added up in the order of the sites."""
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def _array(answer: Answer, name: str) -> Column:
    """What a site told; no larger than what it was asked for."""
    with answer.open(name) as source:
        found = np.empty(source.size)
        source.read(0, found)
    return found.reshape(answer.entries[name].shape)


def _column(model: StoredModel, name: str) -> Column:
    with model.open(name) as source:
        found = np.empty(source.size)
        source.read(0, found)
    return found


def _write(new: ModelWriter, made: Params) -> None:
    for name, array in made.items():
        new.add(name, array)
