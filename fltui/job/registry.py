"""The components that a job folder may name. A path in JSON is looked up here and never imported as it stands."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any, get_type_hints

import msgspec

from fltui.errors import BadInputError
from fltui.job.component import Component

_COMPONENTS = {
    "fltui.job.executors.ScriptExecutor": "fltui.job.executors:ScriptExecutor",
    "fltui.workflows.fedavg.FedAvg": "fltui.workflows.fedavg:FedAvg",
}
"""Path in a job folder to where the class lives. Imported only when a job is instantiated."""


def path_of(component: Component) -> str:
    """The path that names a component's class in a job folder.

    Raises:
        BadInputError: the class is not registered, so the folder could not be loaded again.
    """
    path = f"{type(component).__module__}.{type(component).__qualname__}"
    if path not in _COMPONENTS:
        raise BadInputError(f"{path} is not a registered component; known: {', '.join(sorted(_COMPONENTS))}")
    return path


def arguments_of(component: Component) -> dict[str, Any]:
    """A component's arguments as JSON values, without its arrays and without those that are None."""
    values = {
        field.name: getattr(component, field.name)
        for field in fields(component)  # type: ignore[arg-type]  # every component is a dataclass
        if field.name not in component.arrays
    }
    return {name: msgspec.to_builtins(value) for name, value in values.items() if value is not None}


def array_fields(path: str) -> frozenset[str]:
    """Names of the arguments of a registered class that hold arrays; none for an unknown path."""
    if path not in _COMPONENTS:
        return frozenset()
    arrays: frozenset[str] = _class_at(path).arrays
    return arrays


def create(path: str, arguments: dict[str, Any], arrays: dict[str, Any], where: str) -> Component:
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
        if argument not in known or argument in kind.arrays:
            raise BadInputError(
                f"{where}: {name} has no argument {argument[:80]!r}; it has: {', '.join(sorted(known))}"
            )
        try:
            values[argument] = msgspec.convert(value, hints[argument])
        except msgspec.ValidationError as error:
            raise BadInputError(f"{where}: argument {argument!r} of {name}: {error}") from error
    try:
        component = kind(**values)
    except TypeError as error:
        raise BadInputError(f"{where}: {name}: {error}") from error
    except BadInputError as error:
        raise BadInputError(f"{where}: {error}") from error
    if not isinstance(component, Component):
        raise BadInputError(f"{where}: {name} is not a component")
    return component


def _class_at(path: str) -> type[Any]:
    module, name = _COMPONENTS[path].split(":")
    kind: type[Any] = getattr(import_module(module), name)
    return kind
