"""What a worker is asked before a site is started there, and what it says; both travel. See also `sharing`."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from fltui import __version__
from fltui.exchange.layout import PROTOCOL
from fltui.simulator.needs import is_readable

OURS = "server"
"""The file in a probe that the server writes."""


@dataclass(frozen=True)
class Question:
    """What a worker is to look at.

    Attributes:
        probes: folders that the server has made to find out, each in one that the worker has to see.
        token: what they hold in `OURS`.
        data: paths of sites' data.
    """

    probes: list[str]
    token: str
    data: list[str]


@dataclass(frozen=True)
class Sight:
    """What a worker found.

    Attributes:
        version: of its fltui.
        protocol: that it speaks.
        host: the name of its machine.
        user: who its process is.
        wrote: the name of the file that it wrote into each probe, and what is in it.
        faults: what it could not do, by the probe.
        data: those of the paths that are there.
    """

    version: str = __version__
    protocol: int = PROTOCOL
    host: str = field(default_factory=socket.gethostname)
    user: str = ""
    wrote: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    data: frozenset[str] = frozenset()


def looked(question: Question, name: str) -> Sight:
    """Look, on the worker.

    Args:
        question: see `Question`.
        name: of the file that is written into every probe, with its name in it.
    """
    faults = {probe: fault for probe in question.probes if (fault := _fault(Path(probe), question.token, name))}
    return Sight(
        user=_user(), wrote=name, faults=faults, data=frozenset(path for path in question.data if is_readable(path))
    )


def _fault(probe: Path, token: str, name: str) -> str:
    folder = probe.parent
    try:
        found = (probe / OURS).read_text()
    except FileNotFoundError:
        return f"another folder lies at {folder}" if folder.is_dir() else f"there is no {folder}"
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    if found != token:
        return f"{folder} does not have what was written into it"
    try:
        (probe / name).write_text(name)
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror}"
    return ""


def _user() -> str:
    try:
        return f"{getpass.getuser()} ({os.getuid()})"
    except (KeyError, OSError, AttributeError):  # a container may have no name for its user; Windows has no numbers
        return str(os.getuid()) if hasattr(os, "getuid") else "?"
