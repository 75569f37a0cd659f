"""What is said of the process of a site or a job script: how it starts, how it ended. Loads little, for the fork
server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import msgspec

from fltui.exchange.watch import WatchMode


class Launch(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """The start of a site's script.

    Attributes:
        site: its name.
        script: the Python file.
        arguments: of the script.
        environment: variables beside those of the simulator.
        custom: the folder that comes first where modules are looked for.
        log: the file that gets what is printed; it is there.
        tasks: the folder where the site's tasks arrive.
        unset: variables that it is not to have.
        keeps_memory: bytes that the script frees and its process, where it is forked, keeps for what it makes next.
    """

    site: str
    script: str
    arguments: list[str]
    environment: dict[str, str]
    custom: str
    log: str
    tasks: str
    unset: list[str] = []
    keeps_memory: int = 0


class RunModule(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Run a script by a module, as ``python -P -m MODULE SCRIPT`` does. It is no site, so its name is empty.

    Two descriptors come with it: for what it prints, and for its errors.

    Attributes:
        module: a package of fltui's with a ``__main__`` whose ``main()`` returns the exit code.
        script: the Python file.
        environment: variables beside those of the simulator.
        unset: variables that it is not to have.
    """

    module: str
    script: str
    environment: dict[str, str]
    unset: list[str] = []


class Relay(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Watch the tasks of the sites for them, from now on and anew.

    Attributes:
        root: the exchange folder.
        mode: see `WatchMode`.
    """

    root: str
    mode: WatchMode


class Send(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A signal for the groups of those sites whose processes are there."""

    sites: list[str]
    signal: int


class Started(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A process is there; see `Ended`."""

    site: str
    pid: int


class Ended(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True, omit_defaults=True):
    """The end of a process, which is gone with all of its group.

    Attributes:
        site: its name; empty for that of `RunModule`.
        pid: what it was; 0 if there never was one.
        code: what it exited with; below zero the signal that killed it.
        reason: one sentence, where neither the code nor the site's status tells why.
        again: it is gone with the machine, or the worker, that it ran on, and can be started on another.
    """

    site: str
    pid: int
    code: int
    reason: str = ""
    again: bool = False


def client_command(launch: Launch) -> list[str]:
    """The command that runs a site's script in a Python of its own."""
    return [sys.executable, "-P", "-m", "fltui.client", launch.script, *launch.arguments]


def module_command(request: RunModule) -> list[str]:
    """The command that runs a script by a module in a Python of its own."""
    return [sys.executable, "-P", "-m", request.module, request.script]


def variables_of(launch: Launch) -> dict[str, str]:
    """What a site's environment has beside that of this process, or instead."""
    paths = [launch.custom, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**launch.environment, "PYTHONPATH": os.pathsep.join(paths)}


def signal_group(pid: int, sent: int) -> None:
    """Send a signal to the group that a process leads, and to the process where it has no group of its own yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(pid, sent)
        except ProcessLookupError:
            os.kill(pid, sent)


def kill_group(pid: int) -> None:
    """End a process and what it started."""
    signal_group(pid, signal.SIGKILL)
