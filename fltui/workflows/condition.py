"""Conditions on a metric."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fltui.errors import BadInputError
from fltui.workflows.workflow import Goal

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}

_CONDITION = re.compile(r"\s*(?P<metric>[^\s<>=][^<>=]*?)\s*(?P<comparison>>=|<=|==|>|<)\s*(?P<value>\S+)\s*")


@dataclass(frozen=True)
class Condition:
    """``metric comparison value``, such as ``accuracy >= 0.95``."""

    metric: str
    comparison: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            BadInputError: it is none.
        """
        found = _CONDITION.fullmatch(text)
        try:
            value = float(found["value"]) if found else math.nan
        except ValueError:
            value = math.nan
        if found is None or not math.isfinite(value):
            raise BadInputError(
                f"stop_cond is {text!r}, expected a metric, one of {' '.join(_COMPARISONS)} and a number, such as "
                "'accuracy >= 0.95'"
            )
        return cls(found["metric"], found["comparison"], value)

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Whether the metrics fulfil it; metrics without it do not."""
        found = metrics.get(self.metric)
        return found is not None and _COMPARISONS[self.comparison](found, self.value)

    @property
    def goal(self) -> Goal | None:
        """Whether more of the metric comes nearer to it, or less; None for neither."""
        return {">": "max", "<": "min"}.get(self.comparison[0])  # type: ignore[return-value]  # these are goals

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.value:g}"
