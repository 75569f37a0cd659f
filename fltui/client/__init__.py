"""The Client API that a training script imports: ``import fltui.client as flare``."""

from fltui.client.api import (
    get_config,
    get_data_path,
    get_job_id,
    get_seed,
    get_site_name,
    get_task_name,
    init,
    is_evaluate,
    is_running,
    is_submit_model,
    is_train,
    log,
    receive,
    send,
    shutdown,
    system_info,
)
from fltui.client.config import ExchangeFormat, TransferType
from fltui.client.decorators import evaluate, train
from fltui.model import FLModel, ParamsType

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
