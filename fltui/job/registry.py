"""The components that a job folder may name. A path in JSON is looked up here and never imported as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, get_type_hints

import msgspec

from fltui.errors import BadInputError
from fltui.job.component import Component, ServerComponent

_KNOWN = {
    "fltui.aggregation.aggregators": (
        "Bulyan",
        "GeometricMedian",
        "Krum",
        "Median",
        "MultiKrum",
        "TrimmedMean",
        "WeightedMean",
    ),
    "fltui.aggregation.filters": ("ClipNorm", "ExcludeVars", "PercentilePrivacy"),
    "fltui.aggregation.optimizers": ("FedAdagrad", "FedAdam", "FedAvgM", "FedYogi"),
    "fltui.aggregation.privacy": ("GaussianNoise",),
    "fltui.job.executors": ("ScriptExecutor",),
    "fltui.workflows.cross_site": ("CrossSiteEval",),
    "fltui.workflows.cyclic": ("Cyclic",),
    "fltui.workflows.fedavg": ("FedAvg",),
    "fltui.workflows.fedprox": ("FedProx",),
    "fltui.workflows.scaffold": ("Scaffold",),
}

_COMPONENTS = {f"{module}.{name}": f"{module}:{name}" for module, names in _KNOWN.items() for name in names}
"""Path in a job folder to where the class lives. Imported only when a job is instantiated."""

_SERIES = "fltui.workflows.series:Series"
"""What the workflows of a job become where there are several."""


def path_of(component: object) -> str:
    """The path that names a component's class in a job folder.

    Raises:
        BadInputError: the class is not registered, so the folder could not be loaded again.
    """
    path = f"{type(component).__module__}.{type(component).__qualname__}"
    if path not in _COMPONENTS:
        raise BadInputError(f"{path} is not a registered component; known: {', '.join(sorted(_COMPONENTS))}")
    return path


def arguments_of(component: Component) -> dict[str, Any]:
    """A component's arguments as JSON values, without its arrays and without those that are None or empty.

    A part that is a component itself stands there with its own path and arguments.
    """
    return _arguments_of(component, component.arrays)


def _arguments_of(part: Any, arrays: frozenset[str] = frozenset()) -> dict[str, Any]:
    values = {field.name: getattr(part, field.name) for field in fields(part) if field.name not in arrays}
    return {name: _written(value) for name, value in values.items() if value is not None and value not in ("", {}, ())}


def _written(value: Any) -> Any:
    """An argument as a JSON value."""
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    if is_dataclass(value):
        return {"path": path_of(value), "args": _arguments_of(value)}
    return msgspec.to_builtins(value)


def array_fields(path: str) -> frozenset[str]:
    """Names of the arguments of a registered class that hold arrays; none for an unknown path."""
    if path not in _COMPONENTS:
        return frozenset()
    arrays: frozenset[str] = getattr(_class_at(path), "arrays", frozenset())
    return arrays


def create(path: str, arguments: dict[str, Any], arrays: dict[str, Any], where: str) -> Any:
    """Instantiate a component from a job folder.

    Args:
        path: as `path_of` gives it.
        arguments: JSON values by name.
        arrays: values of the fields that hold arrays.
        where: the file, for the sentence.

    Raises:
        BadInputError: the path is not registered, or an argument is unknown, missing or of the wrong kind.
    """
    if path not in _COMPONENTS:
        raise BadInputError(
            f"{where} names the component {path[:200]!r}, which is not registered; known: "
            f"{', '.join(sorted(_COMPONENTS))}"
        )
    kind = _class_at(path)
    name = kind.__name__
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}
    values = dict(arrays)
    for argument, value in arguments.items():
        if argument not in known or argument in array_fields(path):
            raise BadInputError(
                f"{where}: {name} has no argument {argument[:80]!r}; it has: {', '.join(sorted(known))}"
            )
        try:
            values[argument] = _read(value, hints[argument], where)
        except msgspec.ValidationError as error:
            raise BadInputError(f"{where}: argument {argument!r} of {name}: {error}") from error
    try:
        component = kind(**values)
    except TypeError as error:
        raise BadInputError(f"{where}: {name}: {error}") from error
    except BadInputError as error:
        raise BadInputError(f"{where}: {error}") from error
    return component


def _read(value: Any, hint: Any, where: str) -> Any:
    """An argument from its JSON value.

    Raises:
        msgspec.ValidationError: it is of another kind than the hint.
        BadInputError: see `create`, of a part.
    """
    if _is_part(value):
        return create(value["path"], value.get("args", {}), {}, where)
    if isinstance(value, list) and value and all(_is_part(one) for one in value):
        return tuple(create(one["path"], one.get("args", {}), {}, where) for one in value)
    return msgspec.convert(value, hint)


def _is_part(value: Any) -> bool:
    """Whether a JSON value names a component and its arguments."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("path"), str)
        and isinstance(value.get("args", {}), dict)
        and value.keys() <= {"path", "args"}
    )


def series(workflows: Sequence[ServerComponent]) -> ServerComponent:
    """The workflows of a job as one."""
    if len(workflows) == 1:
        return workflows[0]
    found: ServerComponent = _load(_SERIES)(tuple(workflows))
    return found


def _class_at(path: str) -> type[Any]:
    return _load(_COMPONENTS[path])


def _load(place: str) -> type[Any]:
    module, name = place.split(":")
    kind: type[Any] = getattr(import_module(module), name)
    return kind
