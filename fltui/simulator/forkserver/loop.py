"""The loop of the fork server, and what becomes of its children; see `fltui.simulator.forkserver`."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec

from fltui.exchange.hints import Hints
from fltui.simulator.forkserver.birth import After, Birth, ModuleBirth, SiteBirth
from fltui.simulator.launch import (
    Ended,
    Launch,
    Relay,
    RunModule,
    Send,
    Started,
    kill_group,
    signal_group,
)

_ENOUGH = 1 << 16
"""Bytes of requests read at once."""

_FILES = 1 << 16
"""Descriptors that are enough for a watcher of all sites."""

_FILES_OF_MODULE = 2
"""Descriptors that come with a `RunModule`."""

_requests = msgspec.json.Decoder(Launch | Relay | RunModule | Send)


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
        self._came: list[int] = []
        """Descriptors that came with a request that is still to come."""
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
                    data = self._receive()
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

    def _receive(self) -> bytes:
        control = socket.socket(fileno=self._control)
        try:
            data, came, _, _ = socket.recv_fds(control, _ENOUGH, _FILES_OF_MODULE)
        finally:
            control.detach()
        self._came += came
        return data

    def _do(self, request: Launch | Relay | RunModule | Send) -> Birth | None:
        if isinstance(request, Launch):
            relay = self._relay_for(request)
            born = self._fork(request.site, lambda: SiteBirth(self._after(), request, self._lifeline, relay))
            if relay is not None and born is None:
                os.close(relay)
            return born
        if isinstance(request, RunModule):
            out, err = came = self._came[:_FILES_OF_MODULE]
            del self._came[:_FILES_OF_MODULE]
            parent = os.getpid()
            born = self._fork("", lambda: ModuleBirth(self._after(), request, out, err, parent))
            for fd in came if born is None else ():
                os.close(fd)
            return born
        if isinstance(request, Relay):
            self._watch(request)
        else:
            sites = set(request.sites)
            for pid in [pid for pid, site in self._sites.items() if site in sites]:
                signal_group(pid, request.signal)
        return None

    def _after(self) -> After:
        return After(self._modules, self._child_signal, self._files)

    def _fork(self, site: str, birth: Callable[[], Birth]) -> Birth | None:
        try:
            pid = os.fork()
        except OSError as error:
            pid, reason = -1, f"its script cannot be started: {error.strerror}"
        if pid == 0:
            return birth()
        if pid > 0:
            self._sites[pid] = site
            self._tell(Started(site, pid))
        else:
            self._forget_relay(site)
            self._tell(Ended(site, 0, 0, reason))
        return None

    def _reap(self) -> None:
        """Bury the dead: as long as one is not, nobody else gets its number, and what it left behind can be found."""
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid in self._sites:
                    kill_group(found.si_pid)
                    self._bury(found.si_pid)
                else:
                    os.waitpid(found.si_pid, 0)  # an orphan

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
        refused = set[int]()
        while orphans := _children() - refused:
            for pid in orphans:
                try:
                    os.kill(pid, signal.SIGKILL)
                except PermissionError:  # it has become another user
                    refused.add(pid)
                else:
                    os.waitpid(pid, 0)

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
        for folder in folders:
            # It has ended, or has a hint already, or looks for itself, as there was no pipe to be had.
            with contextlib.suppress(KeyError, BlockingIOError, BrokenPipeError):
                os.write(self._relays[self._watched[folder]], b"!")


def _children() -> set[int]:
    """The processes whose parent this one is, as far as the kernel tells."""
    try:
        return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
    except OSError:
        return set()


def _noted(_: int, __: FrameType | None) -> None:
    """The death of a child; its number is in the pipe of wakeups."""
