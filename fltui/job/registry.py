"""The components that a job folder may name. A path in JSON is looked up here and never imported as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, get_type_hints

import msgspec

from fltui.errors import BadInputError
from fltui.job.code import NO_CODE, Code, CodeRefusedError, has_module, load_class
from fltui.job.component import Component, Part, ServerComponent

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
    "fltui.workflows.statistics": ("Statistics",),
}

_COMPONENTS = {f"{module}.{name}": f"{module}:{name}" for module, names in _KNOWN.items() for name in names}
"""Path in a job folder to where the class lives. Imported only when a job is instantiated."""

_SERIES = "fltui.workflows.series:Series"
"""What the workflows of a job become where there are several."""


def path_of(component: object) -> str:
    """The path that names a component's class in a job folder."""
    return f"{type(component).__module__}.{type(component).__qualname__}"


def is_known(path: str) -> bool:
    """Whether a path is that of a registered class."""
    return path in _COMPONENTS


def own_classes(component: Any) -> set[type[Any]]:
    """The classes of a component and its parts that are not registered, so that they are the job's own code.

    Raises:
        BadInputError: one is no dataclass, so that its arguments cannot be told.
    """
    if not is_dataclass(component):
        raise BadInputError(f"{path_of(component)} is no dataclass; put @dataclass(frozen=True) above the class")
    found = set() if path_of(component) in _COMPONENTS else {type(component)}
    for field in fields(component):
        value = getattr(component, field.name)
        for part in value if isinstance(value, list | tuple) else (value,):
            if is_dataclass(part) and not isinstance(part, type):
                found |= own_classes(part)
    return found


def arguments_of(component: Component) -> dict[str, Any]:
    """A component's arguments as JSON values, without its arrays and those that are empty by default.

    A part that is a component itself stands there with its own path and arguments.
    """
    return _arguments_of(component, component.arrays)


def _arguments_of(part: Any, arrays: frozenset[str] = frozenset()) -> dict[str, Any]:
    return {
        field.name: _written(value)
        for field in fields(part)
        if field.name not in arrays and not _goes_without_saying(field, value := getattr(part, field.name))
    }


def _goes_without_saying(field: Field[Any], value: Any) -> bool:
    """Whether an argument is empty, and would be if it were not given."""
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return (value is None or value in ("", {}, ())) and value == default


def written(part: Any) -> Part:
    """A part of a job by its path and arguments."""
    return Part(path_of(part), _arguments_of(part))


def _written(value: Any) -> Any:
    """An argument as a JSON value."""
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    return msgspec.to_builtins(written(value) if is_dataclass(value) else value)


def array_fields(path: str, where: str, code: Code) -> frozenset[str]:
    """Names of the arguments of a class that hold arrays.

    Raises:
        BadInputError: see `create`.
    """
    return _arrays_of(_class_at(path, where, code))


def _arrays_of(kind: type[Any]) -> frozenset[str]:
    arrays: frozenset[str] = getattr(kind, "arrays", frozenset())
    return arrays


def create(path: str, arguments: dict[str, Any], arrays: dict[str, Any], where: str, code: Code = NO_CODE) -> Any:
    """Instantiate a component from a job folder.

    Args:
        path: as `path_of` gives it.
        arguments: JSON values by name.
        arrays: values of the fields that hold arrays.
        where: the file, for the sentence.
        code: of the job.

    Raises:
        BadInputError: the path is not registered and no class of the job's code, or an argument is unknown, missing or
            of the wrong kind.
    """
    kind = _class_at(path, where, code)
    name = kind.__name__
    if not is_dataclass(kind):
        raise BadInputError(f"{where} names the component {path[:200]!r}, which is no dataclass")
    try:
        hints = get_type_hints(kind)
    except Exception as error:
        raise BadInputError(f"{where}: the annotations of {name} cannot be read: {error}") from error
    known = {field.name for field in fields(kind)}
    values = dict(arrays)
    for argument, value in arguments.items():
        if argument not in known or argument in _arrays_of(kind):
            raise BadInputError(
                f"{where}: {name} has no argument {argument[:80]!r}; it has: {', '.join(sorted(known))}"
            )
        try:
            values[argument] = _read(value, hints[argument], where, code)
        except msgspec.ValidationError as error:
            raise BadInputError(f"{where}: argument {argument!r} of {name}: {error}") from error
    try:
        return kind(**values)
    except BadInputError as error:
        raise BadInputError(f"{where}: {error}") from error
    except Exception as error:  # of a class that a user wrote
        raise BadInputError(f"{where}: {name}: {error}") from error


def _read(value: Any, hint: Any, where: str, code: Code) -> Any:
    """An argument from its JSON value.

    Raises:
        msgspec.ValidationError: it is of another kind than the hint.
        BadInputError: see `create`, of a part.
    """
    if _is_part(value):
        return create(value["path"], value.get("args", {}), {}, where, code)
    if isinstance(value, list) and value and all(_is_part(one) for one in value):
        return tuple(create(one["path"], one.get("args", {}), {}, where, code) for one in value)
    found = msgspec.convert(value, hint)
    for one in found if isinstance(found, list | tuple) else (found,):
        if is_dataclass(one):  # of a name that is spelt wrong nothing would be left but its defaults
            raise msgspec.ValidationError("Expected components, each an object with `path` and `args` alone")
    return found


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


def _class_at(path: str, where: str, code: Code) -> type[Any]:
    if path in _COMPONENTS:
        return _load(_COMPONENTS[path])
    if code.folder is not None and code.may_run and (kind := load_class(code.folder, path)) is not None:
        return kind
    told = f"{where} names the component {path[:200]!r}, which is not registered"
    if code.folder is not None and not code.may_run and has_module(code.folder, path):
        raise CodeRefusedError(
            f"{told}: it is code of the job's own and would run with your rights; --job-code lets it, if you trust it"
        )
    near = get_close_matches(path, _COMPONENTS, n=3)
    hint = f"near to it: {', '.join(near)}" if near else "docs/workflows.md names what there is"
    raise BadInputError(f"{told}; {hint}")


def _load(place: str) -> type[Any]:
    module, name = place.split(":")
    kind: type[Any] = getattr(import_module(module), name)
    return kind
