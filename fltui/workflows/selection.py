"""Which model is the best so far, and when a run has done enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fltui.arguments import plain
from fltui.errors import BadInputError
from fltui.workflows.condition import Condition
from fltui.workflows.workflow import Best, Goal


@dataclass(frozen=True)
class Selection:
    """By what models are judged.

    Attributes:
        metric: by which one is better than another; empty where none is chosen.
        goal: whether more of it is better or less.
        condition: ends the run.
        patience: rounds without a better model after which the run ends; None for any number.
        named: argument of the workflow to the metric that it names.
    """

    metric: str
    goal: Goal
    condition: Condition | None
    patience: int | None
    named: Mapping[str, str]

    @classmethod
    def of(cls, whose: str, key_metric: str, goal: Goal | None, stop_cond: str, patience: int | None) -> Selection:
        """From the arguments of a workflow; `goal` follows from the condition where it is not given.

        Raises:
            BadInputError: one makes no sense, or they contradict each other.
        """
        if goal not in ("max", "min", None):
            raise BadInputError(f"{whose}: key_metric_goal is {goal!r}, expected max or min")
        if patience is not None:
            found = plain(patience)
            if not isinstance(found, int) or found < 1:
                raise BadInputError(f"{whose}: patience is {patience!r}, expected a whole number of at least 1")
            patience = found
        try:
            condition = Condition.parse(stop_cond) if stop_cond else None
        except BadInputError as error:
            raise BadInputError(f"{whose}: {error}") from error
        metric = key_metric or (condition.metric if condition else "")
        if patience is not None and not metric:
            raise BadInputError(f"{whose}: patience counts rounds without a better model: name a key_metric")
        towards = condition.goal if condition is not None and condition.metric == metric else None
        if goal and towards and goal != towards:
            raise BadInputError(
                f"{whose}: key_metric_goal is {goal}, and stop_cond {stop_cond!r} waits for the opposite of {metric!r}"
            )
        named = {"key_metric": key_metric, "stop_cond": condition.metric if condition else ""}
        return cls(
            metric, goal or towards or "max", condition, patience, {one: two for one, two in named.items() if two}
        )

    def own(self, best: Best | None) -> Best | None:
        """The best model if it was judged by this metric; a workflow before may have had another."""
        return best if best is not None and best.metric == self.metric else None

    def better(self, metrics: Mapping[str, float], number: int, best: Best | None) -> Best | None:
        """The model that entered round `number`, if it is the best now; None if it is not.

        Args:
            metrics: of that round.
            number: of the round.
            best: until now.
        """
        before = self.own(best)
        if not self.metric or self.metric not in metrics or (before is not None and before.round >= number):
            return None
        value = metrics[self.metric]
        if before is not None and not (value > before.value if self.goal == "max" else value < before.value):
            return None
        return Best(number, self.metric, value, self.goal)

    def why_enough(self, metrics: Mapping[str, float], best: Best | None, last: int, start: int) -> str:
        """Why no further round is needed; empty if one is.

        Args:
            metrics: of the last round.
            best: until now.
            last: number of the last round.
            start: number of the workflow's first round.
        """
        if self.condition is not None and self.condition.holds(metrics):
            value = metrics[self.condition.metric]
            return f"ended after round {last}: {self.condition.metric} is {value:.6g}, {self.condition} holds"
        own = self.own(best)
        if self.patience is not None and own is not None and last - max(own.round, start - 1) >= self.patience:
            return (
                f"ended after round {last}: the {own.metric} of {own.value:.6g} that round {own.round} began with has "
                f"not become better for {self.patience} rounds"
            )
        return ""
