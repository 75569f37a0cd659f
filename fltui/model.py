"""`FLModel`: what travels between the server and the sites, as scripts see it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, SupportsFloat, TypeVar

import numpy as np
from numpy.typing import NDArray

Params = dict[str, NDArray[Any]]
"""Parameter name to array, any shape."""

NUMPY_KEY = "numpy_key"
"""The name a model of one unnamed array goes by."""

NUM_STEPS = "NUM_STEPS_CURRENT_ROUND"
"""Key of `FLModel.meta` that holds a result's weight in the average: a number of steps or samples."""

SEED = "seed"
"""Key of a task's meta that holds the run's seed, a whole number from 0."""

GROUPS = "groups"
"""Key of a manifest's meta: the names of the groups of arrays that travel beside the parameters."""

STATISTICS = "statistics"
"""Name of the task that asks for statistics, and key of its meta that says which."""

CONTROL = "control"
"""The group of control variates: from the server its own, to it the change of the site's; see `Scaffold`."""

CONTROL_ROUND = "control_round"
"""Key of a task's meta: the last round in which the site's change of its control variate counted; null before any."""

_T = TypeVar("_T")


class ParamsType(StrEnum):
    """Whether `FLModel.params` is a whole model or the difference to the model received."""

    FULL = "FULL"
    DIFF = "DIFF"


@dataclass
class FLModel:
    """A model with what belongs to it.

    Attributes:
        params_type: FULL or DIFF; FULL where params are given without a type.
        params: parameter name to array. Lists and numbers are accepted and become arrays when sent.
        optimizer_params: state of the site's optimiser; it stays at the site.
        metrics: metric name to a finite number, e.g. ``{"accuracy": 0.93}``.
        start_round: number of the first round of the run.
        current_round: number of this round, from `start_round`.
        total_rounds: how many rounds the run has.
        meta: further JSON values; ``meta["NUM_STEPS_CURRENT_ROUND"]`` is the weight of a result, 1 if absent.
        groups: group name to parameter name to array: what travels beside the parameters, e.g. the control variates of
            Scaffold in ``groups["control"]``. A group name is text without ``/``.
    """

    params_type: ParamsType | str | None = None
    params: dict[str, Any] | None = None
    optimizer_params: dict[str, Any] | None = None
    metrics: Mapping[str, SupportsFloat] | None = None
    start_round: int = 0
    current_round: int | None = None
    total_rounds: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.params_type is not None:
            self.params_type = ParamsType(self.params_type)
        elif self.params is not None:
            self.params_type = ParamsType.FULL


def as_params(model: Any) -> Params:
    """Give an initial model its names: a mapping keeps its own, one array or list becomes ``numpy_key``.

    Raises:
        TypeError: a value is not an array of numbers.
    """
    named = model if isinstance(model, dict) else {NUMPY_KEY: model}
    params: Params = {}
    for name, value in named.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"parameter names are non-empty text, not {name!r}")
        if not _is_text(name):
            raise TypeError(f"parameter name {name!r} has half of a surrogate pair, which is no text")
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"parameter {name!r} has dtype {array.dtype}; arrays of bool, int and float travel")
        params[name] = array
    return params


def grouped(group: str, name: str) -> str:
    """The parameter name under which an array of a group travels: ``control/w`` for ``w`` of ``control``."""
    return f"{group}/{name}"


def split_groups(values: Mapping[str, _T], groups: Collection[str]) -> tuple[dict[str, _T], dict[str, dict[str, _T]]]:
    """Part what goes by the names that travel: arrays, or whatever belongs to them.

    Args:
        values: by parameter name, those of groups as `grouped` gives them.
        groups: the names of the groups; see `group_names`.

    Returns:
        What belongs to parameters by their names, and for every group what belongs to it, in the order of `values`.
    """
    params: dict[str, _T] = {}
    parts: dict[str, dict[str, _T]] = {group: {} for group in groups}
    for name, value in values.items():
        group, _, rest = name.partition("/")
        if rest and group in parts:
            parts[group][rest] = value
        else:
            params[name] = value
    return params, parts


def group_names(meta: Mapping[str, Any]) -> list[str]:
    """The groups of arrays that a manifest's meta names; none if it names none.

    Raises:
        ValueError: what it has in their place is no list of names, or has one twice.
    """
    found = meta.get(GROUPS, [])
    if not isinstance(found, list):
        raise ValueError(f"meta {GROUPS!r} is {found!r:.80}, expected a list of names")  # noqa: TRY004 - as the others
    for name in found:
        check_group(name)
    if len(set(found)) != len(found):
        raise ValueError(f"meta {GROUPS!r} has a name twice: {found!r:.200}")
    return found


def check_group(name: object) -> None:
    """Make sure that something can be the name of a group.

    Raises:
        ValueError: it cannot.
    """
    if not isinstance(name, str) or not name or "/" in name or not _is_text(name):
        raise ValueError(f"the name of a group of arrays is {name!r:.80}, expected text that is not empty, without '/'")


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
