"""SCAFFOLD (Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", 2020, algorithm 1).

Each site corrects its steps by the difference of two control variates: the server's c, the direction of all, and its
own c_i. The server sends c beside the model, as the group ``control``; a site answers with its model and with the
change of c_i in that group, and the server moves on:

    x <- x + η (1/|S|) Σ Δy_i
    c <- c + (|S|/N) (1/|S|) Σ Δc_i

The mean of the Δy_i has the weights that the sites claim, as in FedAvg; that of the Δc_i has none. N is `num_clients`:
to ask fewer of all sites, give their number there and `sampling`.

A script does its part with `fltui.client.scaffold`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fltui.aggregation.aggregators import WeightedMean
from fltui.aggregation.filters import Change
from fltui.aggregation.optimizers import ServerOptimizer, Step
from fltui.aggregation.terms import Row
from fltui.errors import BadInputError
from fltui.model import CONTROL, CONTROL_ROUND, Params, grouped
from fltui.run.models import ModelWriter
from fltui.workflows.aggregating import write_one
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.workflow import Answer, Federation, Request


@dataclass(frozen=True)
class _Part(ServerOptimizer):
    """Goes a part of the way."""

    part: float = 1.0

    states: ClassVar[tuple[str, ...]] = ()

    def step(self, change: Row, states: Mapping[str, Row]) -> Row:  # noqa: ARG002  # it has none
        """See `ServerOptimizer.step`."""
        return change * self.part


@dataclass(frozen=True)
class Scaffold(FedAvg):
    """`FedAvg` with control variates.

    Attributes:
        learning_rate: η, the part of the sites' mean step that the model goes.
    """

    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise BadInputError(
                "Scaffold: model is missing; the control variates have its shapes, so it comes first in its job"
            )
        if not isinstance(self.aggregator, WeightedMean) or self.server_optimizer is not None:
            raise BadInputError("Scaffold: it has an aggregator and a step of its own; give learning_rate alone")
        if self.filters:
            raise BadInputError("Scaffold: filters see no control variates, which would tell what a filter takes away")
        if type(self.learning_rate) not in (int, float) or not 0 < self.learning_rate < math.inf:
            raise self._wrong("learning_rate", "a number above 0")
        for name, array in self.model.items():
            if name.partition("/")[0] == CONTROL:
                raise BadInputError(f"Scaffold: parameter {name!r} looks like a control variate; rename it")
            if array.dtype.kind != "f":
                raise BadInputError(f"Scaffold: parameter {name!r} is {array.dtype}, and only floats have a direction")

    def initial_groups(self) -> dict[str, Params]:
        """See `FedAvg.initial_groups`."""
        return {CONTROL: {name: np.zeros(array.shape, np.float64) for name, array in self.model.items()}}

    def prepare(self, request: Request, federation: Federation) -> Request:
        """See `FedAvg.prepare`."""
        counted = {site: {CONTROL_ROUND: federation.last_counted(site)} for site in request.sites}
        return replace(request, groups=(CONTROL,), site_meta=counted)

    def names(self, request: Request, answers: Sequence[Answer]) -> list[str]:  # noqa: ARG002  # they have groups, too
        """See `FedAvg.names`."""
        return list(request.model.entries)

    def write(self, request: Request, answers: Sequence[Answer], new: ModelWriter, change: Change | None) -> float:
        """See `FedAvg.write`; there are no filters that change anything."""
        del change
        norm, mean = 0.0, WeightedMean()
        moved = None if self.learning_rate == 1 else _part(self.learning_rate)
        names = sorted(request.model.entries)
        for name in names:
            norm = math.hypot(norm, write_one(request, answers, name, new, mean, moved))
        controls = new.group(CONTROL, names)
        alike = [replace(answer, weight=1.0) for answer in answers]
        for name in names:
            place, changed = grouped(CONTROL, name), _part(len(answers) / self.num_clients)
            write_one(request, alike, place, controls, mean, changed, to=name, are_differences=True)
        return norm


def _part(part: float) -> Step:
    return Step(_Part(part), {}, {})
