"""Writes a job such that ``nvflare simulator`` runs it to the same model, with nvflare 2.5 to 2.9.

nvflare needs no fltui for that: the app's ``custom/`` holds a module with the parts of the job, and a small package in
the place of fltui where a script imports that.
"""

from __future__ import annotations

import shutil
from dataclasses import MISSING, fields
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.layout import array_files
from fltui.exchange.npy import write_array
from fltui.job.component import Component
from fltui.job.job import Job, SiteApp
from fltui.job.nvflare import parts, stand_in
from fltui.model import Params

_PAYLOAD = Path(__file__).parent / "payload"
_PARTS = "fltui_for_nvflare"
_STAND_IN = "fltui"
_INITIAL = "initial_model"
_OURS = frozenset({_PARTS, _STAND_IN, _INITIAL})
"""What the export puts into ``custom/``."""

_EXPORTED = {
    "fltui.workflows.fedavg.FedAvg": frozenset(
        {"key_metric", "key_metric_goal", "min_clients", "model", "num_clients", "num_rounds", "start_round"}
    ),
    "fltui.job.executors.ScriptExecutor": frozenset({"params_transfer_type", "task_script_args", "task_script_path"}),
    "fltui.job.job.Job": frozenset(
        {"everywhere", "mandatory_clients", "min_clients", "name", "resource_spec", "sites", "workflow"}
    ),
    "fltui.job.job.SiteApp": frozenset({"executor", "files"}),
}
"""What is written; everything else must be what it is by default."""

_SECRET = "${secret:"
"""With this nvflare fills in an argument from its environment."""


def write_parts(job: Job, folder: Path) -> None:
    """Write `job` as a job of nvflare's.

    Where all sites run the same there is one app for all, so that the simulator may give them any names.

    Args:
        job: what to write.
        folder: where; it is made.

    Raises:
        BadInputError: nvflare has no counterpart of something in the job; the sentence names it.
        OSError: a file cannot be read or written.
    """
    _check(job)
    apps = list(job.sites.values()) + ([job.everywhere] if job.everywhere else [])
    alike = all(app.is_like(apps[0]) for app in apps) and not job.mandatory_clients
    deploy: dict[str, list[str]] = {"app": ["@ALL"]} if alike else {"app_server": ["server"]}
    _write_server(job, folder / next(iter(deploy)))
    if alike:
        _write_site(apps[0], folder / "app")
    else:
        for name, app in job.sites.items():
            deploy[f"app_{name}"] = [name]
            _write_site(app, folder / f"app_{name}")
    meta = {
        "name": job.name,
        "resource_spec": job.resource_spec,
        "min_clients": max(job.min_clients, job.workflow.site_count),
        "deploy_map": deploy,
    }
    if job.mandatory_clients:
        meta["mandatory_clients"] = list(job.mandatory_clients)
    _write_json(meta, folder / "meta.json")


def simulator_command(job: Job, folder: Path) -> list[str]:
    """The command that runs the exported job, with the sites' own names where they have some."""
    count = job.workflow.site_count
    sites = ["-c", ",".join(job.sites)] if job.sites else ["-n", str(count)]
    return ["nvflare", "simulator", str(folder), "-w", "WORKSPACE", *sites, "-t", str(len(job.sites) or count)]


def _check(job: Job) -> None:
    """Make sure that the job means the same to nvflare.

    Raises:
        BadInputError: it does not.
    """
    workflow = job.workflow
    if len(workflow.parts) != 1:
        raise BadInputError(
            f"job {job.name} cannot be exported for nvflare: it has {len(workflow.parts)} workflows, and one can be"
        )
    _check_fields(job, job, "the job")
    _check_fields(job, workflow, "the workflow")
    model, quorum, count = _model(job), getattr(workflow, "min_clients", None), workflow.site_count
    if quorum not in (None, count):
        raise BadInputError(
            f"job {job.name} cannot be exported for nvflare: FedAvg has min_clients {quorum} of {count}, and nvflare's "
            "waits for all that it asks"
        )
    if job.sites and not job.everywhere and len(job.sites) != count:
        raise BadInputError(
            f"job {job.name} cannot be exported for nvflare: FedAvg asks {count} of {len(job.sites)} sites a round, "
            "and nvflare would choose others"
        )
    if job.sites and job.everywhere:
        raise BadInputError(
            f"job {job.name} cannot be exported for nvflare: it has an app for all sites beside those of single sites"
        )
    for name, array in model.items():
        if array.dtype.kind != "f":
            raise BadInputError(
                f"job {job.name} cannot be exported for nvflare: parameter {name!r} of the initial model has dtype "
                f"{array.dtype}, which its mean has at fltui and not at nvflare; make it one of float"
            )
    for target, app in {**job.sites, **({"all sites": job.everywhere} if job.everywhere else {})}.items():
        _check_site(job, target, app)


