"""Turns nvflare's configurations into those that fltui writes itself."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fltui.errors import BadInputError, RefusedError
from fltui.exchange.npy import map_array
from fltui.job.nvflare import parts
from fltui.job.nvflare.config import (
    ClientConfig,
    Part,
    ServerConfig,
    arguments,
    configuration,
    is_meant,
    refusal,
    refuse_filters,
    without_placeholder,
)
from fltui.model import NUMPY_KEY, Params

_BUILT_IN = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.float32)
"""The model of an `NPModelPersistor` that is given none."""

_FEDAVG = "fltui.workflows.fedavg.FedAvg"
_FEDPROX = "fltui.workflows.fedprox.FedProx"
_SCRIPT_EXECUTOR = "fltui.job.executors.ScriptExecutor"


def read_server(document: Any, file: Path) -> tuple[Any, dict[str, Params]]:
    """What ``config_fed_server.json`` says, as fltui would have written it; itself where it is none of nvflare's.

    Args:
        document: the JSON.
        file: where it lies; the app's ``custom/`` lies beside its folder.

    Returns:
        The configuration, and the arguments of its workflow that hold arrays: ``model``, where there is one.

    Raises:
        BadInputError: it is malformed, or names what fltui has no counterpart of.
    """
    if not is_meant(document):
        return document, {}
    config = configuration(document, ServerConfig, file)
    refuse_filters(config, file)
    components = {part.id: part for part in config.components}
    for part in config.workflows:
        if part.path not in parts.WORKFLOWS:
            raise refusal(part, file)
    if len(config.workflows) != 1:
        raise BadInputError(f"{file} has {len(config.workflows)} workflows of nvflare's, expected one")
    (workflow,) = config.workflows
    args = arguments(workflow, parts.WORKFLOWS[workflow.path], file)
    if workflow.path == parts.SCATTER_AND_GATHER:
        args |= _gathering(workflow, components, file)
    for part in config.components:
        if part.path in parts.SERVER_COMPONENTS:
            kept = arguments(part, parts.SERVER_COMPONENTS[part.path], file)
            if part.path == parts.SELECTOR:
                args |= _selection(part, kept, file)
        elif part.path not in parts.IDLE and not _does_nothing(part, file):
            raise refusal(part, file)
    if "stop_cond" in args:  # it judges by itself which model is the best
        args |= {"key_metric": "", "key_metric_goal": "min" if "<" in args["stop_cond"] else "max"}
    else:
        args.pop("patience", None)  # nvflare, too, looks at it where there is a condition
    model = _initial_model(workflow, components, file)
    path = _FEDAVG
    if mu := workflow.args.get("fedprox_mu"):
        path, args["mu"] = _FEDPROX, mu
    return {
        "format_version": 2,
        "workflows": [{"path": path, "args": args, "id": workflow.id}],
    }, {"model": model} if model else {}


def read_client(document: Any, file: Path) -> Any:
    """What ``config_fed_client.json`` says, as fltui would have written it; see `read_server`.

    Raises:
        BadInputError: it is malformed, or names what fltui has no counterpart of.
    """
    if not is_meant(document):
        return document
    config = configuration(document, ClientConfig, file)
    refuse_filters(config, file)
    components = {part.id: part for part in config.components}
    executors = []
    for one in config.executors:
        executor = {"path": _SCRIPT_EXECUTOR, "args": _script(one.executor, components, file), "id": "executor"}
        executors.append({"executor": executor, "tasks": one.tasks})
    for part in config.components:
        if part.path not in parts.IDLE and part.path not in parts.LAUNCHERS:
            raise refusal(part, file)
    return {
        "format_version": 2,
        "executors": executors,
    }


def _selection(part: Part, kept: dict[str, Any], file: Path) -> dict[str, Any]:
    """Arguments of FedAvg for a selector of the best model.

    nvflare's recipes add one for ``accuracy`` to every job, and where no site measures that, it does nothing. fltui
    ends a run that lacks the metric it is to judge by, so only a metric counts that is named in the job's code.
    """
    metric = kept.get("key_metric", "val_accuracy")
    if not any(_says(source, metric) for source in file.parent.parent.parent.glob("*/custom/**/*.py")):
        return {}
    return {"key_metric": metric, "key_metric_goal": "min" if part.args.get("negate_key_metric") else "max"}


def _says(source: Path, text: str) -> bool:
    """Whether Python code has a constant of that text."""
    return any(isinstance(node, ast.Constant) and node.value == text for node in ast.walk(_parsed(source)))


def _parsed(source: Path) -> ast.Module:
    """Python code; empty where it is none."""
    try:
        return ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested without end
        return ast.Module([], [])


def _gathering(part: Part, components: dict[str, Part], file: Path) -> dict[str, Any]:
    """Arguments of FedAvg for a round of all sites, of which so many must answer."""
    least = part.args.get("min_clients")
    if type(least) is not int:
        raise BadInputError(f"{file}: ScatterAndGather has min_clients {least!r:.80}, expected a whole number")
    args: dict[str, Any] = {"num_clients": least, "min_clients": least}
    args["wait_time_after_min_received"] = part.args.get("wait_time_after_min_received", 10)
    if timeout := part.args.get("train_timeout"):
        args["round_timeout"] = timeout
    aggregator = components.get(part.args.get("aggregator_id", "aggregator"))
    if aggregator is None or aggregator.path != parts.AGGREGATOR:
        raise refusal(aggregator, file) if aggregator else BadInputError(f"{file} has no aggregator")
    return args | arguments(aggregator, parts.SERVER_COMPONENTS[parts.AGGREGATOR], file)


def _initial_model(workflow: Part, components: dict[str, Part], file: Path) -> Params:
    """The model that the sites are sent in the first round; empty where they start from their own."""
    default = "" if workflow.path == parts.SCATTER_AND_GATHER else "persistor"
    persistor = components.get(workflow.args.get("persistor_id", default))
    if persistor is None:
        return {}
    if persistor.path != parts.PERSISTOR:
        raise refusal(persistor, file)
    if PurePosixPath(str(persistor.args.get("model_dir", "models"))).is_absolute():
        raise BadInputError(
            f"{file}: NPModelPersistor reads from {persistor.args['model_dir']!r:.200}, which is no part of the job"
        )
    if checkpoint := persistor.args.get("source_ckpt_file_full_name"):
        return {NUMPY_KEY: _checkpoint(str(checkpoint), file)}
    values = persistor.args.get("model")
    return {NUMPY_KEY: _BUILT_IN.copy() if values is None else _array(values, file)}


def _array(values: Any, file: Path) -> np.ndarray[Any, np.dtype[Any]]:
    """Numbers as nvflare reads them: float32."""
    try:
        return np.array(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{file}: the initial model is no array of numbers: {error}") from error


def _checkpoint(name: str, file: Path) -> np.ndarray[Any, np.dtype[Any]]:
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts:
        raise BadInputError(
            f"{file}: the initial model {name[:200]!r} is no part of the job; copy it into the app's custom folder and "
            "name it from there"
        )
    try:
        return map_array(file.parent.parent / "custom" / inside)
    except RefusedError as error:
        raise BadInputError(f"{file}: initial model: {error}") from error


def _script(part: Part, components: dict[str, Part], file: Path) -> dict[str, Any]:
    """Arguments of `ScriptExecutor` for an executor of nvflare's."""
    if part.path not in parts.EXECUTORS:
        raise refusal(part, file)
    args = arguments(part, parts.EXECUTORS[part.path], file)
    name = part.path.rpartition(".")[2]
    exchanged = part.args.get("params_exchange_format") or ("pytorch" if part.path in parts.IN_TORCH else "numpy")
    if exchanged not in ("numpy", "raw"):
        raise BadInputError(f"{file}: {name} hands the script {exchanged!r:.80} arrays, and fltui NumPy's")
    script: Any
    launcher = components.get(part.args.get("launcher_id") or "")
    if launcher is not None:
        if launcher.path not in parts.LAUNCHERS:
            raise refusal(launcher, file)
        arguments(launcher, parts.LAUNCHERS[launcher.path], file)
        script, words = _launched(launcher.args.get("script"), file)
    elif "launcher_id" in part.args or part.args.get("execution_mode") == "external_process":
        script, words = _launched(part.args.get("command"), file)
    else:
        script, words = part.args.get("task_script_path"), str(part.args.get("task_script_args", "")).split()
    if not isinstance(script, str) or not script:
        raise BadInputError(f"{file}: {name} names no script")
    args["task_script_path"] = without_placeholder(script, f"{file}: the script of {name}")
    if words:
        args["task_script_args"] = without_placeholder(shlex.join(words), f"{file}: the arguments of the script")
    return args


def _launched(command: Any, file: Path) -> tuple[str, list[str]]:
    """The script below ``custom/`` and its arguments, of a command like ``python3 -u custom/train.py --epochs 2``."""
    try:
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command or ()]
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{file}: the command {command!r:.200} cannot be read: {error}") from error
    python, *after = words or [""]
    script, *rest = (after[1:] if after[:1] == ["-u"] else after) or [""]
    if python not in ("python", "python3") or not script.startswith("custom/"):
        raise BadInputError(
            f"{file}: the command {shlex.join(words)[:200]!r} is not one of 'python3 -u custom/SCRIPT ARGUMENTS'"
        )
    return script.removeprefix("custom/"), rest


def _does_nothing(part: Part, file: Path) -> bool:
    """Whether a component is a class of the job's own code that derives from none: nvflare makes it, tells it nothing,
    and no other component that is known here asks for it."""
    module, _, name = part.path.rpartition(".")
    source = file.parent.parent / "custom" / f"{module.replace('.', '/')}.py"
    return any(isinstance(node, ast.ClassDef) and node.name == name and not node.bases for node in _parsed(source).body)
