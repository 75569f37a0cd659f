"""The values of every metric in the order they came, for plots."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from fltui.run.events import AnyEvent, MetricLogged, ResultAccepted, ResultRejected, RoundFinished, RoundStarted

GLOBAL = ""
"""The source of values that belong to the model as a whole."""

MOST_METRICS = 200
"""Names that are kept of metrics by round, and as many of metrics by step: a site may send any number of them."""

_LARGEST = 1 << 53
"""Whole numbers beyond it are none in float64."""


@dataclass
class Line:
    """The values of one source: `xs` are rounds, or steps of a script."""

    xs: array[float] = field(default_factory=lambda: array("d"))
    ys: array[float] = field(default_factory=lambda: array("d"))

    def add(self, x: float, y: float) -> None:
        """Append a value; one at the same place as the last replaces it."""
        if self.xs and self.xs[-1] == x:
            self.ys[-1] = y
        else:
            self.xs.append(x)
            self.ys.append(y)

    def drop(self, x: float) -> None:
        """Take the last value back if it stands at `x`."""
        if self.xs and self.xs[-1] == x:
            self.xs.pop()
            self.ys.pop()


@dataclass
class Series:
    """The metrics of a run, those that came first if there are more than `MOST_METRICS`.

    Those of a round in which the sites get another model than the global one are left aside: they are in the matrix of
    a cross-site evaluation. A round that is begun again after an interruption takes back what came by round. What
    scripts logged by step stays: it tells what they did, whether the round counted or not.

    Attributes:
        by_round: metric to source (a site, or `GLOBAL`) to its values, one a round.
        by_step: what scripts logged: metric to site to its values, one a step.
        left_out: how many values were of further metrics.
    """

    by_round: dict[str, dict[str, Line]] = field(default_factory=dict)
    by_step: dict[str, dict[str, Line]] = field(default_factory=dict)
    left_out: int = 0
    _aside: set[int] = field(default_factory=set)

    def add(self, event: AnyEvent) -> None:
        """Take an event in."""
        match event:
            case RoundStarted():
                (self._aside.add if event.part else self._aside.discard)(event.round)
                if event.attempt > 1:
                    for lines in self.by_round.values():
                        for line in lines.values():
                            line.drop(event.round)
            case ResultAccepted():
                self._add_round(event.metrics, event.site, event.round)
            case ResultRejected():
                for lines in self.by_round.values():
                    if event.site in lines:
                        lines[event.site].drop(event.round)
            case RoundFinished():
                self._add_round(event.metrics, GLOBAL, event.round)
            case MetricLogged():
                logged = self._line(self.by_step, event.key, event.site)
                if logged is not None:
                    step = len(logged.xs) if event.step is None else event.step
                    logged.add(max(-_LARGEST, min(step, _LARGEST)), event.value)

    def _add_round(self, metrics: Mapping[str, float], source: str, number: int) -> None:
        if number in self._aside:
            return
        for name, value in metrics.items():
            line = self._line(self.by_round, name, source)
            if line is not None:
                line.add(number, value)

    def _line(self, metrics: dict[str, dict[str, Line]], name: str, source: str) -> Line | None:
        """Where the values of a metric go; None, and they are counted, if there are too many metrics."""
        lines = metrics.get(name)
        if lines is None:
            if len(metrics) >= MOST_METRICS:
                self.left_out += 1
                return None
            lines = metrics[name] = {}
        return lines.setdefault(source, Line())
