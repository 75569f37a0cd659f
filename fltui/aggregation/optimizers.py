"""Server optimisers: the sites' mean as a direction in which the global model goes a step of its own.

Reddi et al., "Adaptive Federated Optimization", 2021, algorithm 2, with Δ the change that the aggregate would make:

    m <- b1 m + (1 - b1) Δ
    v <- v + Δ²                           (FedAdagrad)
    v <- v - (1 - b2) Δ² sign(v - Δ²)     (FedYogi)
    v <- b2 v + (1 - b2) Δ²               (FedAdam)
    x <- x + η m / (sqrt(v) + τ)

m begins at 0 and v at τ², the least that the paper allows. As in the paper, and other than in Adam for one machine,
neither is corrected for where it began.

FedAvgM: Hsu et al., "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification",
2019: ``v <- b v + Δ``, ``x <- x + η v``.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from fltui.aggregation.blocks import Sink, Source
from fltui.aggregation.terms import Row
from fltui.arguments import check_number


@dataclass(frozen=True)
class ServerOptimizer(abc.ABC):
    """A rule that makes a step of a change; one element does not depend on another.

    Attributes:
        states: names of what it keeps from round to round, one float64 element for each of the model's.
    """

    states: ClassVar[tuple[str, ...]]

    def initial(self, state: str) -> float:  # noqa: ARG002  # of each
        """What a state is before the first step."""
        return 0.0

    @abc.abstractmethod
    def step(self, change: Row, states: Mapping[str, Row]) -> Row:
        """What is added to the model, by the change that the aggregate would make; brings the states up to date."""


@dataclass(frozen=True)
class FedAvgM(ServerOptimizer):
    """Averaging with momentum at the server.

    Attributes:
        learning_rate: η, above 0.
        momentum: b, from 0 to below 1.
    """

    learning_rate: float = 1.0
    momentum: float = 0.9

    states: ClassVar[tuple[str, ...]] = ("momentum",)

    def __post_init__(self) -> None:
        check_number(self, "learning_rate", above=0)
        check_number(self, "momentum", least=0, below=1)

    def step(self, change: Row, states: Mapping[str, Row]) -> Row:
        """See `ServerOptimizer.step`."""
        moving = states["momentum"]
        moving *= self.momentum
        moving += change
        return self.learning_rate * moving


@dataclass(frozen=True)
class _Adaptive(ServerOptimizer):
    """A step for each element by how far it went before.

    Attributes:
        learning_rate: η, above 0.
        beta_1: how much of the direction stays, from 0 to below 1.
        tau: τ, above 0; the larger, the less the steps adapt.
    """

    learning_rate: float = 0.1
    beta_1: float = 0.9
    tau: float = 1e-3

    states: ClassVar[tuple[str, ...]] = ("momentum", "variance")

    def __post_init__(self) -> None:
        check_number(self, "learning_rate", above=0)
        check_number(self, "beta_1", least=0, below=1)
        check_number(self, "tau", above=0)

    def initial(self, state: str) -> float:
        """See `ServerOptimizer.initial`."""
        return self.tau * self.tau if state == "variance" else 0.0

    def step(self, change: Row, states: Mapping[str, Row]) -> Row:
        """See `ServerOptimizer.step`."""
        direction, variance = states["momentum"], states["variance"]
        direction *= self.beta_1
        direction += (1 - self.beta_1) * change
        self.adapt(variance, change * change)
        return self.learning_rate * direction / (np.sqrt(variance) + self.tau)

    @abc.abstractmethod
    def adapt(self, variance: Row, square: Row) -> None:
        """Bring v up to date by Δ²."""


@dataclass(frozen=True)
class FedAdagrad(_Adaptive):
    """Adagrad at the server, see `_Adaptive` for its arguments; the published one has `beta_1` 0."""

    beta_1: float = 0.0

    def adapt(self, variance: Row, square: Row) -> None:
        """See `_Adaptive.adapt`."""
        variance += square


@dataclass(frozen=True)
class _Forgetting(_Adaptive):
    """Adaptive, by what it has not forgotten.

    Attributes:
        beta_2: how much of v stays, from 0 to below 1.
    """

    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "beta_2", least=0, below=1)


@dataclass(frozen=True)
class FedAdam(_Forgetting):
    """Adam at the server; see `_Adaptive` and `_Forgetting` for its arguments."""

    def adapt(self, variance: Row, square: Row) -> None:
        """See `_Adaptive.adapt`."""
        variance *= self.beta_2
        variance += (1 - self.beta_2) * square


@dataclass(frozen=True)
class FedYogi(_Forgetting):
    """Yogi at the server: v grows and shrinks by no more than the square of the change; arguments as `FedAdam`."""

    def adapt(self, variance: Row, square: Row) -> None:
        """See `_Adaptive.adapt`."""
        variance -= (1 - self.beta_2) * square * np.sign(variance - square)


class Step(Protocol):
    """What becomes of one parameter instead of what the sites' arrays make together, block by block; blocks may be made
    in several threads at once."""

    def block(self, start: int, old: Row, new: Row) -> Sequence[Row]:
        """Let `new`, what the sites' arrays make together, be what is to become of `old`; the states after it."""

    def write(self, states: Sequence[Row]) -> None:
        """Append the states of one block; call it in the order of the blocks.

        Raises:
            ValueError: a state is not finite.
        """


class PartOf:
    """Goes a part of the way: a `Step` that keeps nothing.

    Args:
        part: 1 is all of it.
    """

    def __init__(self, part: float) -> None:
        self._part = part

    def block(self, start: int, old: Row, new: Row) -> Sequence[Row]:  # noqa: ARG002  # each block is like the others
        """See `Step.block`."""
        np.subtract(new, old, out=new)
        np.multiply(new, self._part, out=new)
        np.add(old, new, out=new)
        return ()

    def write(self, states: Sequence[Row]) -> None:
        """See `Step.write`."""


class OptimizerStep:
    """An optimiser's `Step`.

    Args:
        optimizer: the rule.
        before: its states; None for one that begins.
        after: take the states of the next round.
    """

    def __init__(
        self, optimizer: ServerOptimizer, before: Mapping[str, Source | None], after: Mapping[str, Sink]
    ) -> None:
        self._optimizer = optimizer
        self._before = before
        self._after = after

    def block(self, start: int, old: Row, new: Row) -> Sequence[Row]:
        """Let `new`, what the sites' arrays make together, be what the step makes of it; the states after it."""
        states = {name: self._state(name, start, new.size) for name in self._optimizer.states}
        np.subtract(new, old, out=new)
        np.add(old, self._optimizer.step(new, states), out=new)
        return list(states.values())

    def _state(self, name: str, start: int, count: int) -> Row:
        found: Row = np.empty(count)
        source = self._before[name]
        if source is None:
            found.fill(self._optimizer.initial(name))
        else:
            source.read(start, found)
        return found

    def write(self, states: Sequence[Row]) -> None:
        """Append the states of one block; call it in the order of the blocks.

        Raises:
            ValueError: a state is not finite.
        """
        for name, found in zip(self._optimizer.states, states, strict=True):
            if not np.isfinite(found).all():
                raise ValueError(f"the {name} of {type(self._optimizer).__name__} is too large for float64")
            self._after[name].write(found)
