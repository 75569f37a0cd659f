"""What a run was begun with, as names and texts for trackers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.visible import visible
from fltui.run.events import RunStarted
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal

MOST_PARAMETERS = 200
_LONGEST = 500
"""Characters of a value."""


def parameters_of(folder: RunFolder) -> dict[str, str]:
    """The parameters of a run: its job, its workflows with their arguments, its sites, how it is run.

    What noise is drawn from is not among them.

    Raises:
        BadInputError: the journal cannot be read, or does not begin with the run's start.
    """
    started = next(read_journal(folder.journal), None)
    if not isinstance(started, RunStarted):
        raise BadInputError(f"journal {folder.journal} does not begin with the run's start")
    names = ", ".join(sorted(started.sites))
    found: dict[str, Any] = {
        "job": started.job,
        "workflow": started.workflow,
        "rounds": started.total_rounds,
        "start_round": started.start_round,
        "sites": len(started.sites) or "whoever comes",
        "site_names": names,
        "mode": started.mode,
        **{f"options.{name}": value for name, value in msgspec.to_builtins(started.options).items() if name != "seed"},
        "seed": started.options.seed,
        "signed": bool(started.server_key),
        **dict(_of_job(folder)),
    }
    texts = {visible(name): _text(value) for name, value in found.items() if value not in (None, "")}
    return dict(list(texts.items())[:MOST_PARAMETERS])


def _of_job(folder: RunFolder) -> Iterator[tuple[str, Any]]:
    """Arguments of what runs at the server, as its exported config has them; nothing where that cannot be read."""
    try:
        config = msgspec.json.decode((folder.job / "app_server" / "config" / "config_fed_server.json").read_bytes())
    except (OSError, *MALFORMED):
        return
    if not isinstance(config, dict):
        return
    seen: set[str] = set()
    for part in config.get("workflows") or []:
        if isinstance(part, dict) and isinstance(part.get("path"), str):
            name = title = _class_of(part)
            number = 1
            while title in seen:
                number += 1
                title = f"{name}-{number}"
            seen.add(title)
            yield from _arguments(title, part)
    for name in ("task_data_filters", "task_result_filters"):
        if config.get(name):
            yield name, config[name]


def _arguments(title: str, part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    arguments = part.get("args")
    for name, value in arguments.items() if isinstance(arguments, dict) else ():
        if isinstance(value, dict) and isinstance(value.get("path"), str):
            yield f"{title}.{name}", _class_of(value)
            yield from _arguments(f"{title}.{name}", value)
        else:
            yield f"{title}.{name}", value


def _class_of(part: dict[str, Any]) -> str:
    return str(part["path"]).replace(":", ".").rpartition(".")[2]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = visible(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
