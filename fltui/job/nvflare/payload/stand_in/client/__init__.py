"""nvflare's Client API, where a script asks for fltui's."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
import nvflare.client as _api
from nvflare.apis.analytix import AnalyticsDataType as _AnalyticsDataType
from nvflare.client import (
    FLModel,
    ParamsType,
    evaluate,
    get_config,
    get_job_id,
    get_site_name,
    is_evaluate,
    is_running,
    is_submit_model,
    is_train,
    system_info,
    train,
)
from nvflare.client.api import get_task_name
from nvflare.client.config import ExchangeFormat, TransferType

from .seed import seed_of

__all__ = [
    "ExchangeFormat",
    "FLModel",
    "ParamsType",
    "TransferType",
    "evaluate",
    "get_config",
    "get_data_path",
    "get_job_id",
    "get_seed",
    "get_site_name",
    "get_task_name",
    "init",
    "is_evaluate",
    "is_running",
    "is_submit_model",
    "is_train",
    "log",
    "receive",
    "send",
    "shutdown",
    "system_info",
    "train",
]

_SEED = 0
"""The run's seed, which fltui has, too, where none is named."""

_round = 0


def init(rank: str | int | None = None, config_file: str | None = None) -> None:  # noqa: ARG001 - see below
    """Begin; where the script runs is nvflare's business, so there is no file to read."""
    _api.init(rank=None if rank is None else str(rank))


def receive(timeout: float | None = None) -> FLModel | None:
    """The global model, in arrays that belong to the script: nvflare makes differences to its own."""
    global _round
    model = _api.receive(timeout)
    if model is not None:
        model = copy.copy(model)
        model.params = {name: np.array(array) for name, array in (model.params or {}).items()}
        model.groups = {}
        model.meta = {"seed": _SEED, **(model.meta or {})}
        _round = model.current_round or 0
    return model


def send(model: FLModel, clear_cache: bool = True) -> None:
    """Answer the task at hand; lists and numbers are arrays, as with fltui."""
    model = copy.copy(model)
    if model.params is not None:
        model.params = {name: np.asarray(array) for name, array in model.params.items()}
    if model.metrics is not None:
        model.metrics = {name: float(value) for name, value in model.metrics.items()}
    _api.send(model, clear_cache)


def log(key: str, value: float, data_type: str = "SCALAR", **kwargs: Any) -> None:
    """Stream one number."""
    if "step" in kwargs:
        kwargs["global_step"] = kwargs.pop("step")
    _api.log(key, value, _AnalyticsDataType[str(data_type)], **kwargs)


def get_seed() -> int:
    """A seed for what the script draws in this round, after `receive`."""
    return seed_of(_SEED, get_site_name(), _round)


def get_data_path() -> str:
    """Where this site's data lies, as whoever runs nvflare there says in ``FLTUI_DATA``; empty if nobody does."""
    return os.environ.get("FLTUI_DATA", "")


def shutdown() -> None:
    """Leave; nvflare 2.5 has no word for it."""
    getattr(_api, "shutdown", lambda: None)()
