"""`FLModel`: what travels between the server and the sites, as scripts see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

Params = dict[str, NDArray[Any]]
"""Parameter name to array, any shape."""

NUMPY_KEY = "numpy_key"
"""The name a model of one unnamed array goes by."""

NUM_STEPS = "NUM_STEPS_CURRENT_ROUND"
"""Key of `FLModel.meta` that holds a result's weight in the average: a number of steps or samples."""


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
    """

    params_type: ParamsType | str | None = None
    params: dict[str, Any] | None = None
    optimizer_params: dict[str, Any] | None = None
    metrics: Mapping[str, SupportsFloat] | None = None
    start_round: int = 0
    current_round: int | None = None
    total_rounds: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)

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
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise TypeError(f"parameter name {name!r} has half of a surrogate pair, which is no text")
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"parameter {name!r} has dtype {array.dtype}; arrays of bool, int and float travel")
        params[name] = array
    return params
