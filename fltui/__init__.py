"""fltui: federated learning over nothing but a shared folder, shown live in a terminal.

The names of the Job API are imported on first use, so that ``import fltui.client`` in a training script stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fltui.aggregation.aggregators import (
        Aggregator,
        Bulyan,
        GeometricMedian,
        Krum,
        Median,
        MultiKrum,
        TrimmedMean,
        WeightedMean,
    )
    from fltui.aggregation.filters import ClipNorm, ExcludeVars, Filter, PercentilePrivacy
    from fltui.aggregation.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi, ServerOptimizer
    from fltui.aggregation.privacy import GaussianNoise
    from fltui.client.config import ExchangeFormat, TransferType
    from fltui.errors import BadInputError
    from fltui.job.executors import ScriptExecutor, ScriptRunner
    from fltui.job.fed_job import FedJob
    from fltui.model import FLModel, ParamsType
    from fltui.workflows.aggregating import write_next
    from fltui.workflows.cross_site import CrossSiteEval
    from fltui.workflows.cyclic import Cyclic
    from fltui.workflows.fedavg import FedAvg
    from fltui.workflows.fedprox import FedProx
    from fltui.workflows.scaffold import Scaffold
    from fltui.workflows.starting import initial_model
    from fltui.workflows.statistics import Statistics
    from fltui.workflows.workflow import Answer, Federation, Request, Workflow

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "Answer",
    "BadInputError",
    "Bulyan",
    "ClipNorm",
    "CrossSiteEval",
    "Cyclic",
    "ExchangeFormat",
    "ExcludeVars",
    "FLModel",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedJob",
    "FedProx",
    "FedYogi",
    "Federation",
    "Filter",
    "GaussianNoise",
    "GeometricMedian",
    "Krum",
    "Median",
    "MultiKrum",
    "ParamsType",
    "PercentilePrivacy",
    "Request",
    "Scaffold",
    "ScriptExecutor",
    "ScriptRunner",
    "ServerOptimizer",
    "Statistics",
    "TransferType",
    "TrimmedMean",
    "WeightedMean",
    "Workflow",
    "initial_model",
    "write_next",
]

_HOMES = {
    "Aggregator": "fltui.aggregation.aggregators",
    "Answer": "fltui.workflows.workflow",
    "BadInputError": "fltui.errors",
    "Bulyan": "fltui.aggregation.aggregators",
    "ClipNorm": "fltui.aggregation.filters",
    "CrossSiteEval": "fltui.workflows.cross_site",
    "Cyclic": "fltui.workflows.cyclic",
    "ExchangeFormat": "fltui.client.config",
    "ExcludeVars": "fltui.aggregation.filters",
    "FLModel": "fltui.model",
    "FedAdagrad": "fltui.aggregation.optimizers",
    "FedAdam": "fltui.aggregation.optimizers",
    "FedAvg": "fltui.workflows.fedavg",
    "FedAvgM": "fltui.aggregation.optimizers",
    "FedJob": "fltui.job.fed_job",
    "FedProx": "fltui.workflows.fedprox",
    "FedYogi": "fltui.aggregation.optimizers",
    "Federation": "fltui.workflows.workflow",
    "Filter": "fltui.aggregation.filters",
    "GaussianNoise": "fltui.aggregation.privacy",
    "GeometricMedian": "fltui.aggregation.aggregators",
    "Krum": "fltui.aggregation.aggregators",
    "Median": "fltui.aggregation.aggregators",
    "MultiKrum": "fltui.aggregation.aggregators",
    "ParamsType": "fltui.model",
    "PercentilePrivacy": "fltui.aggregation.filters",
    "Request": "fltui.workflows.workflow",
    "Scaffold": "fltui.workflows.scaffold",
    "ScriptExecutor": "fltui.job.executors",
    "ScriptRunner": "fltui.job.executors",
    "ServerOptimizer": "fltui.aggregation.optimizers",
    "Statistics": "fltui.workflows.statistics",
    "TransferType": "fltui.client.config",
    "TrimmedMean": "fltui.aggregation.aggregators",
    "WeightedMean": "fltui.aggregation.aggregators",
    "Workflow": "fltui.workflows.workflow",
    "initial_model": "fltui.workflows.starting",
    "write_next": "fltui.workflows.aggregating",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fltui' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
