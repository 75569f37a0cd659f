"""The job folder, in the field's layout: written by an export, read with nothing trusted.

    hello/meta.json
    hello/app_server/config/config_fed_server.json
    hello/app_site-0/config/config_fed_client.json
    hello/app_site-0/custom/src/train.py

A job for whatever sites come has one ``app/`` with both configurations, deployed to ``@ALL``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec

from fltui.aggregation.filters import Filter
from fltui.errors import BadInputError, RefusedError
from fltui.exchange.durable import sync_folder, sync_tree
from fltui.exchange.layout import array_files, check_name
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.npy import map_array, write_array
from fltui.exchange.plain import read_plain
from fltui.job import registry
from fltui.job.code import NO_CODE, Code, has_module
from fltui.job.component import Part, ServerComponent
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.job.nvflare import reading
from fltui.model import Params, as_params

_T = TypeVar("_T")

_SERVER = "server"
_ALL = "@ALL"
_SERVER_CONFIG = "config_fed_server.json"
_CLIENT_CONFIG = "config_fed_client.json"

_LARGEST = 1 << 24
"""Bytes of the largest document of a job: others may have written it."""


class _Meta(msgspec.Struct):
    name: str
    deploy_map: dict[str, list[str]]
    resource_spec: dict[str, Any] = {}  # whoever needs it judges it
    min_clients: int = 1
    mandatory_clients: list[str] = []
    require_signatures: bool = False


class _Named(msgspec.Struct):
    path: str
    args: dict[str, Any] = {}
    id: str = ""


class _ServerConfig(msgspec.Struct):
    workflows: list[_Named]
    format_version: int = 2
    components: list[_Named] = []
    task_data_filters: list[Any] = []
    task_result_filters: list[Any] = []


class _Executor(msgspec.Struct):
    executor: _Named
    tasks: list[str] = msgspec.field(default_factory=lambda: ["*"])


class _Filter(_Named, forbid_unknown_fields=True):
    """Of arguments under a name that is spelt wrong nothing would be left but the filter's defaults."""


class _Filters(msgspec.Struct, forbid_unknown_fields=True):
    filters: list[_Filter]
    tasks: list[str] = msgspec.field(default_factory=lambda: ["*"])


class _ClientConfig(msgspec.Struct):
    executors: list[_Executor]
    format_version: int = 2
    components: list[_Named] = []
    task_data_filters: list[_Filters] = []
    task_result_filters: list[_Filters] = []


def write_job(
    job: Job, folder: Path, *, durable: bool = False, write: Callable[[Job, Path], None] | None = None
) -> Path:
    """Write `job` as `folder`, replacing an exported job that is there.

    Args:
        job: what to write.
        folder: where; the folder above is made where it is missing.
        durable: let the job survive a power cut.
        write: what writes it into a folder that is not there yet; fltui's own layout if not given.

    Raises:
        BadInputError: `folder` holds something else, or a file cannot be copied.
    """
    try:
        if folder.exists() and not (folder / "meta.json").is_file() and (folder.is_file() or any(folder.iterdir())):
            raise BadInputError(f"{folder} is not empty and not an exported job; nothing was written")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fltui-", dir=folder.parent) as beside:
            whole = Path(beside) / folder.name
            (write or _write_parts)(job, whole)
            if durable:
                sync_tree(whole)
            if folder.exists():
                shutil.rmtree(folder)
            whole.rename(folder)
        if durable:
            sync_folder(folder.parent)
    except OSError as error:
        raise BadInputError(f"job {job.name} cannot be exported to {folder}: {error}") from error
    return folder


def _write_parts(job: Job, folder: Path) -> None:
    deploy: dict[str, list[str]] = {}
    server = "app" if job.everywhere else "app_server"
    deploy[server] = [_ALL if job.everywhere else _SERVER]
    _write_server(job.workflow, folder / server)
    _copy_files(job.server_files, folder / server / "custom")
    if job.everywhere:
        _write_site(job.everywhere, folder / "app")
    for name, app in job.sites.items():
        deploy[f"app_{name}"] = [name]
        _write_site(app, folder / f"app_{name}")
    mandatory = list(job.mandatory_clients)
    meta = _Meta(job.name, deploy, job.resource_spec, job.min_clients, mandatory, job.require_signatures)
    _write_json(meta, folder / "meta.json")


