"""Cyclic weight transfer (Chang et al., "Distributed deep learning networks among institutions for medical imaging",
2018): the model goes from site to site, and each trains on what the one before it has sent.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from fltui.aggregation.aggregators import WeightedMean
from fltui.aggregation.mean import weighted_metrics
from fltui.arguments import check_number, check_whole
from fltui.errors import BadInputError, RunFailedError
from fltui.workflows.aggregating import write_next
from fltui.workflows.starting import initial_model
from fltui.workflows.workflow import Federation, Request, Workflow

Order = Literal["fixed", "random"]


@dataclass(frozen=True)
class Cyclic(Workflow):
    """Sites in turn: a round asks one site, and what it answers is the next model.

    A site that has no answer, or none that counts, is passed over.

    Attributes:
        num_clients: how many sites take their turns.
        num_rounds: how many times all have their turn: the run has ``num_clients * num_rounds`` rounds.
        start_round: number of the first.
        model: see `FedAvg`.
        round_timeout: seconds that a site has for its turn; no deadline if not given.
        order: by name (``fixed``), or another seeded order each time (``random``).
        initial_ckpt: see `FedAvg`.

    Raises:
        BadInputError: a number makes no sense, or the model is not made of numbers.
    """

    num_clients: int = 3
    num_rounds: int = 5
    start_round: int = 0
    model: Any = field(default=None, compare=False)
    round_timeout: float | None = None
    order: Order = "fixed"
    initial_ckpt: str | None = None

    arrays: ClassVar[frozenset[str]] = frozenset({"model"})

    def __post_init__(self) -> None:
        for name, least in (("num_clients", 1), ("num_rounds", 1), ("start_round", 0)):
            check_whole(self, name, least)
        check_number(self, "round_timeout", above=0, optional=True, expected="seconds above 0")
        if self.order not in ("fixed", "random"):
            raise BadInputError(f"Cyclic: order is {self.order!r}, expected fixed or random")
        object.__setattr__(self, "model", initial_model(self.model, self.initial_ckpt, "Cyclic"))
        object.__setattr__(self, "initial_ckpt", None)

    @property
    def rounds(self) -> range:
        """Numbers of the rounds, one for each turn of a site."""
        return range(self.start_round, self.start_round + self.num_clients * self.num_rounds)

    @property
    def site_count(self) -> int:
        """How many sites it asks for."""
        return self.num_clients

    @property
    def quorum(self) -> int:
        """How many sites have to be there."""
        return 1

    def for_sites(self, count: int) -> Cyclic:
        """The same workflow for `count` sites."""
        return replace(self, num_clients=count)

    def for_rounds(self, count: int) -> Cyclic:
        """The same workflow with `count` turns of every site."""
        return replace(self, num_rounds=count)

    async def run(self, federation: Federation) -> str:
        """Go through the turns that are to be done; see `Workflow.run`."""
        model, rounds = federation.begin(self.model, self.rounds)
        start, known = federation.first_round, set[str]()

        def choose(there: tuple[str, ...]) -> tuple[str, ...]:
            known.update(there)
            return (self._whose_turn(there, number - start, start, federation),)

        for number in rounds:
            sites = await federation.sites(self.quorum, choose)
            request = Request(
                task_name="train",
                round=number,
                start_round=start,
                total_rounds=len(self.rounds),
                sites=sites,
                model=model,
                quorum=0,
                timeout=self.round_timeout,
            )
            answers = [replace(answer, weight=1.0) for answer in await federation.ask(request)]
            norm = 0.0
            if answers:
                with federation.new_model(number + 1, sorted(answers[0].entries)) as new:
                    norm = write_next(request, answers, new, WeightedMean())
            else:
                federation.note(number, f"{', '.join(sites)} is passed over, the model goes on as it is")
            metrics = weighted_metrics([(1.0, answer.metrics) for answer in answers])
            model = federation.finish_round(request, answers, norm, metrics)
            counted = [last for site in known.union(sites) if (last := federation.last_counted(site)) is not None]
            if (silent := number - max(counted, default=start - 1)) >= self.num_clients:
                raise RunFailedError(f"round {number}: {silent} sites in a row had no answer that counts")
        return ""

    def _whose_turn(self, there: tuple[str, ...], turn: int, start: int, federation: Federation) -> str:
        """The next one: of those that are there and have not had their turn this time around, the first in order."""
        again = turn // self.num_clients
        since = start + again * self.num_clients
        waiting = [site for site in there if (last := federation.last_asked(site)) is None or last < since]

        def place(site: str) -> tuple[float, str]:
            drawn = random.Random(f"{federation.seed} {again} {site}").random() if self.order == "random" else 0.0
            return drawn, site

        return min(waiting or there, key=place)
