"""What a script sends, as it travels: arrays, finite numbers, JSON."""

from __future__ import annotations

import json
import math
from numbers import Real
from typing import Any

import numpy as np

from fltui.errors import ClientError
from fltui.model import NUM_STEPS, FLModel, Params, as_params


def outgoing(model: FLModel) -> tuple[Params, dict[str, float], dict[str, Any]]:
    """The parameters, metrics and meta of a model.

    Raises:
        ClientError: something in it cannot travel; the sentence names it.
    """
    try:
        params = as_params({} if model.params is None else model.params)
    except TypeError as error:
        raise ClientError(f"send(): {error}") from error
    metrics = {str(name): finite(value, f"send(): metric {name!r}") for name, value in (model.metrics or {}).items()}
    meta = {key: value.item() if isinstance(value, np.generic) else value for key, value in (model.meta or {}).items()}
    try:
        json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ClientError(f"send(): meta holds what JSON cannot: {error}") from error
    if isinstance(meta.get(NUM_STEPS), bool):
        raise ClientError(f"send(): meta {NUM_STEPS!r} is a truth value, expected a number of steps")
    return params, metrics, meta


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
