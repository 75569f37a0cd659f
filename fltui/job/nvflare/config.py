"""nvflare's configurations as data, and how their arguments are taken over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fltui.errors import BadInputError
from fltui.job.nvflare.parts import Known

_T = TypeVar("_T")

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


class Part(msgspec.Struct):
    """A class and its arguments."""

    path: str = ""
    name: str = ""
    args: dict[str, Any] = {}
    id: str = ""


class Executor(msgspec.Struct):
    """What does some of a site's tasks."""

    executor: Part
    tasks: list[str] = msgspec.field(default_factory=lambda: ["*"])


class Filters(msgspec.Struct):
    """What is done to some tasks or results on their way."""

    filters: list[Part] = []


class ServerConfig(msgspec.Struct):
    """``config_fed_server.json``."""

    workflows: list[Part]
    components: list[Part] = []
    task_data_filters: list[Filters] = []
    task_result_filters: list[Filters] = []


class ClientConfig(msgspec.Struct):
    """``config_fed_client.json``."""

    executors: list[Executor]
    components: list[Part] = []
    task_data_filters: list[Filters] = []
    task_result_filters: list[Filters] = []


def is_meant(document: Any) -> bool:
    """Whether a configuration names classes of nvflare."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if isinstance(path := value.get("path"), str) and path.startswith("nvflare."):
                return True
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False


def configuration(document: Any, kind: type[_T], file: Path) -> _T:
    """A configuration with its variables filled in: ``{name}`` stands for the value of ``name`` at its top.

    Raises:
        BadInputError: it is malformed.
    """
    variables = {
        name: value
        for name, value in (document.items() if isinstance(document, dict) else ())
        if isinstance(value, str | int | float)
    }
    try:
        return msgspec.convert(_filled(document, variables), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadInputError(f"{file} is malformed: {error}") from error


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, variables) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value
    if (whole := _PLACEHOLDER.fullmatch(value)) and whole[1] in variables:
        return variables[whole[1]]
    return _PLACEHOLDER.sub(lambda found: str(variables.get(found[1], found[0])), value)


def arguments(part: Part, known: Known, file: Path) -> dict[str, Any]:
    """The arguments of a part that mean the same in fltui, under its names.

    Raises:
        BadInputError: an argument is not known, or has a value that fltui has no counterpart of.
    """
    name = part.path.rpartition(".")[2]
    taken: dict[str, Any] = {}
    for argument, value in part.args.items():
        if argument in known.kept:
            if value not in (None, {}):
                taken[known.kept[argument]] = without_placeholder(value, f"{file}: argument {argument!r} of {name}")
        elif argument in known.only:
            if not any(value == allowed and type(value) is type(allowed) for allowed in known.only[argument]):
                allowed = " or ".join(map(repr, known.only[argument]))
                raise BadInputError(
                    f"{file}: argument {argument!r} of nvflare's {name} is {value!r:.80}, which has no counterpart in "
                    f"fltui; it may be {allowed}"
                )
        elif argument not in known.idle | known.own:
            raise BadInputError(
                f"{file}: argument {argument[:80]!r} of nvflare's {name} has no counterpart in fltui; take it out"
            )
    return taken


def without_placeholder(value: Any, what: str) -> Any:
    """A value, when it holds nothing that nvflare fills in when it runs.

    Raises:
        BadInputError: it does.
    """
    if isinstance(value, str) and (found := _PLACEHOLDER.search(value)):
        raise BadInputError(f"{what} holds {found[0]}, which nvflare fills in when it runs, and fltui does not")
    return value


def refuse_filters(config: ServerConfig | ClientConfig, file: Path) -> None:
    """Make sure that there are no filters.

    Raises:
        BadInputError: there is one.
    """
    for several in config.task_data_filters + config.task_result_filters:
        for one in several.filters:
            raise refusal(one, file)


def refusal(part: Part, file: Path) -> BadInputError:
    """One sentence for a class that nothing is known of."""
    if not part.path:
        return BadInputError(f"{file} names {part.name[:200]!r} without its path; fltui takes classes by their paths")
    return BadInputError(f"{file} names {part.path[:200]!r}, which has no counterpart in fltui")
