"""Targets as people name them: ``tensorboard:DIR``, ``mlflow:DIR``, ``mlflow:URI``."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fltui.errors import BadInputError
from fltui.run.folder import RunFolder
from fltui.tracking.errors import TrackingError
from fltui.tracking.records import ModelChoice, Writer

FORMS = "tensorboard:DIR, mlflow:DIR, mlflow:sqlite:///FILE, mlflow:http://HOST:PORT"

_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
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
        return f"{self.tracker}:{re.sub(r'//[^/@]*@', '//', self.place)}"

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
    if tracker not in _PACKAGES:
        raise BadInputError(f"{option} {text!r} names no tracker; these are known: {FORMS}")
    if tracker == "mlflow" and not place:
        place = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not place:
        also = ", or set MLFLOW_TRACKING_URI" if tracker == "mlflow" else ""
        raise BadInputError(f"{option} {text!r} names no place; write {tracker}:DIR{also}")
    if find_spec(_PACKAGES[tracker]) is None:
        raise BadInputError(f"{option} {text!r} needs the package {tracker}: pip install 'fltui[tracking]'")
    if tracker == "mlflow" and place.startswith("file:"):
        place = unquote(urlsplit(place).path)
    scheme = _URI.match(place)
    if tracker == "tensorboard" or scheme is None:
        return Target(tracker, str(Path(place).expanduser().absolute()))
    if scheme[0].partition("+")[0].rstrip(":").lower() in _DATABASES and find_spec("sqlalchemy") is None:
        raise BadInputError(
            f"{option} {Target(tracker, place).text!r} is a database, for which mlflow-skinny lacks SQLAlchemy: "
            "pip install mlflow; a folder (mlflow:DIR) or a server (mlflow:http://HOST:PORT) needs nothing more"
        )
    return Target(tracker, place)


@contextmanager
def opened(target: Target, folder: RunFolder, models: ModelChoice, experiment: str = "") -> Iterator[Writer]:
    """A writer for a run, closed at the end. The library is loaded here.

    Raises:
        TrackingError: the target cannot be used.
    """
    if target.tracker == "tensorboard":
        from fltui.tracking.tensorboard import TensorBoardWriter

        writer: Writer = TensorBoardWriter(target.text, Path(target.place), folder, models)
        try:
            yield writer
        finally:
            writer.close()
        return
    with _quiet(target):
        _check_server(target)
        from fltui.tracking.mlflow import MLflowWriter

        uri = Path(target.place).as_uri() if target.is_folder else target.place
        writer = MLflowWriter(target.text, uri, folder, models, experiment, _artifacts(target))
        try:
            yield writer
        finally:
            writer.close()


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
    """See that somebody answers where a server is to be: MLflow itself would try for minutes."""
    found = urlsplit(target.place)
    if found.scheme not in ("http", "https") or not found.hostname:
        return
    try:
        port = found.port or (443 if found.scheme == "https" else 80)
        socket.create_connection((found.hostname, port), _PATIENCE).close()
    except OSError as error:
        raise TrackingError(f"{target.text}: nobody answers there: {error.strerror or error}") from error
    except ValueError as error:
        raise TrackingError(f"{target.text} has no port that can be: {error}") from error


def _artifacts(target: Target) -> str | None:
    """Where a new experiment's artifacts go: beside a SQLite file, not in whatever folder this was called from."""
    found = urlsplit(target.place)
    if found.scheme.partition("+")[0] != "sqlite":
        return None
    file = unquote(found.path)
    path = Path(file[1:]).absolute()  # sqlite:///FILE, and one more slash where the path is absolute
    return (path.parent / "mlartifacts").as_uri()