def _check_site(job: Job, target: str, app: SiteApp) -> None:
    """Make sure that a site's script runs the same at nvflare.

    Raises:
        BadInputError: it does not.
    """
    said = f"job {job.name} cannot be exported for nvflare: "
    _check_fields(job, app, f"the app of {target}")
    _check_fields(job, app.executor, f"the executor of {target}")
    if app.executor.params_transfer_type == "DIFF" and not _model(job):
        raise BadInputError(
            f"{said}{target} sends differences, and there is no initial model for nvflare to make the first from"
        )
    for word in app.executor.arguments():
        if word.split() != [word] or _SECRET in word:
            raise BadInputError(f"{said}it cannot hand the script of {target} the argument {word[:80]!r} as one")
    if taken := _OURS & {PurePosixPath(file).parts[0].removesuffix(".py") for file in app.files}:
        raise BadInputError(
            f"{said}{target} has a file or folder {min(taken)!r}, where the export puts its own; rename it"
        )
    for file, source in app.files.items():
        if source.suffix == ".py" and (name := stand_in.lacking(source.read_bytes())):
            raise BadInputError(f"{said}{file} of {target} imports {name}, and nvflare has no counterpart of that")


def _check_fields(job: Job, thing: Component | Job | SiteApp, what: str) -> None:
    """Make sure that everything in a part of the job is written.

    Raises:
        BadInputError: it is not.
    """
    name = type(thing).__qualname__
    path = f"{type(thing).__module__}.{name}"
    if path not in _EXPORTED:
        raise BadInputError(
            f"job {job.name} cannot be exported for nvflare: {what} is {name}; only FedAvg and ScriptExecutor can"
        )
    for field in fields(thing):  # type: ignore[arg-type]  # every component is a dataclass
        usual = field.default if field.default_factory is MISSING else field.default_factory()
        value = getattr(thing, field.name)
        if field.name not in _EXPORTED[path] and value != usual:
            raise BadInputError(
                f"job {job.name} cannot be exported for nvflare: {what} has {field.name} {value!r:.80}, which nvflare "
                "has no counterpart of"
            )


def _model(job: Job) -> Params:
    model: Params = getattr(job.workflow, "model", None) or {}
    return model


def _write_server(job: Job, app: Path) -> None:
    workflow, model = job.workflow, _model(job)
    given: dict[str, Any] = {name: getattr(workflow, name) for name in ("num_clients", "num_rounds", "start_round")}
    if not model:
        given["allow_empty_global_weights"] = True
    files = {name: f"{_INITIAL}/{file}" for name, file in array_files(model).items()}
    components = [_part("persistor", f"{_PARTS}.ModelFiles", {"files": files})]
    if metric := getattr(workflow, "key_metric", ""):
        chosen = {"key_metric": metric, "negate_key_metric": getattr(workflow, "key_metric_goal", None) == "min"}
        components.append(_part("model_selector", parts.SELECTOR, chosen))
    _write_json(
        _config(workflows=[_part("controller", parts.FEDAVG, given)], components=components),
        app / "config" / "config_fed_server.json",
    )
    _copy(_PAYLOAD / f"{_PARTS}.py", app / "custom" / f"{_PARTS}.py")
    for name, inside in files.items():
        file = app / "custom" / inside
        file.parent.mkdir(parents=True, exist_ok=True)
        write_array(file, name, model[name], file=file.name)


def _write_site(app: SiteApp, folder: Path) -> None:
    executor = app.executor
    args = {
        "task_script_path": executor.task_script_path,
        "task_script_args": " ".join(executor.arguments()),
        "params_transfer_type": str(executor.params_transfer_type),
    }
    named = {"tasks": ["*"], "executor": {"path": f"{_PARTS}.ScriptExecutor", "args": args}}
    _write_json(_config(executors=[named], components=[]), folder / "config" / "config_fed_client.json")
    custom = folder / "custom"
    for inside, source in app.files.items():
        _copy(source, custom / inside)
    _copy(_PAYLOAD / f"{_PARTS}.py", custom / f"{_PARTS}.py")
    if any(source.suffix == ".py" and b"fltui" in source.read_bytes() for source in app.files.values()):
        for inside, source in stand_in.files().items():
            _copy(source, custom / inside)


def _config(**lists: list[dict[str, Any]]) -> dict[str, Any]:
    return {"format_version": 2, **lists, "task_data_filters": [], "task_result_filters": []}


def _part(name: str, path: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "path": path, "args": args}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_json(document: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
