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
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fltui.aggregation.aggregators import WeightedMean
from fltui.aggregation.optimizers import PartOf
from fltui.arguments import check_number
from fltui.errors import BadInputError
from fltui.model import CONTROL, CONTROL_ROUND, Params, grouped
from fltui.workflows.aggregating import judge, write_one
from fltui.workflows.averaging import Averaging
from fltui.workflows.workflow import Answer, Federation, Request


@dataclass(frozen=True)
class Scaffold(Averaging):
    """Averaging with control variates; see `Averaging` for whom it asks, how often, and when that is enough.

    Attributes:
        learning_rate: η, the part of the sites' mean step that the model goes.

    Raises:
        BadInputError: there is no initial model, or one that cannot have control variates.
    """

    learning_rate: float = 1.0

    no_site_filters: ClassVar[str] = "the control variates that a site sends would tell what a filter takes away"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise BadInputError(
                "Scaffold: model is missing; the control variates have its shapes, so it comes first in its job"
            )
        check_number(self, "learning_rate", above=0)
        for name, array in self.model.items():
            if name.partition("/")[0] == CONTROL:
                raise BadInputError(f"Scaffold: parameter {name!r} looks like a control variate; rename it")
            if array.dtype.kind != "f":
                raise BadInputError(f"Scaffold: parameter {name!r} is {array.dtype}, and only floats have a direction")

    def initial_groups(self) -> dict[str, Params]:
        """See `Averaging.initial_groups`."""
        return {CONTROL: {name: np.zeros(array.shape, np.float64) for name, array in self.model.items()}}

    def prepare(self, request: Request, federation: Federation) -> Request:
        """See `Averaging.prepare`."""
        counted = {site: {CONTROL_ROUND: federation.last_counted(site)} for site in request.sites}
        return replace(request, groups=(CONTROL,), site_meta=counted)

    def make_next(self, request: Request, answers: list[Answer], federation: Federation) -> tuple[list[Answer], float]:
        """See `Averaging.make_next`."""
        norm, mean, names = 0.0, WeightedMean(), sorted(request.model.entries)
        counting = judge(request, answers, mean, self.weights)
        alike = [replace(answer, weight=1.0) for answer in answers]
        with federation.new_model(request.round + 1, names) as new:
            controls = new.group(CONTROL, names)
            for name in names:
                moved = None if self.learning_rate == 1 else PartOf(self.learning_rate)
                norm = math.hypot(norm, write_one(request, counting, name, new, mean, moved))
                changed = PartOf(len(answers) / self.num_clients)
                place = grouped(CONTROL, name)
                write_one(request, alike, place, controls, mean, changed, to=name, are_differences=True)
        return counting, norm
