"""The person's own settings: a TOML file that may be missing."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from fltui.errors import BadInputError


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set. Folders are absolute once the file is read.

    Attributes:
        theme: name of a theme; empty for the default.
        jobs: further folders that are jobs or hold jobs.
        runs: folder of run folders; empty for the default.
        exchange: the exchange folder; empty for the default.
        queue: the folder of the queue; empty for the default.
        keys: binding id to the keys that replace its own, separated by commas.
    """

    theme: str = ""
    jobs: list[str] = []
    runs: str = ""
    exchange: str = ""
    queue: str = ""
    keys: dict[str, str] = {}


_EXPECTED = {
    "theme": 'the name of a theme, such as "nord"',
    "jobs": 'a list of folders, such as ["~/jobs"]',
    "runs": 'a folder, such as "~/runs"',
    "exchange": 'a folder, such as "/mnt/shared/exchange"',
    "queue": 'a folder, such as "/srv/fl/queue"',
    "keys": 'a table of binding ids and keys, such as app.quit = "q,ctrl+q"',
}


def config_path() -> Path:
    """Where the file is looked for: ``FLTUI_CONFIG``, or ``config.toml`` in the folder for settings of this system."""
    if named := os.environ.get("FLTUI_CONFIG"):
        return _expanded(named, "FLTUI_CONFIG").absolute()
    from platformdirs import user_config_path  # here: every command loads this module, few need the path

    return user_config_path("fltui") / "config.toml"


def load_config(path: Path | None = None) -> Config:
    """Read the settings.

    Args:
        path: the file; None looks at `config_path`. One that is missing says nothing: all is as by default.

    Raises:
        BadInputError: the file cannot be read, is not TOML, or says what cannot be understood.
    """
    path = config_path() if path is None else path
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except UnicodeDecodeError as error:
        raise BadInputError(f"config file {path} is not text in UTF-8, see byte {error.start}") from error
    except OSError as error:
        raise BadInputError(f"config file {path} cannot be read: {error.strerror}") from error
    return _understood(_parsed(text, path), text, path)


def check(config: Config, themes: Collection[str], bindings: Collection[str], path: Path | None = None) -> None:
    """See that the theme and the binding ids exist.

    Args:
        config: the settings.
        themes: names of all themes.
        bindings: ids of all bindings.
        path: the file that the settings stem from; None is `config_path`.

    Raises:
        BadInputError: one of them does not; the sentence names the nearest that does.
    """
    where = _at(path or config_path())
    if config.theme and config.theme not in themes:
        raise BadInputError(f"{where}: theme {config.theme!r} is not known; {_nearest(config.theme, themes)}")
    for name, keys in config.keys.items():
        if name not in bindings:
            raise BadInputError(f"{where}: keys for {name!r}, which is no binding; {_nearest(name, bindings)}")
        if not all(key.strip() for key in keys.split(",")):
            raise BadInputError(f"{where}: keys for {name!r} are {keys!r}, expected keys separated by commas")


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        told = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.DOTALL)
        what, line = (told[1], told[2]) if told else (str(error), None)
        raise BadInputError(f"{_at(path, line)} is not TOML: {what[:1].lower()}{what[1:]}") from error
    return values


def _understood(values: dict[str, Any], text: str, path: Path) -> Config:
    types = {field.name: field.type for field in msgspec.structs.fields(Config)}
    for name, value in values.items():
        where = _at(path, _line_of(name, text))
        if name not in types:
            raise BadInputError(f"{where}: {name!r} is not known; {_nearest(name, types)}")
        if name == "keys" and isinstance(value, dict):
            values[name] = _flat(value)
        try:
            msgspec.convert(values[name], types[name])
        except msgspec.ValidationError as error:
            raise BadInputError(f"{where}: {name!r} is {repr(value)[:60]}, expected {_EXPECTED[name]}") from error
    config = msgspec.convert(values, Config)
    home = path.absolute().parent

    def folder(name: str) -> str:
        return str(home / _expanded(name, _at(path))) if name else ""

    return msgspec.structs.replace(
        config,
        jobs=[folder(name) for name in config.jobs if name],
        runs=folder(config.runs),
        exchange=folder(config.exchange),
        queue=folder(config.queue),
    )


def _expanded(name: str, where: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise BadInputError(f"{where}: folder {name!r} is in a home that is not known") from error


def _line_of(name: str, text: str) -> int | None:
    """The line on which a key, or the table of that name, stands; None where that cannot be told."""
    key = rf"[\"']?{re.escape(name)}[\"']?"
    found = re.search(rf"^[ \t]*(?:{key}[ \t]*[=.]|\[+[ \t]*{key}[ \t]*[\].])", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _at(path: Path, line: int | str | None = None) -> str:
    return f"line {line} of config file {path}" if line else f"config file {path}"


def _flat(keys: dict[str, Any]) -> dict[str, Any]:
    """TOML reads ``app.quit = "q"`` as a table in a table: such names are put together again."""
    flat: dict[str, Any] = {}
    for name, value in keys.items():
        inner = _flat(value) if isinstance(value, dict) else None
        flat.update({name: value} if inner is None else {f"{name}.{rest}": keys for rest, keys in inner.items()})
    return flat


def _nearest(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches  # here: only a mistake needs it

    near = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}"