def load_job(folder: Path, *, job_code: bool = False) -> Job:
    """Read a job folder. Only registered components are made, and with `job_code` those of the job's own code.

    Raises:
        BadInputError: a file is missing, malformed or names what is not known; the sentence says which and why.
    """
    meta, targets = _read_meta(folder)
    server = targets.pop(_SERVER, targets.get(_ALL))
    if server is None:
        raise BadInputError(f"{folder / 'meta.json'}: deploy_map has no app for 'server'")
    everywhere = targets.pop(_ALL, None)
    workflow = _read_server(server, may_run=job_code)
    where = f"{folder / 'meta.json'}: site"
    sites = {check_name(name, where): _read_site(app) for name, app in targets.items()}
    common = _read_common(everywhere)
    if not sites and common is None:
        raise BadInputError(f"{folder / 'meta.json'}: deploy_map has no app for any site")
    mandatory = tuple(meta.mandatory_clients)
    has_own = any(registry.own_classes(part) for part in workflow.parts)
    files = _files_in(server / "custom") if has_own else {}
    return Job(
        meta.name,
        workflow,
        sites,
        common,
        meta.min_clients,
        mandatory,
        meta.require_signatures,
        files,
        meta.resource_spec,
    )


def load_site(folder: Path, site: str) -> SiteApp | None:
    """What one site of a job folder runs, without loading the workflow; None where the job has nothing for it.

    Raises:
        BadInputError: a file is missing, malformed or names what is not known; the sentence says which and why.
    """
    app = _app_of(folder, site)
    return _read_site(app) if app else None


def filters_of_site(folder: Path, site: str) -> Path | None:
    """The configuration of a site whose filters are to be used there; None where it has none.

    Raises:
        BadInputError: see `load_site`.
    """
    app = _app_of(folder, site)
    path = app / "config" / _CLIENT_CONFIG if app else None
    return path if path and _read_json(path, _ClientConfig).task_result_filters else None


def _app_of(folder: Path, site: str) -> Path | None:
    """The folder of what a site runs: its own, or that of all sites."""
    targets = _read_meta(folder)[1]
    if site in targets and site != _SERVER:
        return targets[site]
    common = targets.get(_ALL)
    return common if common is not None and (common / "config" / _CLIENT_CONFIG).exists() else None


def named_sites(folder: Path) -> list[str]:
    """The sites that a job names, without loading it; none where it is for whoever takes part.

    Raises:
        BadInputError: ``meta.json`` is missing or malformed.
    """
    targets = _read_meta(folder)[1].keys() - {_SERVER, _ALL}
    return sorted(check_name(name, f"{folder / 'meta.json'}: site") for name in targets)


def demands_signatures(folder: Path) -> bool:
    """Whether a job's sites have to sign, without loading it.

    Raises:
        BadInputError: ``meta.json`` is missing or malformed.
    """
    return _read_json(folder / "meta.json", _Meta).require_signatures


def _read_meta(folder: Path) -> tuple[_Meta, dict[str, Path]]:
    """``meta.json``, and the app folder of every target it names."""
    meta = _read_json(folder / "meta.json", _Meta)
    targets: dict[str, Path] = {}
    for app, names in meta.deploy_map.items():
        check_name(app.removeprefix("app_"), f"{folder / 'meta.json'}: app")
        for site in names:
            if site in targets:
                raise BadInputError(f"{folder / 'meta.json'}: deploy_map gives {site[:80]!r} two apps")
            targets[site] = folder / app
    return meta, targets


def _write_server(workflow: ServerComponent, app: Path) -> None:
    named = []
    for place, part in enumerate(workflow.parts):
        args = registry.arguments_of(part)
        for name in sorted(part.arrays):
            if params := getattr(part, name):
                args[name] = _write_arrays(params, app / "config", _numbered(name, place))
        named.append(_Named(registry.path_of(part), args, _numbered("controller", place)))
    _write_json(_ServerConfig(named), app / "config" / _SERVER_CONFIG)


def _numbered(name: str, place: int) -> str:
    """The first has the name as it is."""
    return f"{name}-{place + 1}" if place else name


def _write_site(app: SiteApp, folder: Path) -> None:
    named = _Named(registry.path_of(app.executor), registry.arguments_of(app.executor), "executor")
    filters = [_Filter(one.path, one.args) for one in app.filters]
    config = _ClientConfig([_Executor(named)], task_result_filters=[_Filters(filters)] if filters else [])
    _write_json(config, folder / "config" / _CLIENT_CONFIG)
    (folder / "custom").mkdir(parents=True, exist_ok=True)
    _copy_files(app.files, folder / "custom")


def _copy_files(files: dict[str, Path], custom: Path) -> None:
    for inside, source in files.items():
        target = custom / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _write_arrays(params: Params, config: Path, name: str) -> dict[str, str]:
    (config / name).mkdir(parents=True, exist_ok=True)
    files = array_files(params)
    for parameter, file in files.items():
        write_array(config / name / file, parameter, params[parameter], file=file)
    return {parameter: f"{name}/{file}" for parameter, file in files.items()}


