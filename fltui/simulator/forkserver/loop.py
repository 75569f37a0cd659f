"""The loop of the fork server, and what becomes of its children; see `fltui.simulator.forkserver`."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from fltui.client.__main__ import LIFELINE
from fltui.exchange.hints import RELAY, Hints
from fltui.simulator.launch import (
    Ended,
    Launch,
    Relay,
    Send,
    Started,
    client_command,
    kill_group,
    signal_group,
    variables_of,
)

_STARTUP_MODULES = {"sitecustomize", "usercustomize"}
"""What Python loads at its start if it is there."""

_ENOUGH = 1 << 16
"""Bytes of requests read at once."""

_FILES = 1 << 16
"""Descriptors that are enough for a watcher of all sites."""

_requests = msgspec.json.Decoder(Launch | Relay | Send)


class Server:
    """The loop of the fork server.

    Args:
        control: the socket, see `fltui.simulator.forkserver`.
        lifeline: the pipe for the scripts.
    """

    def __init__(self, control: int, lifeline: int) -> None:
        self._control = control
        self._lifeline = lifeline
        self._sites: dict[int, str] = {}
        self._hints: Hints | None = None
        self._relays: dict[str, int] = {}
        self._watched: dict[Path, str] = {}
        self._child_signal = signal.signal(signal.SIGCHLD, _noted)
        self._modules = frozenset(sys.modules)
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._woken, self._waking = os.pipe()
        for fd in (self._woken, self._waking):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)

    def serve(self) -> Birth | None:
        """Until the other end closes; in the process of a site, what is to become of it."""
        pending = b""
        with contextlib.suppress(ConnectionError):  # the end of file at the worst moment
            while True:
                ready = self._wait()
                if self._woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._woken, _ENOUGH)
                    self._reap()
                if self._hints is not None and self._hints.fileno() in ready:
                    self._pass_on(self._hints.take())
                if self._control in ready:
                    data = os.read(self._control, _ENOUGH)
                    if not data:
                        break
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        if (birth := self._do(_requests.decode(line))) is not None:
                            return birth
        self._end()
        return None

    def _wait(self) -> set[int]:
        poll = select.poll()
        hints = None if self._hints is None else self._hints.fileno()
        for fd in (self._control, self._woken, hints):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        return {fd for fd, _ in poll.poll()}

    def _do(self, request: Launch | Relay | Send) -> Birth | None:
        if isinstance(request, Launch):
            return self._fork(request)
        if isinstance(request, Relay):
            self._watch(request)
        else:
            sites = set(request.sites)
            for pid in [pid for pid, site in self._sites.items() if site in sites]:
                signal_group(pid, request.signal)
        return None

    def _fork(self, launch: Launch) -> Birth | None:
        relay = self._relay_for(launch)
        try:
            pid = os.fork()
        except OSError as error:
            pid, reason = -1, f"its script cannot be started: {error.strerror}"
        if pid == 0:
            return Birth(launch, self._lifeline, relay, self._modules, self._child_signal, self._files)
        if relay is not None:
            os.close(relay)
        if pid > 0:
            self._sites[pid] = launch.site
            self._tell(Started(launch.site, pid))
        else:
            self._forget_relay(launch.site)
            self._tell(Ended(launch.site, 0, 0, reason))
        return None

    def _reap(self) -> None:
        """Bury the dead: as long as one is not, nobody else gets its number, and what it left behind can be found."""
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                kill_group(found.si_pid)
                self._bury(found.si_pid)

    def _bury(self, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        site = self._sites.pop(pid)
        self._forget_relay(site)
        self._tell(Ended(site, pid, os.waitstatus_to_exitcode(status)))

    def _end(self) -> None:
        for pid in self._sites:
            kill_group(pid)
        for pid in list(self._sites):
            with contextlib.suppress(ConnectionError):  # nobody listens any more
                self._bury(pid)

    def _tell(self, what: Started | Ended) -> None:
        line = msgspec.json.encode(what) + b"\n"
        while line:
            line = line[os.write(self._control, line) :]

    def _watch(self, request: Relay) -> None:
        """Watch the tasks of all sites: one watcher serves as many as there are descriptors for."""
        if self._hints is not None:
            self._hints.renew()
            return
        soft, hard = self._files
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))
        self._hints = Hints(Path(request.root), request.mode)

    def _relay_for(self, launch: Launch) -> int | None:
        """The end of a pipe for a site's hints; None where there are none."""
        folder = Path(launch.tasks)
        if self._hints is None or not self._hints.add(folder):
            return None
        try:
            theirs, ours = os.pipe()
        except OSError:  # no more descriptors: the site looks for itself
            return None
        for fd in (theirs, ours):
            os.set_blocking(fd, False)
        self._relays[launch.site] = ours
        self._watched[folder] = launch.site
        return theirs

    def _forget_relay(self, site: str) -> None:
        if (relay := self._relays.pop(site, None)) is not None:
            os.close(relay)

    def _pass_on(self, folders: set[Path]) -> None:
        for site in (self._watched[folder] for folder in folders):
            with contextlib.suppress(KeyError, BlockingIOError, BrokenPipeError):  # it has ended, or has a hint already
                os.write(self._relays[site], b"!")


@dataclass(frozen=True)
class Birth:
    """A process that has just been forked, and what makes it the one of a site.

    Attributes:
        launch: what it is to run.
        lifeline: see `Server`.
        relay: the end of a pipe for its hints; None if it looks for itself.
        modules: names of those that are loaded.
        child_signal: what SIGCHLD does in a Python that was just started.
        files: soft and hard limit of open files, as they were.
    """

    launch: Launch
    lifeline: int
    relay: int | None
    modules: frozenset[str]
    child_signal: Any
    files: tuple[int, int]

    def become(self) -> None:
        """Be as a Python that was started for the site's script alone."""
        launch = self.launch
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self.child_signal)
        kept = [self.lifeline, *([] if self.relay is None else [self.relay])]
        _close_all_but(*kept)
        try:
            log = os.open(launch.log, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            sys.exit(f"site {launch.site}: its log {launch.log} cannot be opened: {error.strerror}")
        for fd in (1, 2):
            os.dup2(log, fd)
        os.close(log)
        resource.setrlimit(resource.RLIMIT_NOFILE, self.files)
        for name in launch.unset:
            os.environ.pop(name, None)
        os.environ.update(variables_of(launch), **{LIFELINE: str(self.lifeline)})
        if self.relay is not None:
            os.environ[RELAY] = str(self.relay)
        command = client_command(launch)
        if _hides({Path(launch.custom), Path(launch.script).parent}, self.modules):
            for fd in kept:
                os.set_inheritable(fd, True)
            os.execv(command[0], command)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(launch.site)  # `ps` and `top` tell the sites apart
        sys.orig_argv[:] = command
        sys.argv[1:] = [launch.script, *launch.arguments]
        sys.path.insert(0, launch.custom)
        sys.path_importer_cache.clear()
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()  # each site has draws of its own


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


def _noted(_: int, __: FrameType | None) -> None:
    """The death of a child; its number is in the pipe of wakeups."""
