"""Targets as people name them: ``tensorboard:DIR``, ``mlflow:DIR``, ``mlflow:URI``."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fltui.errors import BadInputError
from fltui.exchange.visible import visible
from fltui.run.folder import RunFolder
from fltui.tracking.errors import TrackingError, without_passwords
from fltui.tracking.records import ModelChoice, Writer

FORMS = "tensorboard:DIR, mlflow:DIR, mlflow:sqlite:///FILE, mlflow:http://HOST:PORT"

_TRACKERS = ("tensorboard", "mlflow")
"""Each is the name of its package, too."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https")
_PLUGINS = "mlflow.tracking_store"
"""Where packages say of which stores MLflow learns by them."""

_PATIENCE = 5.0
"""Seconds in which a server has to answer at the start."""

_OFF = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What MLflow would do besides: report how it is used, look for git, print, and answer before it has written."""

_UNLESS_SET = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


@dataclass(frozen=True)
class Target:
    """Where a run is tracked.

    Attributes:
        tracker: ``tensorboard`` or ``mlflow``.
        place: an absolute folder, or a URI of MLflow's.
    """

    tracker: str
    place: str

    @property
    def text(self) -> str:
        """As people name it, without a password."""
        return without_passwords(self.whole)

    @property
    def whole(self) -> str:
        """What `parse_target` makes the same target of; nobody is shown it."""
        return f"{self.tracker}:{self.place}"

    @property
    def is_folder(self) -> bool:
        """Whether the place is a folder and not a URI."""
        return not _URI.match(self.place)


def parse_target(text: str, option: str = "--to") -> Target:
    """A target out of what a person wrote; its library has to be there.

    Args:
        text: what was written.
        option: where, for the sentence.

    Raises:
        BadInputError: it is none, or the library is missing.
    """
    tracker, _, place = text.partition(":")
    shown = f"{option} {without_passwords(text)!r}"
    if tracker not in _TRACKERS:
        raise BadInputError(f"{shown} names no tracker; these are known: {FORMS}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(f"{option} '{visible(without_passwords(text))}' is not UTF-8; rename it") from error
    if "\n" in text:
        raise BadInputError(f"{shown} has a line feed in it, which no target may have")
    if tracker == "mlflow" and not place:
        place = os.environ.get("MLFLOW_TRACKING_URI", "")
        shown = f"{option} {without_passwords(f'{tracker}:{place}')!r}" if place else shown
    if tracker == "mlflow" and place.lower().startswith("file:"):
        place = unquote(urlsplit(place).path)
    if not place:
        also = ", or set MLFLOW_TRACKING_URI" if tracker == "mlflow" else ""
        raise BadInputError(f"{shown} names no place; write {tracker}:DIR{also}")
    if find_spec(tracker) is None:
        raise BadInputError(f"{shown} needs the package {tracker}: pip install 'fltui[tracking]'")
    if tracker == "tensorboard":
        if "://" in place and _URI.match(place):
            raise BadInputError(f"{shown} names no folder, which is all that TensorBoard reads; write tensorboard:DIR")
        return _folder(tracker, place, shown)
    if place == "databricks" or _URI.match(place):
        _check_uri(place, shown)
        return Target(tracker, place)
    return _folder(tracker, place, shown)


def _folder(tracker: str, place: str, shown: str) -> Target:
    """The target that is a folder.

    Raises:
        BadInputError: it cannot be.
    """
    try:
        folder = str(Path(place).expanduser().absolute())
        folder.encode()
    except RuntimeError as error:
        raise BadInputError(f"{shown} is in the home of somebody who is not known here") from error
    except UnicodeEncodeError as error:
        raise BadInputError(f"{shown} is in a folder whose name is not UTF-8; rename that") from error
    return Target(tracker, folder)


def _check_uri(uri: str, shown: str) -> None:
    """See that a URI is one of a store that there can be.

    Raises:
        BadInputError: it is not.
    """
    try:
        found = urlsplit(uri)
        port, kind = found.port, found.scheme.partition("+")[0]
    except ValueError as error:
        raise BadInputError(f"{shown} is no URL: {error}") from error
    if kind in _SERVERS:
        if not found.hostname or port == 0:
            raise BadInputError(f"{shown} names no server; write mlflow:{kind}://HOST:PORT")
    elif kind in _DATABASES:
        if find_spec("sqlalchemy") is None:
            raise BadInputError(
                f"{shown} is a database, for which mlflow-skinny lacks SQLAlchemy: pip install mlflow; "
                "a folder (mlflow:DIR) or a server (mlflow:http://HOST:PORT) needs nothing more"
            )
        if not found.path.strip("/"):
            raise BadInputError(f"{shown} names no database; write mlflow:sqlite:///FILE, or as SQLAlchemy has it")
    elif found.scheme not in entry_points(group=_PLUGINS).names:
        raise BadInputError(
            f"{shown} names no store that is known here; these are: {FORMS}. For a folder of that name write "
            f"mlflow:./{visible(without_passwords(uri))}"
        )


@contextmanager
def opened(target: Target, folder: RunFolder, models: ModelChoice, experiment: str = "") -> Iterator[Writer]:
    """A writer for a run, and what its library has to find in the environment as long as it is used. The library is
    loaded here.

    Raises:
        TrackingError: the target cannot be used.
    """
    if target.tracker == "tensorboard":
        from fltui.tracking.tensorboard import TensorBoardWriter

        yield TensorBoardWriter(target.text, Path(target.place), folder, models)
        return
    with _quiet(target):
        _check_server(target)
        from fltui.tracking.mlflow import MLflowWriter

        uri = Path(target.place).as_uri() if target.is_folder else target.place
        yield MLflowWriter(target.text, uri, folder, models, experiment, _artifacts(target))


@contextmanager
def _quiet(target: Target) -> Iterator[None]:
    """What MLflow reads of the environment, as long as it is used here."""
    wanted = dict(_OFF)
    if target.is_folder:
        wanted["MLFLOW_ALLOW_FILE_STORE"] = "true"  # MLflow 3.17 refuses its own folders without
    wanted |= {name: value for name, value in _UNLESS_SET.items() if name not in os.environ}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _check_server(target: Target) -> None:
    """See that somebody answers where a server is to be, or the proxy that leads there: MLflow itself would try for
    minutes."""
    found = urlsplit(target.place)
    if found.scheme not in ("http", "https") or not found.hostname:
        return
    host, port = found.hostname, found.port or (443 if found.scheme == "https" else 80)
    what = "nobody answers there"
    if proxy := _proxy_for(found.scheme, host):
        host, port = proxy
        what = f"its proxy {host}:{port} does not answer"
    try:
        socket.create_connection((host, port), _PATIENCE).close()
    except OSError as error:
        raise TrackingError(f"{target.text}: {what}: {error.strerror or error}") from error


def _proxy_for(scheme: str, host: str) -> tuple[str, int] | None:
    """Where the environment leads those who call a host, as ``HTTPS_PROXY`` and ``NO_PROXY`` have it; None for nowhere
    else."""
    from urllib.request import getproxies, proxy_bypass  # nobody else waits for it

    known = getproxies()
    named = known.get(scheme) or known.get("all")
    if not named or proxy_bypass(host):
        return None
    try:
        found = urlsplit(named if "//" in named else f"//{named}")
        port = found.port or (1080 if found.scheme.startswith("socks") else 443 if found.scheme == "https" else 80)
    except ValueError:
        return None
    return (found.hostname, port) if found.hostname else None


def _artifacts(target: Target) -> str | None:
    """Where a new experiment's artifacts go: beside a SQLite file, not in whatever folder this was called from."""
    found = urlsplit(target.place)
    if found.scheme.partition("+")[0] != "sqlite":
        return None
    file = unquote(found.path)
    path = Path(file[1:]).absolute()  # sqlite:///FILE, and one more slash where the path is absolute
    return (path.parent / "mlartifacts").as_uri()