def _read_server(app: Path, *, may_run: bool) -> ServerComponent:
    path, code = app / "config" / _SERVER_CONFIG, Code(app / "custom", may_run)
    document, model = reading.read_server(_read_json(path, object), path)
    config = _converted(document, path, _ServerConfig)
    _refuse_components(config, path)
    if config.task_data_filters or config.task_result_filters:
        raise BadInputError(f"{path} has filters beside the workflow; those at the server are its argument 'filters'")
    if not config.workflows:
        raise BadInputError(f"{path} has no workflow, expected one or more")
    workflows = [_create(named, path, code, place, model) for place, named in enumerate(config.workflows)]
    for workflow, named in zip(workflows, config.workflows, strict=True):
        if not isinstance(workflow, ServerComponent):
            raise BadInputError(f"{path}: {named.path} is not a workflow")
    return registry.series(workflows)


def read_filters(path: Path) -> tuple[Any, ...]:
    """The filters of a site's configuration, those of the job's own code as well.

    Raises:
        BadInputError: see `load_job`.
    """
    code = Code(path.parent.parent / "custom", may_run=True)
    return tuple(_create(one, path, code) for one in _named_filters(_read_json(path, _ClientConfig), path))


def _named_filters(config: _ClientConfig, path: Path) -> list[_Filter]:
    if config.task_data_filters:
        raise BadInputError(f"{path} has task_data_filters; a filter's method task() is called by task_result_filters")
    return [one for filters in config.task_result_filters for one in filters.filters]


def _read_site(app: Path) -> SiteApp:
    """A site's app. Filters that are the job's own code are made by the site alone, which runs that code anyway."""
    path = app / "config" / _CLIENT_CONFIG
    config = _converted(reading.read_client(_read_json(path, object), path), path, _ClientConfig)
    _refuse_components(config, path)
    if len(config.executors) != 1:
        raise BadInputError(f"{path} has {len(config.executors)} executors, expected one")
    executor = _create(config.executors[0].executor, path, NO_CODE)
    if not isinstance(executor, ScriptExecutor):
        raise BadInputError(f"{path}: {config.executors[0].executor.path} is not an executor")
    script = PurePosixPath(executor.task_script_path)
    if script.is_absolute() or ".." in script.parts:
        raise BadInputError(f"{path}: script {str(script)!r} leaves the app's custom folder")
    named = _named_filters(config, path)
    for one in named:
        is_own = not registry.is_known(one.path) and has_module(app / "custom", one.path)
        if not is_own and not isinstance(_create(one, path, NO_CODE), Filter):
            raise BadInputError(f"{path}: {one.path} is not a filter")
    return SiteApp(executor, _files_in(app / "custom"), tuple(Part(one.path, one.args) for one in named))


def _files_in(custom: Path) -> dict[str, Path]:
    """Every file of an app, by its place below ``custom/``; not what Python leaves beside it."""
    return {
        file.relative_to(custom).as_posix(): file
        for file in sorted(custom.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def _read_common(app: Path | None) -> SiteApp | None:
    """The app of sites that have none of their own, where there is one."""
    if app is None or not (app / "config" / _CLIENT_CONFIG).exists():
        return None
    return _read_site(app)


def _refuse_components(config: _ServerConfig | _ClientConfig, path: Path) -> None:
    for component in config.components:
        raise BadInputError(f"{path} names the component {component.path[:200]!r}, which is not registered")


def _create(named: _Named, path: Path, code: Code, place: int = 0, given: dict[str, Params] | None = None) -> Any:
    args = dict(named.args)
    fields = sorted(registry.array_fields(named.path, str(path), code))
    arrays = dict(given or {})
    arrays |= {name: _read_arrays(args.pop(name), path, _numbered(name, place)) for name in fields if name in args}
    try:
        return registry.create(named.path, args, arrays, str(path), code)
    except RecursionError as error:
        raise BadInputError(f"{path}: the components are nested too deep") from error


def _read_arrays(files: Any, config: Path, name: str) -> Params:
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in (*files, *files.values())):
        raise BadInputError(f"{config}: {name} is not a table of parameter names and files")
    params: Params = {}
    for parameter, file in array_files(files).items():
        if files[parameter] != f"{name}/{file}":
            raise BadInputError(
                f"{config}: parameter {parameter[:80]!r} lies in {files[parameter]!r}, expected {file!r}"
            )
        path = config.parent / name / file
        try:
            params[parameter] = map_array(path)
        except RefusedError as error:
            raise BadInputError(f"initial model: {error}") from error
    return as_params(params)


def _converted(document: Any, path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(document, kind)
    except MALFORMED as error:
        raise BadInputError(f"{path} is malformed: {error}") from error


def _write_json(document: msgspec.Struct, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _read_json(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(read_plain(path, _LARGEST, follow=True), type=kind)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error
    except MALFORMED as error:
        raise BadInputError(f"{path} is malformed: {error}") from error
