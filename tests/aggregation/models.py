"""Whole models of several parameters, put through an aggregator and an optimiser as the server does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import strategies as st

from fltui.aggregation import blocks, coordinates
from fltui.aggregation.aggregators import Aggregator, unmeasured
from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.distances import squared_distances
from fltui.aggregation.optimizers import OptimizerStep, ServerOptimizer
from fltui.aggregation.parameter import write_parameter
from fltui.aggregation.terms import Term
from tests.aggregation.arrays import Array, ListSink

Model = dict[str, Array]

DTYPES = ("float16", "float32", "float64")


@dataclass
class Sent:
    """What one site sends."""

    arrays: Model
    weight: float = 1.0
    is_difference: bool = False

    def whole(self, base: Model) -> Model:
        """Its model, in float64."""
        return {
            name: array.astype(np.float64) + (base[name].astype(np.float64) if self.is_difference else 0)
            for name, array in self.arrays.items()
        }


@dataclass
class Given:
    """A round: the model before it and what the sites send."""

    base: Model
    sites: list[Sent]

    @property
    def counting(self) -> list[Sent]:
        return [site for site in self.sites if site.weight]

    @property
    def wholes(self) -> list[Model]:
        """The models of the sites that count, in float64."""
        return [site.whole(self.base) for site in self.counting]

    @property
    def weights(self) -> list[float]:
        return [site.weight for site in self.counting]


@dataclass
class Server:
    """Goes from round to round; keeps what an optimiser keeps."""

    aggregator: Aggregator
    optimizer: ServerOptimizer | None = None
    states: dict[str, Model] = field(default_factory=dict)

    def judged(self, given: Given) -> list[Sent]:
        """The sites with the weights that they have in the next model."""
        if self.aggregator.by_claims:
            return given.sites
        names, counting = sorted(given.base), given.counting
        distances = unmeasured(len(counting))
        if self.aggregator.by_distance:
            distances = squared_distances([(terms(counting, name), ArraySource(given.base[name])) for name in names])
        weights = iter(self.aggregator.judge(distances))
        return [replace(site, weight=next(weights)) if site.weight else site for site in given.sites]

    def combine(self, given: Given, sites: Sequence[Sent]) -> Model:
        """The next model."""
        return {name: self._parameter(name, base, sites) for name, base in given.base.items()}

    def next(self, given: Given) -> Model:
        """A whole round."""
        return self.combine(given, self.judged(given))

    def _parameter(self, name: str, base: Array, sites: Sequence[Sent]) -> Array:
        sink, step = ListSink(), None
        after = {state: ListSink() for state in (self.optimizer.states if self.optimizer else ())}
        if self.optimizer:
            known = {state: self.states.get(state, {}).get(name) for state in after}
            before = {state: None if array is None else ArraySource(array) for state, array in known.items()}
            step = OptimizerStep(self.optimizer, before, after)
        write_parameter(self.aggregator.combine(terms(sites, name)), ArraySource(base), sink, step)
        for state, written in after.items():
            self.states.setdefault(state, {})[name] = written.array()
        return sink.array().reshape(base.shape)


def terms(sites: Sequence[Sent], name: str) -> list[Term]:
    return [Term(ArraySource(site.arrays[name]), site.weight, site.is_difference) for site in sites]


@contextmanager
def blocks_of(length: int) -> Iterator[None]:
    """All is done by blocks of so many elements."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", length)
        patch.setattr(coordinates, "block_length", lambda _: length)
        yield


@st.composite
def rounds(draw: st.DrawFn, sites: st.SearchStrategy[int], dtype: str | None = None) -> Given:
    """Parameters of ranks 0 to 4; sites that send them whole, as differences, or some so and some so.

    Values come from a seed: hypothesis would make many that are equal, and who of equal ones counts is no formula.
    """
    seed, count = draw(st.integers(0, 1 << 30)), draw(sites)
    dtype = dtype or draw(st.sampled_from(DTYPES))
    kind = draw(st.sampled_from(["whole", "differences", "both"]))
    idle = draw(st.integers(0, 2))
    random = np.random.RandomState(seed)
    scale = float(10 ** random.uniform(-1, 1))
    shapes = {f"rank {rank}": tuple(random.randint(1, 4, rank).tolist()) for rank in range(5)}

    def model(size: float) -> Model:
        return {name: np.asarray(size * random.standard_normal(shape), dtype) for name, shape in shapes.items()}

    given = Given(model(scale), [])
    for number in range(count + idle):
        is_difference = kind == "differences" or (kind == "both" and number % 3 == 1)
        weight = float(random.randint(1, 500)) if number < count else 0.0
        given.sites.append(Sent(model(scale * (1 if weight else 1000)), weight, is_difference))
    random.shuffle(given.sites)  # type: ignore[arg-type]
    return given


def assert_equal(found: Mapping[str, Array], expected: Mapping[str, Array], within: float = 1e-9) -> None:
    """Equal within the rounding of the dtype that was found; `within` what float64 has room for."""
    assert found.keys() == expected.keys()
    scale = max(float(np.abs(array).max()) for array in expected.values())
    for name, array in found.items():
        about = np.finfo(array.dtype)
        slack = max(within, 0.51 * float(about.eps)) * np.abs(expected[name])
        slack += within * scale + float(about.smallest_subnormal)
        off = np.abs(array.astype(np.float64) - expected[name])
        assert array.shape == np.shape(expected[name])
        assert (off <= slack).all(), f"{name}: off by {off.max()}"
