"""What makes a process that was just forked the one that was asked for: as a Python that was started for it alone."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fltui.client.__main__ import LIFELINE
from fltui.exchange.hints import RELAY
from fltui.simulator.forkserver.memory import keep_memory
from fltui.simulator.launch import Launch, RunModule, client_command, module_command, variables_of
from fltui.simulator.lifeline import die_with_parent

_STARTUP_MODULES = {"sitecustomize", "usercustomize"}
"""What Python loads at its start if it is there."""


@dataclass(frozen=True)
class After:
    """What is to be as in a Python that was just started.

    Attributes:
        modules: names of those that are loaded.
        child_signal: what SIGCHLD does.
        files: soft and hard limit of open files.
    """

    modules: frozenset[str]
    child_signal: Any
    files: tuple[int, int]

    def begin(self) -> None:
        """Lead a session of one's own."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self.child_signal)

    def go_on(self, command: list[str], folders: set[Path], kept: list[int]) -> None:
        """Be what `command` starts, which may load the modules in `folders` and needs the descriptors `kept`."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self.files)
        if _hides(folders, self.modules):
            for fd in kept:
                os.set_inheritable(fd, True)
            os.execv(command[0], command)
        sys.orig_argv[:] = command
        sys.argv[1:] = command[command.index("-m") + 2 :]
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()  # each process has draws of its own


class Birth(Protocol):
    """A process that has just been forked, and what makes it the one that was asked for."""

    @property
    def after(self) -> After:
        """See `After`."""

    @property
    def module(self) -> str:
        """A package of fltui's, as ``python -m`` takes it."""

    @property
    def threads(self) -> int:
        """How many the module has, besides those of the script."""

    def become(self) -> None:
        """Be as a Python that was started for the module alone."""


@dataclass(frozen=True)
class SiteBirth:
    """See `Birth`: runs the script of a site.

    Attributes:
        after: see `After`.
        launch: what it is to run.
        lifeline: see `Server`.
        relay: the end of a pipe for its hints; None if it looks for itself.
        module: what runs it.
        threads: the main one, and the one that follows the lifeline.
    """

    after: After
    launch: Launch
    lifeline: int
    relay: int | None
    module: str = "fltui.client"
    threads: int = 2

    def become(self) -> None:
        """See `Birth`."""
        launch = self.launch
        self.after.begin()
        if launch.keeps_memory:
            keep_memory(launch.keeps_memory)
        kept = [self.lifeline, *([] if self.relay is None else [self.relay])]
        _close_all_but(*kept)
        try:
            log = os.open(launch.log, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            sys.exit(f"site {launch.site}: its log {launch.log} cannot be opened: {error.strerror}")
        for fd in (1, 2):
            os.dup2(log, fd)
        os.close(log)
        for name in launch.unset:
            os.environ.pop(name, None)
        os.environ.update(variables_of(launch), **{LIFELINE: str(self.lifeline)})
        if self.relay is not None:
            os.environ[RELAY] = str(self.relay)
        self.after.go_on(client_command(launch), {Path(launch.custom), Path(launch.script).parent}, kept)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(launch.site)  # `ps` and `top` tell the sites apart
        sys.path.insert(0, launch.custom)
        sys.path_importer_cache.clear()


@dataclass(frozen=True)
class ModuleBirth:
    """See `Birth`: runs a script that is no site's.

    Attributes:
        after: see `After`.
        request: what it is to run.
        out: for what it prints.
        err: for its errors.
        parent: the fork server.
        threads: the main one.
    """

    after: After
    request: RunModule
    out: int
    err: int
    parent: int
    threads: int = 1

    @property
    def module(self) -> str:
        """See `Birth`."""
        return self.request.module

    def become(self) -> None:
        """See `Birth`."""
        request = self.request
        self.after.begin()
        die_with_parent(signal.SIGKILL)
        if os.getppid() != self.parent:
            os._exit(1)
        for fd, to in ((self.out, 1), (self.err, 2)):
            os.dup2(fd, to)
        _close_all_but()
        sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]  # it is what Python made
        for name in request.unset:
            os.environ.pop(name, None)
        os.environ.update(request.environment)
        self.after.go_on(module_command(request), {Path(request.script).parent}, [])


def _close_all_but(*kept: int) -> None:
    """Close all descriptors but the first three and those that are `kept`."""
    first = 3
    for fd in sorted(kept):
        if first < fd:  # an empty range is none to the system
            os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _hides(folders: set[Path], modules: frozenset[str]) -> bool:
    """Whether a file in the folders has the name of a module that is loaded: it comes first, so it is the one to load.

    As such files are rare, they may cost their site a Python of its own.
    """
    loaded = modules - {"__main__"} | _STARTUP_MODULES
    for folder in folders:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):  # noqa: PTH208 - names are enough
                module, _, suffix = name.partition(".")
                if module in loaded and (suffix in ("", "py", "pyc") or suffix.endswith("so")):
                    return True
    return False
