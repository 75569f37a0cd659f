"""Federated averaging (McMahan et al., 2017): send the model, train at the sites, average what they answer, repeat."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from fltui.aggregation.mean import weighted_metrics
from fltui.errors import BadInputError
from fltui.exchange.npy import blocks_of
from fltui.model import as_params
from fltui.workflows.averaging import average
from fltui.workflows.workflow import Federation, Request, Workflow


@dataclass(frozen=True)
class FedAvg(Workflow):
    """The FedAvg workflow.

    Attributes:
        num_clients: how many sites are asked a round; where more are there, a seeded choice that changes every round.
        num_rounds: how many rounds.
        start_round: number of the first.
        model: the initial model: a dict of arrays, or one array or list, which becomes ``numpy_key``. Without one the
            first task is empty and the scripts start from their own.
        min_clients: answers that a round needs; all that are asked if not given.
        round_timeout: seconds until a round ends with the answers there are; no deadline if not given.
        wait_time_after_min_received: seconds that a round goes on once `min_clients` have answered; until all have
            answered if not given.

    Raises:
        BadInputError: a number makes no sense, or the model is not made of numbers.
    """

    num_clients: int = 3
    num_rounds: int = 5
    start_round: int = 0
    model: Any = field(default=None, compare=False)
    min_clients: int | None = None
    round_timeout: float | None = None
    wait_time_after_min_received: float | None = None

    arrays: ClassVar[frozenset[str]] = frozenset({"model"})

    def __post_init__(self) -> None:
        for name, least in (("num_clients", 1), ("num_rounds", 1), ("start_round", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise BadInputError(f"FedAvg: {name} is {value!r}, expected a whole number of at least {least}")
        quorum = self.min_clients
        if quorum is not None and (type(quorum) is not int or not 1 <= quorum <= self.num_clients):
            raise BadInputError(
                f"FedAvg: min_clients is {self.min_clients!r}, expected 1 to num_clients, which is {self.num_clients}"
            )
        seconds = self.round_timeout
        if seconds is not None and (type(seconds) not in (int, float) or not 0 < seconds < math.inf):
            raise BadInputError(f"FedAvg: round_timeout is {self.round_timeout!r}, expected seconds above 0")
        grace = self.wait_time_after_min_received
        if grace is not None and (type(grace) not in (int, float) or not 0 <= grace < math.inf):
            raise BadInputError(f"FedAvg: wait_time_after_min_received is {grace!r}, expected seconds of at least 0")
        try:
            object.__setattr__(self, "model", {} if self.model is None else as_params(self.model))
        except (TypeError, ValueError) as error:
            raise BadInputError(f"FedAvg: model: {error}") from error
        for name, array in self.model.items():
            if not all(np.isfinite(block).all() for block in blocks_of(array)):
                raise BadInputError(f"FedAvg: model: parameter {name!r} holds NaN or Inf")

    @property
    def rounds(self) -> range:
        """Numbers of the rounds."""
        return range(self.start_round, self.start_round + self.num_rounds)

    @property
    def site_count(self) -> int:
        """How many sites it asks for."""
        return self.num_clients

    @property
    def quorum(self) -> int:
        """How many answers a round needs."""
        return self.min_clients or self.num_clients

    def for_sites(self, count: int) -> FedAvg:
        """The same workflow for `count` sites; a quorum larger than that becomes all of them."""
        least = self.min_clients and min(self.min_clients, count)
        return replace(self, num_clients=count, min_clients=least)

    def for_rounds(self, count: int) -> FedAvg:
        """The same workflow with `count` rounds."""
        return replace(self, num_rounds=count)

    async def run(self, federation: Federation) -> None:
        """Go through the rounds that are to be done; see `Workflow.run`."""
        model, rounds = federation.begin(self.model, self.rounds)
        for number in rounds:
            request = Request(
                task_name="train",
                round=number,
                start_round=self.start_round,
                total_rounds=self.num_rounds,
                sites=self._choose(await federation.sites(at_least=self.quorum), number),
                model=model,
                quorum=self.quorum,
                timeout=self.round_timeout,
                grace=self.wait_time_after_min_received,
            )
            answers = await federation.ask(request)
            with federation.new_model(number + 1, sorted(answers[0].entries)) as new:
                update_norm = average(number, answers, model, new)
            metrics = weighted_metrics([(answer.weight, answer.metrics) for answer in answers])
            model = federation.finish_round(request, answers, update_norm, metrics)

    def _choose(self, sites: tuple[str, ...], number: int) -> tuple[str, ...]:
        if len(sites) <= self.num_clients:
            return sites
        return tuple(sorted(random.Random(number).sample(sites, self.num_clients)))
