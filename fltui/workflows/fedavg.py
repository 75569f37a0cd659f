"""Federated averaging (McMahan et al., 2017): send the model, train at the sites, average what they answer, repeat.

How the answers are made into the next model, who is asked, what is sent along and when it is enough are parts that are
put together, see `FedAvg`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar

from fltui.aggregation.aggregators import Aggregator, WeightedMean
from fltui.aggregation.filters import Change, Filter
from fltui.aggregation.mean import weighted_metrics
from fltui.aggregation.optimizers import ServerOptimizer
from fltui.aggregation.privacy import GaussianNoise
from fltui.errors import BadInputError, RunFailedError
from fltui.model import Params
from fltui.run.models import ModelWriter
from fltui.workflows.aggregating import judge, write_next
from fltui.workflows.filtering import aggregate_change, checked, send_filtered, take_filtered
from fltui.workflows.sampling import check_sampling, draw, sample_size
from fltui.workflows.starting import check_count, check_seconds, initial_model
from fltui.workflows.stopping import Condition, is_better
from fltui.workflows.workflow import Answer, Best, Federation, Goal, Request, Workflow

_LARGEST_FACTOR = 1e6


@dataclass(frozen=True)
class FedAvg(Workflow):
    """The FedAvg workflow.

    Metrics that a site sends are those of the model that it received: a script evaluates before it trains.

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
        aggregator: makes one model of the sites'.
        server_optimizer: goes a step of its own towards it.
        filters: change what goes out and what comes back, one after the other; see `fltui.aggregation.filters`.
        sampling: the part (0.5) or the number (5) of the sites that are asked each round; the choice is seeded.
        weights: factor by site on the weight that it claims, from 0; 1 for sites that are not named.
        key_metric: the metric by which ``models/best`` is chosen; that of `stop_cond` if not given.
        key_metric_goal: whether more of it is better (``max``) or less (``min``).
        stop_cond: ends the run once a round's metrics fulfil it, e.g. ``accuracy >= 0.95``.
        patience: rounds without a better model after which the run ends.
        initial_ckpt: a file or folder with the initial model, in place of `model`: ``.npy``, ``.npz``, or
            ``models/final`` of a run. It is read at once and becomes part of the job.

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
    aggregator: Aggregator = field(default_factory=WeightedMean)
    server_optimizer: ServerOptimizer | None = None
    filters: tuple[Filter, ...] = ()
    sampling: float | int | None = None
    weights: dict[str, float] = field(default_factory=dict)
    key_metric: str = ""
    key_metric_goal: Goal = "max"
    stop_cond: str = ""
    patience: int | None = None
    initial_ckpt: str | None = None

    arrays: ClassVar[frozenset[str]] = frozenset({"model"})

    def __post_init__(self) -> None:
        for name, least in (("num_clients", 1), ("num_rounds", 1), ("start_round", 0)):
            check_count(self._name, name, getattr(self, name), least)
        if self.patience is not None:
            check_count(self._name, "patience", self.patience, 1)
        quorum = self.min_clients
        if quorum is not None and (type(quorum) is not int or not 1 <= quorum <= self.num_clients):
            raise self._wrong("min_clients", f"1 to num_clients, which is {self.num_clients}")
        check_seconds(self._name, "round_timeout", self.round_timeout)
        grace = self.wait_time_after_min_received
        check_seconds(self._name, "wait_time_after_min_received", grace, above=False)
        object.__setattr__(self, "model", initial_model(self.model, self.initial_ckpt, self._name))
        object.__setattr__(self, "initial_ckpt", None)
        self._check_parts()
        self._check_metric()

    def _check_parts(self) -> None:
        for name, kind in (("aggregator", Aggregator), ("server_optimizer", ServerOptimizer)):
            value = getattr(self, name)
            if not isinstance(value, kind) and not (name == "server_optimizer" and value is None):
                raise self._wrong(name, f"one such as {name}={_EXAMPLES[name]}")
        object.__setattr__(self, "filters", checked(self.filters, self.aggregator, self._name))
        if self.sampling is not None:
            check_sampling(self.sampling, self.num_clients, self._name)
        for site, factor in self.weights.items():
            if type(factor) not in (int, float) or not (
                factor == 0 or 1 / _LARGEST_FACTOR <= factor <= _LARGEST_FACTOR
            ):
                raise BadInputError(
                    f"{self._name}: the weight of {site} is {factor!r}, expected 0, or 1e-6 to {_LARGEST_FACTOR:g}"
                )
        aggregator = type(self.aggregator).__name__
        if self.weights and not self.aggregator.by_claims:
            raise BadInputError(f"{self._name}: weights mean nothing to {aggregator}, which uses none")
        asked = sample_size(self.sampling, self.num_clients, self.num_clients)
        fewest = min(self.min_clients or asked, asked)
        if fewest < self.aggregator.least:
            raise BadInputError(
                f"{self._name}: {self.aggregator} needs results of at least {self.aggregator.least} sites, and a round "
                f"may have {fewest}"
            )

    def _check_metric(self) -> None:
        if self.key_metric_goal not in ("max", "min"):
            raise self._wrong("key_metric_goal", "max or min")
        condition = self._condition
        if self.patience is not None and not self.key_metric and condition is None:
            raise BadInputError(f"{self._name}: patience counts rounds without a better model: name a key_metric")

    def _wrong(self, name: str, expected: str) -> BadInputError:
        return BadInputError(f"{self._name}: {name} is {getattr(self, name)!r}, expected {expected}")

    @property
    def _name(self) -> str:
        return type(self).__name__

    @cached_property
    def _condition(self) -> Condition | None:
        try:
            return Condition.parse(self.stop_cond) if self.stop_cond else None
        except BadInputError as error:
            raise BadInputError(f"{self._name}: {error}") from error

    @property
    def _metric(self) -> str:
        """By which the best model is chosen; empty if none is."""
        return self.key_metric or (self._condition.metric if self._condition else "")

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
        """How many sites have to be there."""
        return self.min_clients or self.num_clients

    def for_sites(self, count: int) -> FedAvg:
        """The same workflow for `count` sites; a quorum larger than that becomes all of them."""
        least = self.min_clients and min(self.min_clients, count)
        sampling = min(self.sampling, count) if type(self.sampling) is int else self.sampling
        return replace(self, num_clients=count, min_clients=least, sampling=sampling)

    def for_rounds(self, count: int) -> FedAvg:
        """The same workflow with `count` rounds."""
        return replace(self, num_rounds=count)

    async def run(self, federation: Federation) -> str:
        """Go through the rounds that are to be done; see `Workflow.run`."""
        model, rounds = federation.begin(self.model, self.rounds, self.initial_groups())
        start = rounds.stop - self.num_rounds
        for number in rounds:
            if why := self._why_enough(federation, number, start):
                return why
            self._check_budget(number)
            sites = await federation.sites(self.quorum, partial(self._choose, seed=federation.seed, number=number))
            request = self.prepare(
                Request(
                    task_name="train",
                    round=number,
                    start_round=start,
                    total_rounds=self.num_rounds,
                    sites=sites,
                    model=model,
                    quorum=min(self.min_clients or len(sites), len(sites)),
                    timeout=self.round_timeout,
                    grace=self.wait_time_after_min_received,
                ),
                federation,
            )
            request = send_filtered(request, self.filters, federation)
            answers = take_filtered(request, await federation.ask(request), self.filters, federation)
            answers = judge(request, answers, self.aggregator, self.weights)
            change = aggregate_change(request, answers, self.filters, federation)
            with federation.new_model(number + 1, sorted(self.names(request, answers))) as new:
                update_norm = self.write(request, answers, new, change)
            metrics = weighted_metrics([(answer.weight, answer.metrics) for answer in answers])
            self._look_at(metrics, request, answers, federation)
            self._tell_spent(federation, number)
            model = federation.finish_round(request, answers, update_norm, metrics)
            self._check_reported(metrics, answers, number, federation)
        return ""

    # What other workflows have their own of.

    def initial_groups(self) -> dict[str, Params]:
        """Groups of arrays that belong to the initial model."""
        return {}

    def prepare(self, request: Request, federation: Federation) -> Request:  # noqa: ARG002  # others need it
        """A round's request with all that is sent along."""
        return request

    def names(self, request: Request, answers: Sequence[Answer]) -> list[str]:  # noqa: ARG002  # others need it
        """The parameters of the next model."""
        return list(answers[0].entries)

    def write(self, request: Request, answers: Sequence[Answer], new: ModelWriter, change: Change | None) -> float:
        """Write the next model, with what the filters do to its `change`; the Euclidean norm of that."""
        return write_next(request, answers, new, self.aggregator, self.server_optimizer, change)

    # Who is asked, and when it is enough.

    def _choose(self, sites: tuple[str, ...], seed: int, number: int) -> tuple[str, ...]:
        return draw(sites, sample_size(self.sampling, len(sites), self.num_clients), seed, number)

    def _why_enough(self, federation: Federation, number: int, start: int) -> str:
        """Why round `number` is not needed, in a workflow that began with round `start`; empty if it is."""
        best, last = self._best(federation), number - 1
        if self._condition is not None and self._condition.holds(federation.last_metrics):
            value = federation.last_metrics[self._condition.metric]
            return f"ended after round {last}: {self._condition.metric} is {value:.6g}, {self._condition} holds"
        if self.patience is not None and best is not None and last - max(best.round, start - 1) >= self.patience:
            return (
                f"ended after round {last}: the {best.metric} of {best.value:.6g} that round {best.round} began with "
                f"has not become better for {self.patience} rounds"
            )
        return ""

    def _check_budget(self, number: int) -> None:
        """Make sure that there is privacy left for a round.

        Raises:
            RunFailedError: there is not.
        """
        for one in self.filters:
            if isinstance(one, GaussianNoise):
                try:
                    one.check_budget(number, f"round {number}")
                except BadInputError as error:
                    raise RunFailedError(str(error)) from error

    def _tell_spent(self, federation: Federation, number: int) -> None:
        for one in self.filters:
            if isinstance(one, GaussianNoise):
                federation.spend(number, one.epsilon(number + 1), one.delta)

    def _look_at(
        self, metrics: Mapping[str, float], request: Request, answers: Sequence[Answer], federation: Federation
    ) -> None:
        """Tell who lacks the metric that counts, and choose the best model."""
        metric, best = self._metric, self._best(federation)
        if metric not in metrics:
            return
        if lacking := [answer.site for answer in answers if answer.weight and metric not in answer.metrics]:
            note = f"{', '.join(lacking)} sent no metric {metric!r}; the mean is that of the others"
            federation.note(request.round, note)
        if request.entries and (best is None or is_better(metrics[metric], best.value, self.key_metric_goal)):
            federation.choose_best(Best(request.round, metric, metrics[metric], self.key_metric_goal))

    def _best(self, federation: Federation) -> Best | None:
        """The best model by this workflow's own metric; one before it may have had another."""
        best = federation.best
        return best if best is not None and best.metric == self._metric else None

    def _check_reported(
        self, metrics: Mapping[str, float], answers: Sequence[Answer], number: int, federation: Federation
    ) -> None:
        """Make sure that the metrics that the job names are known to the sites; a round may be without.

        Raises:
            RunFailedError: no site has sent one, in this round or before; the round counts all the same.
        """
        best = self._best(federation)
        named = {"key_metric": self.key_metric, "stop_cond": self._condition.metric if self._condition else ""}
        for argument, metric in named.items():
            if not metric or metric in metrics or (best is not None and metric == best.metric):
                continue
            if any(metric in answer.metrics for answer in answers):
                federation.note(number, f"no result that counts has the metric {metric!r}, though others have")
                continue
            there = f"they sent: {', '.join(sorted(metrics))}" if metrics else "they sent no metrics"
            raise RunFailedError(
                f"round {number}: no site has sent the metric {metric!r} that {argument} of {self._name} names; {there}"
            )


_EXAMPLES = {"aggregator": "Median()", "server_optimizer": "FedAdam(learning_rate=0.1)"}
