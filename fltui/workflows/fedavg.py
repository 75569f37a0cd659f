"""Federated averaging (McMahan et al., 2017): send the model, train at the sites, average what they answer, repeat.

How the answers are made into the next model, and what changes on the way out and back, are parts that are put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fltui.aggregation.aggregators import Aggregator, WeightedMean
from fltui.aggregation.filters import Filter
from fltui.aggregation.optimizers import ServerOptimizer
from fltui.aggregation.privacy import GaussianNoise
from fltui.arguments import wrong
from fltui.errors import BadInputError
from fltui.workflows.aggregating import judge, write_next
from fltui.workflows.averaging import Averaging
from fltui.workflows.filtering import aggregate_change, checked, send_filtered, take_filtered
from fltui.workflows.workflow import Answer, Federation, Request

_EXAMPLES = {"aggregator": "Median()", "server_optimizer": "FedAdam(learning_rate=0.1)"}


@dataclass(frozen=True)
class FedAvg(Averaging):
    """The FedAvg workflow; see `Averaging` for whom it asks, how often, and when that is enough.

    Attributes:
        aggregator: makes one model of the sites'.
        server_optimizer: goes a step of its own towards it.
        filters: change what goes out and what comes back, one after the other; see `fltui.aggregation.filters`.

    Raises:
        BadInputError: a part is none, or does not go with the others.
    """

    aggregator: Aggregator = field(default_factory=WeightedMean)
    server_optimizer: ServerOptimizer | None = None
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, kind in (("aggregator", Aggregator), ("server_optimizer", ServerOptimizer)):
            value = getattr(self, name)
            if not isinstance(value, kind) and not (name == "server_optimizer" and value is None):
                raise wrong(self, name, f"one such as {name}={_EXAMPLES[name]}")
        object.__setattr__(self, "filters", checked(self.filters, self.aggregator, self.title))
        for noise in self._noise:
            noise.check_budget(self.start_round, f"{self.title}: round {self.start_round}")
        if self.weights and not self.aggregator.by_claims:
            kind_of = type(self.aggregator).__name__
            raise BadInputError(f"{self.title}: weights mean nothing to {kind_of}, which uses none")
        if self.fewest_answers < self.aggregator.least:
            raise BadInputError(
                f"{self.title}: {self.aggregator} needs results of at least {self.aggregator.least} sites, and a round "
                f"may have {self.fewest_answers}"
            )

    def prepare(self, request: Request, federation: Federation) -> Request:
        """See `Averaging.prepare`."""
        return send_filtered(request, self.filters, federation)

    def make_next(self, request: Request, answers: list[Answer], federation: Federation) -> tuple[list[Answer], float]:
        """See `Averaging.make_next`."""
        answers = take_filtered(request, answers, self.filters, federation)
        answers = judge(request, answers, self.aggregator, self.weights)
        change = aggregate_change(request, answers, self.filters, federation)
        with federation.new_model(request.round + 1, sorted(answers[0].entries)) as new:
            norm = write_next(request, answers, new, self.aggregator, self.server_optimizer, change)
        for noise in self._noise:
            federation.spend(request.round, noise.epsilon(request.round + 1), noise.delta)
        return answers, norm

    def metrics_of(self, answers: Sequence[Answer]) -> dict[str, float]:
        """See `Averaging.metrics_of`."""
        return self.aggregator.metrics_of([(answer.weight, answer.metrics) for answer in answers])

    def why_no_further(self, number: int) -> str:
        """See `Averaging.why_no_further`."""
        try:
            for noise in self._noise:
                noise.check_budget(number, f"round {number}")
        except BadInputError as error:
            return f"ended after round {number - 1}: {error}"
        return ""

    @property
    def _noise(self) -> list[GaussianNoise]:
        return [one for one in self.filters if isinstance(one, GaussianNoise)]
