"""fltui: federated learning over nothing but a shared folder, shown live in a terminal.

The names of the Job API are imported on first use, so that ``import fltui.client`` in a training script stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fltui.client.config import ExchangeFormat, TransferType
    from fltui.job.executors import ScriptExecutor, ScriptRunner
    from fltui.job.fed_job import FedJob
    from fltui.model import FLModel, ParamsType
    from fltui.workflows.fedavg import FedAvg

__version__ = "0.1.0"

__all__ = [
    "ExchangeFormat",
    "FLModel",
    "FedAvg",
    "FedJob",
    "ParamsType",
    "ScriptExecutor",
    "ScriptRunner",
    "TransferType",
]

_HOMES = {
    "ExchangeFormat": "fltui.client.config",
    "FLModel": "fltui.model",
    "FedAvg": "fltui.workflows.fedavg",
    "FedJob": "fltui.job.fed_job",
    "ParamsType": "fltui.model",
    "ScriptExecutor": "fltui.job.executors",
    "ScriptRunner": "fltui.job.executors",
    "TransferType": "fltui.client.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fltui' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
