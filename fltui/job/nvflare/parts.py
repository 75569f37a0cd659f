"""The classes of nvflare that its job folders name, and what each of their arguments is to fltui.

Whatever is not written here is refused by name: nothing of a job is left out because nobody knew of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Known:
    """The arguments of a class.

    Attributes:
        kept: those that mean the same, by what fltui calls them.
        only: those that would change the result, and the values with which they do not.
        idle: those that change nothing of the result: waiting times, sizes of messages, names of files.
        own: those that are read one by one.
    """

    kept: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()


_COMMON = "nvflare.app_common"

FEDAVG = f"{_COMMON}.workflows.fedavg.FedAvg"
SCATTER_AND_GATHER = f"{_COMMON}.workflows.scatter_and_gather.ScatterAndGather"
PERSISTOR = f"{_COMMON}.np.np_model_persistor.NPModelPersistor"
SELECTOR = f"{_COMMON}.widgets.intime_model_selector.IntimeModelSelector"
AGGREGATOR = f"{_COMMON}.aggregators.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator"
LAUNCHER = f"{_COMMON}.launchers.subprocess_launcher.SubprocessLauncher"

_WORKFLOW_IDLE = frozenset(
    {
        "allow_empty_global_weights",
        "ignore_result_error",
        "memory_gc_rounds",
        "persist_every_n_rounds",
        "snapshot_every_n_rounds",
        "task_check_period",
    }
)

WORKFLOWS = {
    FEDAVG: Known(
        kept={
            "aggregation_weights": "weights",
            "num_clients": "num_clients",
            "num_rounds": "num_rounds",
            "patience": "patience",
            "start_round": "start_round",
            "stop_cond": "stop_cond",
        },
        only={"aggregator": (None,), "exclude_vars": (None, ""), "model": (None,), "task_name": ("train",)},
        idle=_WORKFLOW_IDLE | {"enable_tensor_disk_offload", "save_filename"},
        own=frozenset({"fedprox_mu", "persistor_id"}),
    ),
    SCATTER_AND_GATHER: Known(
        kept={"num_rounds": "num_rounds", "start_round": "start_round"},
        only={"train_task_name": ("train",)},
        idle=_WORKFLOW_IDLE | {"shareable_generator_id"},
        own=frozenset(
            {"aggregator_id", "min_clients", "persistor_id", "train_timeout", "wait_time_after_min_received"}
        ),
    ),
}

SERVER_COMPONENTS = {
    PERSISTOR: Known(
        only={"filter_id": (None, "")},
        idle=frozenset({"model_name"}),
        own=frozenset({"model", "model_dir", "source_ckpt_file_full_name"}),
    ),
    SELECTOR: Known(
        kept={"key_metric": "key_metric"},
        only={
            "aggregation_weights": (None, {}),
            "validation_metric_name": ("initial_metrics",),
            "weigh_by_local_iter": (False,),
        },
        own=frozenset({"negate_key_metric"}),
    ),
    AGGREGATOR: Known(
        kept={"aggregation_weights": "weights"},
        only={
            "exclude_vars": (None, ""),
            "expected_data_kind": ("WEIGHTS", "WEIGHT_DIFF"),
            "weigh_by_local_iter": (True,),
        },
    ),
}

_EXECUTOR_KEPT = {"params_transfer_type": "params_transfer_type"}
_EXECUTOR_ONLY: dict[str, tuple[Any, ...]] = {
    "from_nvflare_converter_id": (None, ""),
    "server_expected_format": ("numpy",),
    "to_nvflare_converter_id": (None, ""),
    "train_task_name": ("train",),
}
_EXECUTOR_IDLE = frozenset(
    {
        "cuda_empty_cache",
        "evaluate_task_name",
        "memory_gc_rounds",
        "submit_model_task_name",
        "train_with_evaluation",
    }
)

_IN_PROCESS = Known(
    kept=_EXECUTOR_KEPT,
    only=_EXECUTOR_ONLY,
    idle=_EXECUTOR_IDLE | {"log_pull_interval", "result_pull_interval", "task_wait_time"},
    own=frozenset({"params_exchange_format", "task_script_args", "task_script_path"}),
)
_LAUNCHED = Known(
    kept=_EXECUTOR_KEPT,
    only=_EXECUTOR_ONLY,
    idle=_EXECUTOR_IDLE
    | {
        "config_file_name",
        "download_complete_timeout",
        "external_pre_init_timeout",
        "heartbeat_interval",
        "heartbeat_timeout",
        "last_result_transfer_timeout",
        "launch_timeout",
        "max_resends",
        "monitor_interval",
        "peer_read_timeout",
        "pipe_id",
        "read_interval",
        "submit_result_timeout",
        "task_wait_timeout",
        "workers",
    },
    own=frozenset({"launcher_id", "params_exchange_format"}),
)
CLIENT_API_EXECUTOR = f"{_COMMON}.executors.client_api_executor.ClientAPIExecutor"
EXECUTORS = {
    f"{_COMMON}.executors.in_process_client_api_executor.InProcessClientAPIExecutor": _IN_PROCESS,
    "nvflare.app_opt.pt.in_process_client_api_executor.PTInProcessClientAPIExecutor": _IN_PROCESS,
    f"{_COMMON}.executors.client_api_launcher_executor.ClientAPILauncherExecutor": _LAUNCHED,
    "nvflare.app_opt.pt.client_api_launcher_executor.PTClientAPILauncherExecutor": _LAUNCHED,
    CLIENT_API_EXECUTOR: Known(
        kept=_EXECUTOR_KEPT,
        only={**_EXECUTOR_ONLY, "execution_mode": ("in_process", "external_process")},
        idle=_EXECUTOR_IDLE
        | {
            "heartbeat_interval",
            "heartbeat_timeout",
            "launch_once",
            "launch_timeout",
            "result_wait_timeout",
            "shutdown_timeout",
            "stop_grace_period",
            "task_wait_timeout",
        },
        own=frozenset({"command", "params_exchange_format", "task_script_args", "task_script_path"}),
    ),
}

IN_TORCH = frozenset(path for path in EXECUTORS if path.startswith("nvflare.app_opt.pt."))
"""Executors that hand the script torch's tensors where nothing else is said."""

LAUNCHERS = {
    LAUNCHER: Known(
        only={"clean_up_script": (None, "")},
        idle=frozenset({"launch_once", "shutdown_timeout"}),
        own=frozenset({"script"}),
    )
}

IDLE = frozenset(
    {
        f"{_COMMON}.np.np_formatter.NPFormatter",
        f"{_COMMON}.np.np_model_locator.NPModelLocator",
        f"{_COMMON}.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator",
        f"{_COMMON}.widgets.convert_to_fed_event.ConvertToFedEvent",
        f"{_COMMON}.widgets.external_configurator.ExternalConfigurator",
        f"{_COMMON}.widgets.metric_relay.MetricRelay",
        f"{_COMMON}.widgets.metrics_artifact_writer.MetricsArtifactWriter",
        f"{_COMMON}.widgets.validation_json_generator.ValidationJsonGenerator",
        "nvflare.app_opt.tracking.mlflow.mlflow_receiver.MLflowReceiver",
        "nvflare.app_opt.tracking.tb.tb_receiver.TBAnalyticsReceiver",
        "nvflare.app_opt.tracking.wandb.wandb_receiver.WandBReceiver",
        "nvflare.fuel.utils.pipe.cell_pipe.CellPipe",
        "nvflare.fuel.utils.pipe.file_pipe.FilePipe",
    }
)
"""Components that change nothing of the result: they carry or write down what fltui carries and writes down itself."""
