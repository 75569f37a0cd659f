"""Starts, watches and reaps the sites' script processes on this machine.

Every script is the leader of a process group of its own. However the simulator ends, the groups end with it: on an
orderly end they are asked, then killed; if the simulator is killed, the end of file on a pipe tells every script to
kill its group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fltui.client.config import ClientConfig, Durability, TransferType
from fltui.errors import BadInputError
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.lock import is_held
from fltui.exchange.plain import open_plain
from fltui.exchange.publish import open_site, site_lock
from fltui.exchange.watch import LONGEST_WAIT, Backoff, WatchMode
from fltui.job.handover import LIFELINE
from fltui.job.job import Job
from fltui.run.folder import RunFolder
from fltui.run.options import RunMode
from fltui.server.roster import SCRIPT_ENDED, Roster, Wait
from fltui.simulator.keys import NO_KEYS, RunKeys

PATIENCE = 10.0
"""Seconds that scripts have after the end of a completed run."""

IMPATIENCE = 1.0
"""Seconds that scripts have between being asked to end and being killed."""


@dataclass
class _Site:
    name: str
    process: asyncio.subprocess.Process
    watching: asyncio.Task[None]


class LocalSites:
    """The fleet of ``fltui run``."""

    mode: RunMode = "simulator"
    same_user = True
    look_every = LONGEST_WAIT

    def __init__(
        self,
        job: Job,
        folder: RunFolder,
        exchange: ExchangeFolder,
        watch: WatchMode = WatchMode.AUTO,
        keys: RunKeys | None = None,
    ) -> None:
        self._job = job
        self._folder = folder
        self._exchange = exchange
        self._watch = watch
        self._keys = keys or RunKeys()
        self._sites: list[_Site] = []
        self._dropping: set[asyncio.Task[None]] = set()
        self._ending = False
        self._hurry = asyncio.Event()
        self._lifeline, self._held = os.pipe()

    async def start(self, roster: Roster, wait: Wait, asked: frozenset[str]) -> None:  # noqa: ARG002 - all are started
        """Start every site's script; see `Fleet.start`."""
        started = {site.name for site in self._sites}
        for name in self._job.sites:
            if name in roster.dropped | started:
                continue
            app = self._job.app(name)
            script = self._folder.job / f"app_{name}" / "custom" / app.executor.task_script_path
            roster.join(name)
            if script.is_file():
                await self._released(name, wait)
                await self._launch(name, script, app.executor.arguments(), app.executor.params_transfer_type, roster)
                if name in roster.dropped:  # while it was being launched
                    self.drop(name)
            else:
                roster.lose(name, f"its script {app.executor.task_script_path} does not exist")

    async def _released(self, name: str, wait: Wait) -> None:
        """Wait until no script of a simulator that was killed holds the site any more; it ends by itself, soon."""
        lock = site_lock(self._exchange.site(name), self._folder.run)
        backoff, deadline = Backoff(), time.monotonic() + PATIENCE
        while is_held(lock) and time.monotonic() < deadline:
            await wait(backoff.next())

    async def _launch(
        self, name: str, script: Path, arguments: list[str], transfer: TransferType, roster: Roster
    ) -> None:
        site = self._exchange.site(name)
        try:
            open_site(site, "site")
        except BadInputError as error:
            if isinstance(error.__cause__, OSError):  # the server's folders were made there a moment ago
                raise error.__cause__ from None
            raise
        log = site.log(self._folder.run)
        config = ClientConfig(
            site=name,
            exchange=str(self._exchange.root),
            run=self._folder.run,
            transfer=transfer,
            watch=self._watch,
            durability=Durability.PROCESS,
            require_signatures=self._job.require_signatures,
        )
        custom = str(self._folder.job / f"app_{name}" / "custom")
        paths = [custom, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            **config.environment(),
            "FLTUI_KEYS": str(self._keys.folders.get(name, NO_KEYS)),
            LIFELINE: str(self._lifeline),
            "FLTUI_STDOUT_IS_LOG": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "fltui.client",
                str(script),
                *arguments,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=fd,
                stderr=fd,
                start_new_session=True,
                pass_fds=(self._lifeline,),
            )
        finally:
            os.close(fd)
        _second_name(log, self._folder.logs / f"{name}.log")
        watching = asyncio.create_task(self._watch_over(name, process, roster))
        self._sites.append(_Site(name, process, watching))

    async def _watch_over(self, name: str, process: asyncio.subprocess.Process, roster: Roster) -> None:
        code = await process.wait()
        _signal_group(process.pid, signal.SIGKILL)  # what the script started and left behind
        if not self._ending:
            roster.lose(name, self._cause(name, process.pid, code))

    def _cause(self, name: str, pid: int, code: int) -> str:
        status = read_status(self._exchange.site(name))
        if status is not None and status.pid == pid and status.state == "failed" and status.reason:
            return status.reason
        if code in (128 + signal.SIGTERM, 128 + signal.SIGHUP):  # it could say so in its log before it ended
            code = 128 - code
        if code < 0:
            return f"its script was killed by {signal.Signals(-code).name}"
        if code:
            return f"its script ended with exit code {code}; see logs/{name}.log"
        return SCRIPT_ENDED

    def look(self) -> None:
        """Nothing to look for: the end of a process tells itself."""

    def returns(self) -> bool:
        """A script that is dead stays dead."""
        return False

    def drop(self, site: str) -> None:
        """End a site's script and what it started."""
        task = asyncio.create_task(_end([found for found in self._sites if found.name == site]))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def hurry(self) -> None:
        """See `Fleet.hurry`."""
        self._hurry.set()

    async def stop(self, *, patient: bool) -> None:
        """End all scripts and what they started; see `Fleet.stop`."""
        self._ending = True
        watches = [site.watching for site in self._sites]
        try:
            if patient and watches:
                hurry = asyncio.create_task(self._hurry.wait())
                ended = asyncio.create_task(asyncio.wait(watches))
                await asyncio.wait({hurry, ended}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                hurry.cancel()
                ended.cancel()
            await _end(self._sites)
            if self._dropping:
                await asyncio.wait(self._dropping)
        finally:
            for fd in (self._held, self._lifeline):
                with contextlib.suppress(OSError):
                    os.close(fd)
            self._keep_logs()

    def _keep_logs(self) -> None:
        """Give the run a copy of each log that it only has a link to: it is to be sealed with what the log says now."""
        for name in self._job.sites:  # also one that has no script any more, from before the run was resumed
            second = self._folder.logs / f"{name}.log"
            if second.is_symlink():
                with contextlib.suppress(OSError):  # gone, or no room: the run will not be sealed
                    _copy(self._exchange.site(name).log(self._folder.run), second)


async def _end(sites: list[_Site]) -> None:
    """Ask the sites' process groups to end, then kill them."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        alive = [site for site in sites if not site.watching.done()]
        for site in alive:
            _signal_group(site.process.pid, sent)
        if alive:
            await asyncio.wait([site.watching for site in alive], timeout=IMPATIENCE)


def _signal_group(pid: int, sent: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, sent)


def _second_name(log: Path, second: Path) -> None:
    """Let the site's log be the run's log too; where there are no hard links, by a symbolic one until the run ends."""
    if second.exists() and second.samefile(log):
        return  # the run was resumed
    second.unlink(missing_ok=True)
    try:
        os.link(log, second)
    except OSError:
        second.symlink_to(log)


def _copy(log: Path, second: Path) -> None:
    """Put a copy of a log in the place of a link to it.

    Raises:
        OSError: it cannot be read or written, or is no plain file.
    """
    beside = second.with_name(f"{second.name}.copy")
    try:
        with open(open_plain(log), "rb") as read, beside.open("wb") as write:
            shutil.copyfileobj(read, write)
        beside.replace(second)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
