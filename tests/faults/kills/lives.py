"""Processes of ``fltui`` that begin at once: forked from one that has imported everything.

A kill costs a start of what was killed, and most of a start is imports. What runs is the command itself, ``fltui
server``, ``fltui client`` and so on, in a process of its own.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NoReturn

from fltui import cli
from tests.faults.kills.armed import Seams
from tests.jobs import environment

_LONGEST_STEP = 120

_PRELOADED = [
    "tests.faults.kills.lives",
    "tests.faults.kills.trouble",
    "fltui.cli.app",
    "fltui.cli.progress",
    "fltui.client.__main__",
    "fltui.server.engine",
    "fltui.server.remote",
    "fltui.simulator.local",
    "fltui.workflows.fedavg",
    "importlib.metadata",
    "email.message",
    "platformdirs.unix",
    "watchdog.observers",
]

HASTE = {
    "fltui.client.heartbeat:TICK": 0.05,
    "fltui.client.heartbeat:_SOONEST": 0.02,
    "fltui.server.remote:LOOK": 0.05,
    "fltui.server.remote:RemoteSites.look_every": 0.05,
}
"""Settings that let sites and server see each other sooner, so that a test does not wait."""


class NextStep:
    """The step at which the next process stops, in a file that all of them look at.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def get(self) -> str:
        """The step; empty if there is none any more."""
        return os.pread(self._fd, _LONGEST_STEP, 0).decode().rstrip()

    def set(self, step: str) -> None:
        """Another step from now on."""
        os.pwrite(self._fd, step.ljust(_LONGEST_STEP).encode(), 0)


class Stops:
    """Stops a process at the next step, until it is told to go on or killed."""

    def __init__(self, step: NextStep, line: Connection) -> None:
        self._step = step
        self._line = line
        self._lock = threading.Lock()

    def wants(self, step: str) -> bool:
        """See `Told`."""
        return self._step.get() == step

    def reached(self, step: str) -> None:
        """See `Told`."""
        if self._step.get() == step:
            with self._lock:
                if self._step.get() == step:
                    self._line.send(step)
                    self._line.recv()


class Counts:
    """Writes every step into a file once, in the order in which they came first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._write = os.write
        self._seen: set[str] = set()

    def wants(self, step: str) -> bool:
        """See `Told`: no, but it could be wanted."""
        self.reached(step)
        return False

    def reached(self, step: str) -> None:
        """See `Told`."""
        if step not in self._seen:
            self._seen.add(step)
            self._write(self._fd, f"{step}\n".encode())


@dataclass(frozen=True)
class Arms:
    """What a process is given beside its command.

    Attributes:
        who: ``server`` or ``site``, for the names of steps; empty for a process that is not armed.
        next: see `NextStep`.
        line: where it says that it has stopped.
        count: the file for `Counts`, instead.
        settings: values of the product to change, as ``module:name``.
        trouble: functions of `tests.faults.kills.trouble` that are called before the command.
    """

    who: str = ""
    next: Path | None = None
    line: Connection | None = None
    count: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trouble: Sequence[str] = ()


def start(folder: Path, name: str, arguments: Sequence[str | Path], arms: Arms | None = None) -> ForkServerProcess:
    """``fltui ARGUMENTS`` in a process of its own, with its files in `folder`; what it says is in ``NAME.out``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_live, args=(folder, name, [*map(str, arguments)], arms or Arms()), daemon=True)
    process.start()
    return process


def _live(folder: Path, name: str, arguments: list[str], arms: Arms) -> NoReturn:
    os.chdir(folder)
    os.environ.update(environment(folder))
    out = os.open(folder / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd in (1, 2):
        os.dup2(out, fd)
    sys.argv = ["fltui", *arguments]
    for where, value in {**HASTE, **arms.settings}.items():
        module, _, path = where.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, last = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        if not hasattr(owner, last):
            raise AttributeError(f"there is no {where} to change")
        setattr(owner, last, value)
    for name in arms.trouble:
        getattr(importlib.import_module("tests.faults.kills.trouble"), name)()
    os.execve = _become  # type: ignore[assignment]  # it does not return either
    if arms.count is not None:
        Seams(arms.who, folder, Counts(arms.count)).install()
    elif arms.next is not None and arms.line is not None:
        Seams(arms.who, folder, Stops(NextStep(arms.next), arms.line)).install()
    cli.main()
    sys.exit(0)


def _become(executable: str, command: list[str], environment: dict[str, str]) -> NoReturn:
    """``fltui client`` becomes ``python -P -m fltui.cli.site``: here without losing what was imported and armed."""
    if command[:4] != [executable, "-P", "-m", "fltui.cli.site"]:
        raise AssertionError(f"{command} is not what a client becomes")
    os.environ.update(environment)
    sys.argv = command[3:]
    sys.exit(importlib.import_module("fltui.cli.site").main())
