"""The values of every metric in the order they came, for plots."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from fltui.run.events import AnyEvent, MetricLogged, ResultAccepted, ResultRejected, RoundFinished

GLOBAL = ""
"""The source of values that belong to the model as a whole."""


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
    """All metrics of a run.

    Attributes:
        by_round: metric to source (a site, or `GLOBAL`) to its values, one a round.
        by_step: what scripts logged: metric to site to its values, one a step.
    """

    by_round: dict[str, dict[str, Line]] = field(default_factory=dict)
    by_step: dict[str, dict[str, Line]] = field(default_factory=dict)

    def add(self, event: AnyEvent) -> None:
        """Take an event in."""
        match event:
            case ResultAccepted():
                for name, value in event.metrics.items():
                    _line(self.by_round, name, event.site).add(event.round, value)
            case ResultRejected():
                for lines in self.by_round.values():
                    if event.site in lines:
                        lines[event.site].drop(event.round)
            case RoundFinished():
                for name, value in event.metrics.items():
                    _line(self.by_round, name, GLOBAL).add(event.round, value)
            case MetricLogged():
                line = _line(self.by_step, event.key, event.site)
                step = len(line.xs) if event.step is None else event.step
                line.add(max(-_LARGEST, min(step, _LARGEST)), event.value)


def _line(metrics: dict[str, dict[str, Line]], name: str, source: str) -> Line:
    return metrics.setdefault(name, {}).setdefault(source, Line())
