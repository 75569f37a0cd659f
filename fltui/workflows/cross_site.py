"""Cross-site evaluation: every site's model, and the global one, on every site's data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from fltui.aggregation.aggregators import WeightedMean
from fltui.aggregation.mean import weighted_metrics
from fltui.arguments import check_number, check_whole
from fltui.errors import RunFailedError
from fltui.run.models import StoredModel
from fltui.workflows.aggregating import write_one
from fltui.workflows.starting import initial_model
from fltui.workflows.workflow import Federation, Measured, Request, Workflow

TABLE = "cross_site"
"""Name of the table that comes of it."""

GLOBAL = "global"
"""The global model, among those that are evaluated."""


@dataclass(frozen=True)
class CrossSiteEval(Workflow):
    """Asks every site for its own model (task ``submit_model``), then has each of these models, and the global one at
    last, evaluated by every site (task ``validate``, whose answers hold metrics alone).

    What comes of it is ``cross_site.csv`` in the run folder. The global model stays as it is. As a rule it follows
    another workflow of the same job: ``job.to(CrossSiteEval(), "server")`` after that one.

    Attributes:
        num_clients: how many sites take part, a round each for their models; those of the workflow before if not given.
        submit: ask the sites for their own models; else only the global one is evaluated.
        min_clients: how many sites have to evaluate a model.
        round_timeout: seconds that the sites have in each of the rounds; no deadline if not given.
        start_round: number of the first round.
        model: the model to evaluate, where no other workflow comes before; see `FedAvg`.
        initial_ckpt: see `FedAvg`.

    Raises:
        BadInputError: a number makes no sense, or the model is not made of numbers.
    """

    num_clients: int | None = None
    submit: bool = True
    min_clients: int = 1
    round_timeout: float | None = None
    start_round: int = 0
    model: Any = field(default=None, compare=False)
    initial_ckpt: str | None = None

    arrays: ClassVar[frozenset[str]] = frozenset({"model"})

    def __post_init__(self) -> None:
        check_whole(self, "num_clients", 1, optional=True)
        for name, least in (("min_clients", 1), ("start_round", 0)):
            check_whole(self, name, least)
        check_number(self, "round_timeout", above=0, optional=True, expected="seconds above 0")
        object.__setattr__(self, "model", initial_model(self.model, self.initial_ckpt, "CrossSiteEval"))
        object.__setattr__(self, "initial_ckpt", None)

    @property
    def rounds(self) -> range:
        """Numbers of the rounds: one for the sites' models, one for each model."""
        return range(self.start_round, self.start_round + (self.site_count + 2 if self.submit else 1))

    @property
    def site_count(self) -> int:
        """How many sites it asks for."""
        return 1 if self.num_clients is None else self.num_clients

    @property
    def quorum(self) -> int:
        """How many sites have to be there."""
        return self.min_clients

    def for_sites(self, count: int) -> CrossSiteEval:
        """The same workflow for `count` sites."""
        return replace(self, num_clients=count, min_clients=min(self.min_clients, count))

    def for_rounds(self, count: int) -> CrossSiteEval:  # noqa: ARG002  # there is one for each model
        """The same workflow: the number of models is that of its rounds."""
        return self

    async def run(self, federation: Federation) -> str:
        """Go through the rounds that are to be done; see `Workflow.run`."""
        model, rounds = federation.begin(self.model, self.rounds)
        if not model.entries:
            raise RunFailedError(f"round {rounds.start}: there is no model to evaluate; CrossSiteEval needs one")
        start = federation.first_round
        if self.submit and rounds.start == start:
            model = await self._submit(federation, model, start)
            rounds = range(start + 1, rounds.stop)
        parts = [*sorted(model.groups if self.submit else ()), ""]  # the global model last: its metrics are the run's
        first = start + int(self.submit)
        for number, part in zip(range(first, first + len(parts)), parts, strict=True):
            if number < rounds.start:
                continue
            request = replace(
                await self._request(federation, model, number, start),
                task_name="validate",
                part=part,
                sent=model.groups[part] if part else None,
                meta={"model": part or GLOBAL},
                for_metrics=True,
            )
            answers = await federation.ask(request)
            metrics = weighted_metrics([(answer.weight, answer.metrics) for answer in answers])
            model = federation.finish_round(request, answers, 0.0, metrics)
        federation.add_table(TABLE, matrix(federation.measured(range(first, first + len(parts)))))
        return ""

    async def _submit(self, federation: Federation, model: StoredModel, number: int) -> StoredModel:
        """Ask the sites for their models: groups of the next one, whose parameters stay as they are."""
        request = replace(await self._request(federation, model, number, number), task_name="submit_model", quorum=0)
        answers = await federation.ask(request)
        if lacking := sorted(set(request.sites) - {answer.site for answer in answers}):
            federation.note(number, f"{', '.join(lacking)} gave no model, which is therefore not evaluated")
        with federation.new_model(number + 1, sorted(model.entries)) as new:
            new.take_over(model)
            for answer in answers:
                own = new.group(answer.site, sorted(answer.entries))
                for name in sorted(answer.entries):
                    write_one(request, [replace(answer, weight=1.0)], name, own, WeightedMean())
        return federation.finish_round(request, answers, 0.0, {})

    async def _request(self, federation: Federation, model: StoredModel, number: int, start: int) -> Request:
        return Request(
            task_name="",
            round=number,
            start_round=start,
            total_rounds=len(self.rounds),
            sites=await federation.sites(self.min_clients, lambda there: there[: self.site_count]),
            model=model,
            quorum=self.min_clients,
            timeout=self.round_timeout,
        )


def matrix(measured: Sequence[Measured]) -> Iterator[list[object]]:
    """The rows of the table: a metric, a model, and its value at each site; empty where a site did not tell.

    Args:
        measured: what each model's round has brought, in the order of the models.
    """
    sites = sorted({site for one in measured for site in one.metrics})
    yield ["metric", "model", *sites]
    for metric in sorted({metric for one in measured for metrics in one.metrics.values() for metric in metrics}):
        for one in measured:
            yield [metric, one.part or GLOBAL, *(one.metrics.get(site, {}).get(metric, "") for site in sites)]
