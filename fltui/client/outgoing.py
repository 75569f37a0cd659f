"""What a script sends, as it travels: arrays, finite numbers, JSON."""

from __future__ import annotations

import json
import math
from numbers import Real
from typing import Any

import numpy as np

from fltui.errors import ClientError
from fltui.model import GROUPS, NUM_STEPS, FLModel, Params, as_params, check_group, grouped


def outgoing(model: FLModel) -> tuple[Params, Params, dict[str, float], dict[str, Any]]:
    """The parameters, the arrays of all groups under the names they travel by, the metrics and the meta of a model.

    The meta names the groups, if there are any.

    Raises:
        ClientError: something in it cannot travel; the sentence names it.
    """
    if not isinstance(model, FLModel):
        raise ClientError(f"send() takes an FLModel, not a {type(model).__name__}")
    parts = model.groups or {}
    try:
        params = as_params({} if model.params is None else model.params)
        groups = _joined(parts)
    except (TypeError, ValueError) as error:
        raise ClientError(f"send(): {error}") from error
    for name in params:
        group, beside, _ = name.partition("/")
        if beside and group in parts:
            raise ClientError(f"send(): parameter {name!r} looks like an array of the group {group!r}; rename either")
    metrics = {str(name): finite(value, f"send(): metric {name!r}") for name, value in (model.metrics or {}).items()}
    meta = {key: value.item() if isinstance(value, np.generic) else value for key, value in (model.meta or {}).items()}
    try:
        json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ClientError(f"send(): meta holds what JSON cannot: {error}") from error
    if isinstance(meta.get(NUM_STEPS), bool):
        raise ClientError(f"send(): meta {NUM_STEPS!r} is a truth value, expected a number of steps")
    if GROUPS in meta:
        raise ClientError(f"send(): meta {GROUPS!r} is set by send() itself; put groups of arrays into FLModel.groups")
    if parts:
        meta[GROUPS] = sorted(parts)
    return params, groups, metrics, meta


def _joined(groups: dict[str, dict[str, Any]]) -> Params:
    """The arrays of all groups under the names they travel by.

    Raises:
        TypeError: a value is not an array of numbers.
        ValueError: a group's name cannot be one.
    """
    joined: Params = {}
    for group, values in groups.items():
        check_group(group)
        try:
            joined |= {grouped(group, name): array for name, array in as_params(values).items()}
        except TypeError as error:
            raise TypeError(f"group {group!r}: {error}") from error
    return joined


def finite(value: Any, what: str) -> float:
    """The number that `value` is.

    Raises:
        ClientError: it is none, or NaN or infinite; `what` names it.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ClientError(f"{what} is {value!r:.80} ({type(value).__name__}), expected a finite number")
    return float(value)


def difference(params: Params, received: Params) -> Params:
    """The parameters less those of the model received, in their own dtypes.

    Raises:
        ClientError: that model has no such parameter.
    """
    changed: Params = {}
    for name, value in params.items():
        if name not in received or received[name].shape != value.shape:
            raise ClientError(
                f"send(): no difference can be made of {name!r}, the model received has no such parameter"
            )
        changed[name] = (value - received[name]).astype(value.dtype)
    return changed
