"""What workflows share that ask many sites in every round and make one model of what they answer."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Self

from fltui.aggregation.mean import weighted_metrics
from fltui.arguments import check_number, check_whole, plain, wrong
from fltui.errors import BadInputError, RunFailedError
from fltui.model import Params
from fltui.workflows.sampling import checked_sampling, draw, sample_size
from fltui.workflows.selection import Selection
from fltui.workflows.starting import initial_model
from fltui.workflows.workflow import Answer, Federation, Goal, Request, Workflow

_LARGEST_FACTOR = 1e6


@dataclass(frozen=True)
class Averaging(Workflow):
    """Rounds of training: send the model, collect what the sites made of it, make the next one.

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
        sampling: the part (0.5) or the number (5) of the sites that are asked each round; the choice is seeded.
        weights: factor by site on the weight that it claims, from 0; 1 for sites that are not named.
        key_metric: the metric by which ``models/best`` is chosen; that of `stop_cond` if not given.
        key_metric_goal: whether more of it is better (``max``) or less (``min``); as `stop_cond` has it if not given,
            else more.
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
    sampling: float | int | None = None
    weights: dict[str, float] = field(default_factory=dict)
    key_metric: str = ""
    key_metric_goal: Goal | None = None
    stop_cond: str = ""
    patience: int | None = None
    initial_ckpt: str | None = None

    arrays: ClassVar[frozenset[str]] = frozenset({"model"})

    def __post_init__(self) -> None:
        for name, least in (("num_clients", 1), ("num_rounds", 1), ("start_round", 0)):
            check_whole(self, name, least)
        quorum = f"1 to num_clients, which is {self.num_clients}"
        check_whole(self, "min_clients", 1, self.num_clients, optional=True, expected=quorum)
        check_number(self, "round_timeout", above=0, optional=True, expected="seconds above 0")
        grace = "seconds of at least 0"
        check_number(self, "wait_time_after_min_received", least=0, optional=True, expected=grace)
        object.__setattr__(self, "sampling", checked_sampling(self.sampling, self.num_clients, self.title))
        given: object = self.weights
        if not isinstance(given, dict) or not all(isinstance(site, str) for site in given):
            raise wrong(self, "weights", "a factor by site, such as {'clinic-a': 2}")
        for name in ("key_metric", "stop_cond"):
            if not isinstance(getattr(self, name), str):
                raise wrong(self, name, "text")
        object.__setattr__(self, "weights", {site: self._factor(site, one) for site, one in self.weights.items()})
        object.__setattr__(self, "model", initial_model(self.model, self.initial_ckpt, self.title))
        object.__setattr__(self, "initial_ckpt", None)
        _ = self.selection  # which checks what it is made of

    def _factor(self, site: str, given: object) -> float:
        """A factor of `weights`."""
        found = plain(given)
        if found is None or not (found == 0 or 1 / _LARGEST_FACTOR <= found <= _LARGEST_FACTOR):
            raise BadInputError(
                f"{self.title}: the weight of {site} is {given!r}, expected 0, or 1e-6 to {_LARGEST_FACTOR:g}"
            )
        return found

    @cached_property
    def selection(self) -> Selection:
        """By what models are judged."""
        return Selection.of(self.title, self.key_metric, self.key_metric_goal, self.stop_cond, self.patience)

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

    @property
    def fewest_answers(self) -> int:
        """How few results a round may have to do with."""
        asked = sample_size(self.sampling, self.num_clients, self.num_clients)
        return min(self.min_clients or asked, asked)

    def for_sites(self, count: int) -> Self:
        """The same workflow for `count` sites; a quorum larger than that becomes all of them."""
        least = self.min_clients and min(self.min_clients, count)
        sampling = min(self.sampling, count) if type(self.sampling) is int else self.sampling
        return replace(self, num_clients=count, min_clients=least, sampling=sampling)

    def for_rounds(self, count: int) -> Self:
        """The same workflow with `count` rounds."""
        return replace(self, num_rounds=count)

    async def run(self, federation: Federation) -> str:
        """Go through the rounds that are to be done; see `Workflow.run`."""
        model, rounds = federation.begin(self.model, self.rounds, self.initial_groups())
        start, is_new = federation.first_round, True
        if rounds.start > start:  # the last server may have died before it had judged its last round
            is_new = False
            if self.model or rounds.start - 1 > start or federation.finished_stages():
                self._judge(rounds.start - 1, federation)
        for number in rounds:
            why = self.selection.why_enough(federation.last_metrics, federation.best, number - 1, start)
            if why or (why := self.why_no_further(number)):
                return why
            sites = await federation.sites(self.quorum, partial(self._choose, seed=federation.seed, number=number))
            request = Request(
                task_name="train",
                round=number,
                start_round=start,
                total_rounds=self.num_rounds,
                sites=sites,
                model=model,
                quorum=min(self.min_clients or len(sites), len(sites)),
                timeout=self.round_timeout,
                grace=self.wait_time_after_min_received,
            )
            request = self.prepare(request, federation)
            answers, update_norm = self.make_next(request, await federation.ask(request), federation)
            metrics = self.metrics_of(answers)
            self._note_lacking(request, answers, federation)
            model = federation.finish_round(request, answers, update_norm, metrics)
            if request.model.entries:
                self._judge(number, federation)
                if is_new:
                    self._check_named(metrics, answers, number)
                is_new = False
        return ""

    # What each of them has of its own.

    def initial_groups(self) -> dict[str, Params]:
        """Groups of arrays that belong to the initial model."""
        return {}

    def prepare(self, request: Request, federation: Federation) -> Request:  # noqa: ARG002  # others need it
        """A round's request with all that is sent along."""
        return request

    @abc.abstractmethod
    def make_next(self, request: Request, answers: list[Answer], federation: Federation) -> tuple[list[Answer], float]:
        """Write the next model.

        Returns:
            The answers with the weights that they have in it, and the Euclidean norm of its change.
        """

    def metrics_of(self, answers: Sequence[Answer]) -> dict[str, float]:
        """A round's metrics."""
        return weighted_metrics([(answer.weight, answer.metrics) for answer in answers])

    def why_no_further(self, number: int) -> str:  # noqa: ARG002  # others need it
        """Why round `number` must not begin, though it would be needed; empty if it may."""
        return ""

    # Who is asked, and how good the model is.

    def _choose(self, sites: tuple[str, ...], seed: int, number: int) -> tuple[str, ...]:
        return draw(sites, sample_size(self.sampling, len(sites), self.num_clients), seed, number)

    def _judge(self, number: int, federation: Federation) -> None:
        """Let the model that entered the last finished round be the best if it is."""
        if best := self.selection.better(federation.last_metrics, number, federation.best):
            federation.choose_best(best)

    def _note_lacking(self, request: Request, answers: Sequence[Answer], federation: Federation) -> None:
        """Tell who lacks the metric that counts, where others have it."""
        metric = self.selection.metric
        lacking = [answer.site for answer in answers if answer.weight and metric not in answer.metrics]
        if metric and lacking and any(metric in answer.metrics for answer in answers):
            federation.note(
                request.round, f"{', '.join(lacking)} sent no metric {metric!r}; the round has that of the others"
            )

    def _check_named(self, metrics: dict[str, float], answers: Sequence[Answer], number: int) -> None:
        """Make sure that the metrics that the job names are known to the sites.

        Raises:
            RunFailedError: no site has sent one; the round counts all the same.
        """
        sent = {name for answer in answers for name in answer.metrics}
        for argument, metric in self.selection.named.items():
            if metric not in sent:
                there = f"they sent: {', '.join(sorted(metrics))}" if metrics else "they sent no metrics"
                raise RunFailedError(
                    f"round {number}: no site has sent the metric {metric!r} that {argument} of {self.title} names; "
                    f"{there}"
                )
