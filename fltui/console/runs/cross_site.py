"""The matrix of a cross-site evaluation: a value for every model on every site's data, a metric at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fltui.console.runs.series import MOST_METRICS
from fltui.run.events import (
    AnyEvent,
    ModelChosen,
    ResultAccepted,
    ResultRejected,
    RoundFinished,
    RoundStarted,
    WorkflowFinished,
)

GLOBAL = ""
"""The global model among the models, and the mean of all sites among the sites."""

_TASK = "validate"

_LOW_IS_BEST = ("loss", "error", "err", "mse", "mae", "rmse", "perplexity", "distance")
"""Words in the name of a metric of which lower values are better."""


@dataclass
class Sheet:
    """The values of one metric.

    Attributes:
        rows: model to site to value.
        low, high: of all finite values; NaN without any.
        lowest, highest: of each site, likewise.
    """

    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    low: float = math.nan
    high: float = math.nan
    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)

    def put(self, model: str, site: str, value: float) -> None:
        """Take a value in; one in the place of another has it counted anew."""
        row = self.rows.setdefault(model, {})
        replaced = site in row
        row[site] = value
        if replaced:
            self._count_anew()
        else:
            self._count(site, value)

    def drop(self, model: str, site: str | None = None) -> None:
        """Take a value back, or those of all sites."""
        row = self.rows.get(model, {})
        if site is None:
            row.clear()
        elif row.pop(site, None) is None:
            return
        self._count_anew()

    def value(self, model: str, site: str) -> float | None:
        """The value of a model at a site; None as long as there is none."""
        return self.rows.get(model, {}).get(site)

    def is_best(self, model: str, site: str, *, lowest: bool) -> bool:
        """Whether no other model has a better value at this site."""
        value = self.value(model, site)
        return value is not None and value == (self.lowest if lowest else self.highest).get(site)

    def _count(self, site: str, value: float) -> None:
        if not math.isfinite(value):
            return
        self.low = min(value, self.low)  # NaN, which is neither smaller nor larger, gives way
        self.high = max(value, self.high)
        self.lowest[site] = min(value, self.lowest.get(site, value))
        self.highest[site] = max(value, self.highest.get(site, value))

    def _count_anew(self) -> None:
        self.low = self.high = math.nan
        self.lowest, self.highest = {}, {}
        for row in self.rows.values():
            for site, value in row.items():
                self._count(site, value)


@dataclass
class CrossSite:
    """What the rounds with the task ``validate`` brought; those of the last workflow that had any.

    Attributes:
        models: to the round in which each is evaluated, in that order.
        sites: all that were asked, in the order in which they came up.
        sheets: by metric, in the order in which they came up.
        version: another one whenever something has changed.
        goals: ``max`` or ``min`` by metric, where a workflow has said which is better.
        running: the model that is being evaluated; None between two.
    """

    models: dict[str, int] = field(default_factory=dict)
    sites: dict[str, None] = field(default_factory=dict)
    sheets: dict[str, Sheet] = field(default_factory=dict)
    version: int = 0
    running: str | None = None
    goals: dict[str, str] = field(default_factory=dict)
    _rounds: dict[int, str] = field(default_factory=dict)
    _is_past: bool = False

    def is_low_best(self, metric: str) -> bool:
        """Whether lower values of a metric are better: as the job says, else by the custom of its name."""
        return self.goals[metric] == "min" if metric in self.goals else low_is_best(metric)

    def add(self, event: AnyEvent) -> None:
        """Take an event in."""
        match event:
            case RoundStarted(task_name=task) if task == _TASK:
                self._begin(event)
            case ResultAccepted(round=number) if number in self._rounds:
                for metric, value in event.metrics.items():
                    self._put(metric, self._rounds[number], event.site, value)
            case ResultRejected(round=number) if number in self._rounds:
                for sheet in self.sheets.values():
                    sheet.drop(self._rounds[number], event.site)
            case RoundFinished(round=number) if number in self._rounds:
                self.running = None
                for metric, value in event.metrics.items():
                    self._put(metric, self._rounds[number], GLOBAL, value)
            case WorkflowFinished():
                self._is_past = True
                return
            case ModelChosen():
                self.goals[event.metric] = event.goal
                return
            case _:
                return
        self.version += 1

    def _begin(self, event: RoundStarted) -> None:
        if self._is_past:
            self.models, self.sites, self.sheets, self._rounds, self._is_past = {}, {}, {}, {}, False
        if event.part in self.models:
            for sheet in self.sheets.values():
                sheet.drop(event.part)
        self.models[event.part] = event.round
        self._rounds[event.round] = self.running = event.part
        self.sites.update(dict.fromkeys(event.sites))

    def _put(self, metric: str, model: str, site: str, value: float) -> None:
        if metric not in self.sheets and len(self.sheets) >= MOST_METRICS:
            return
        self.sheets.setdefault(metric, Sheet()).put(model, site, value)


def low_is_best(metric: str) -> bool:
    """Whether lower values of a metric are better, by the custom of its name; a person may know it better."""
    words = metric.casefold().replace("-", "_").replace(" ", "_").replace("/", "_").split("_")
    return any(word in _LOW_IS_BEST for word in words)
