"""The quick way: a fork server starts the sites' processes, see `fltui.simulator.forkserver`. This is its other end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from socket import SocketIO

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.watch import WatchMode
from fltui.job.handover import Ran
from fltui.simulator.forkserver.ahead import fork_server
from fltui.simulator.launch import Ended, Launch, Relay, RunModule, Send, Started, kill_group, signal_group
from fltui.simulator.needs import Needs, check_here

_PATIENCE = 5.0
"""Seconds that the fork server has for its end."""

_MOMENT = 1.0
"""Seconds that killed processes have for theirs, and a job script after Ctrl-C."""

_ENOUGH = 1 << 16
"""Bytes read at once."""

_told = msgspec.json.Decoder(Started | Ended)


class Forked:
    """See `Processes`. The fork server loads what it needs when this is made, if not before."""

    def __init__(self) -> None:
        self._server = fork_server()
        self._pids: dict[str, int] = {}
        self._sites: dict[str, asyncio.Future[Ended]] = {}
        self._asked: list[bytes] = []
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._has_run_script = False
        self._gone = ""
        """Why no process can be started any more."""

    def run_job_script(self, script: Path, environment: Mapping[str, str]) -> Ran:
        """See `Processes.run_job_script`: it is forked, too, as soon as the fork server is ready."""
        self._has_run_script = True
        changed, gone = self._changed()
        request = RunModule("fltui.job", str(script), {**changed, **environment}, gone)
        read, write = os.pipe()
        with open(read, "rb", buffering=0) as errors:
            out = sys.stderr.fileno() if sys.stderr else 1
            try:
                socket.send_fds(self._server.control, [msgspec.json.encode(request) + b"\n"], [out, write])
            except ConnectionError as error:
                raise BadInputError(f"job script {script} cannot be run: {self._server.fate()}") from error
            finally:
                os.close(write)
            ended, said = self._end_of_module(errors)
        if ended is None:
            raise BadInputError(f"job script {script} did not end: {self._server.fate()}")
        if ended.reason:
            raise BadInputError(f"job script {script}: {ended.reason}")
        return Ran(ended.code, said.decode(errors="backslashreplace"))

    def _end_of_module(self, errors: FileIO) -> tuple[Ended | None, bytearray]:
        """The end of the one process that was asked for, None where that of the fork server came first, and all that
        was written into `errors` before."""
        said = bytearray()
        with self._server.control.makefile("rb", buffering=0) as answers:
            told = _next(answers)
            if not isinstance(told, Started):
                return told, said
            pid, waited = told.pid, [errors, answers]
            try:
                while True:
                    if errors in (ready := select.select(waited, [], [])[0]):  # what was said before the end
                        piece = errors.read(_ENOUGH)
                        said += piece
                        if not piece:
                            waited.remove(errors)
                    elif answers in ready:
                        if isinstance(ended := _next(answers), Ended):
                            pid = 0
                            return ended, said
                        return None, said
            except KeyboardInterrupt:
                signal_group(pid, signal.SIGINT)  # a terminal tells this process alone
                _await([pid], _MOMENT)
                raise
            finally:
                if pid:  # nobody else ends it
                    kill_group(pid)

    def check(self, needs: Iterable[Needs], folders: Mapping[str, Path]) -> None:  # noqa: ARG002 - all is here
        """See `Processes.check`."""
        check_here(needs)

    def relay(self, root: Path, mode: WatchMode) -> None:
        """See `Processes.relay`."""
        self._ask(Relay(str(root), mode))

    async def start(self, launch: Launch) -> asyncio.Future[Ended]:
        """See `Processes.start`. Nobody waits for the fork server here."""
        ended = self._sites[launch.site] = asyncio.get_running_loop().create_future()
        if self._gone:
            ended.set_result(Ended(launch.site, 0, 0, self._gone))
            return ended
        if self._writer is None:
            reader, self._writer = await asyncio.open_unix_connection(sock=self._server.control)
            self._reading = asyncio.create_task(self._listen(reader))
            self._writer.writelines(self._asked)
            self._asked.clear()
        self._ask(self._whole(launch))
        with contextlib.suppress(ConnectionError):  # whoever listens has noticed
            await self._writer.drain()
        return ended

    def _whole(self, launch: Launch) -> Launch:
        """With what has changed among the variables of this process since it started the fork server."""
        changed, gone = self._changed()
        return msgspec.structs.replace(launch, environment={**changed, **launch.environment}, unset=gone)

    def _changed(self) -> tuple[dict[str, str], list[str]]:
        before = self._server.environment
        changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
        return changed, [name for name in before if name not in os.environ]

    def signal(self, sites: Iterable[str], sent: signal.Signals) -> None:
        """See `Processes.signal`. The fork server sends it: it knows which processes are still theirs."""
        self._ask(Send([site for site in sites if site in self._sites], sent))

    def _ask(self, request: Launch | Relay | Send) -> None:
        line = msgspec.json.encode(request) + b"\n"
        if self._writer is None:
            self._asked.append(line)
        elif not self._gone:
            self._writer.write(line)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                told = _told.decode(line)
                if isinstance(told, Started):
                    self._pids[told.site] = told.pid
                else:
                    self._end(told)
        self._bury()

    def _bury(self) -> None:
        """The fork server is dead or about to be: what it has started must not outlive it."""
        self._gone = self._server.fate()
        self._server.lifeline.close()  # for one that it started and could not tell of
        left = [site for site, ended in self._sites.items() if not ended.done()]
        _kill_groups(self._pids.values())
        for site in left:
            self._end(Ended(site, self._pids.get(site, 0), 0, self._gone))

    def _end(self, told: Ended) -> None:
        self._pids.pop(told.site, None)
        if not self._sites[told.site].done():
            self._sites[told.site].set_result(told)

    async def close(self) -> None:
        """See `Processes.close`."""
        if self._writer is not None and self._reading is not None:
            with contextlib.suppress(OSError):  # nobody listens any more
                self._writer.write_eof()
            await asyncio.wait([self._reading], timeout=_PATIENCE)
            self._writer.close()
        self.abandon()

    def abandon(self) -> None:
        """See `Processes.abandon`."""
        if self._writer is None:
            self._server.control.close()
            if self._has_run_script:  # it ends what that has sent away
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._server.process.wait(_PATIENCE)
        self._server.kill()
        _kill_groups(self._pids.values())
        self._pids.clear()


def _next(answers: SocketIO) -> Started | Ended | None:
    """What the fork server says next; None where it has ended instead."""
    try:
        line = answers.readline()
    except ConnectionError:  # it has not even read what it was asked
        return None
    return _told.decode(line) if line.endswith(b"\n") else None


def _kill_groups(pids: Iterable[int]) -> None:
    """Kill groups whose leaders are no children of this process, and wait a moment for the leaders' end."""
    pids = list(pids)
    for pid in pids:
        kill_group(pid)
    _await(pids, _MOMENT)


def _await(pids: Iterable[int], seconds: float) -> None:
    """Wait for the end of processes that may be no children of this one."""
    fds = []
    for pid in pids:
        with contextlib.suppress(OSError):  # it is dead, and waited for
            fds.append(os.pidfd_open(pid))
    until = time.monotonic() + seconds
    for fd in fds:
        ended = select.poll()
        ended.register(fd, select.POLLIN)
        ended.poll(max(until - time.monotonic(), 0) * 1e3)
        os.close(fd)
