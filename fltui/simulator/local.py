"""The sites of a run that starts their scripts: a process each, on this machine or where else `Processes` puts it.

Every script is the leader of a process group of its own. However the simulator ends, the groups end with it: on an
orderly end they are asked, then killed; if the simulator is killed, the end of file on a pipe tells every script to
kill its group. Where it runs on a cluster that loses a worker, its sites are started again on others: they find the
task that they were at, and nobody notices but by the time it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Collection
from functools import partial
from pathlib import Path

from fltui.client.__main__ import STDOUT_IS_LOG
from fltui.client.config import ClientConfig, Durability
from fltui.errors import BadInputError
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.plain import open_plain
from fltui.exchange.publish import open_site, site_lock
from fltui.exchange.released import until_released
from fltui.exchange.watch import LONGEST_WAIT
from fltui.job.executors import ScriptExecutor
from fltui.job.folder import filters_of_site
from fltui.job.job import Job
from fltui.run.folder import RunFolder
from fltui.run.options import LOCAL, RunMode, RunOptions
from fltui.server.roster import SCRIPT_ENDED, Roster, Wait
from fltui.simulator.keys import NO_KEYS, RunKeys
from fltui.simulator.launch import Ended, Launch
from fltui.simulator.processes import Processes, start_processes
from fltui.simulator.restarts import Restarts

PATIENCE = 10.0
"""Seconds that scripts have after the end of a completed run."""

IMPATIENCE = 1.0
"""Seconds that scripts have between being asked to end and being killed."""

_EACH = 0.01
"""Seconds that each script adds to either: they share the processors."""


_WATCHES = 64
"""Sites that may each have a watch of their own; a user has 128 of them by default, on Linux."""

_KEEPERS = 8
"""Sites, all at work at once, whose processes may keep memory between two rounds: they have it all at once anyway."""

_LARGE = 1 << 26
"""Bytes of a model for which that pays."""

_KEPT = 2
"""Arrays of the model's size that a script makes and frees: the new one, and one on the way to it."""

_SITES_PER_STATUS = 32
"""Sites that, together, write one status in a second at most, beside those that change."""


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
        options: RunOptions | None = None,
        keys: RunKeys | None = None,
        processes: Processes | None = None,
    ) -> None:
        self._job = job
        self._folder = folder
        self._exchange = exchange
        self._options = options or RunOptions()
        self._keys = keys or RunKeys()
        self._processes = processes
        self._ended: dict[str, asyncio.Future[Ended]] = {}
        self._launches: dict[str, Launch] = {}
        self._restarts: Restarts | None = None
        self._dropping: set[asyncio.Task[None]] = set()
        self._ending = False
        self._hurry = asyncio.Event()

    async def start(self, roster: Roster, wait: Wait, asked: frozenset[str]) -> None:  # noqa: ARG002 - all are started
        """Start every site's script; see `Fleet.start`."""
        if self._processes is None:
            self._processes = start_processes()
        if len(self._job.sites) > _WATCHES:
            self._processes.relay(self._exchange.root, self._options.watch)
        for name in self._job.sites:
            if name in roster.dropped or name in self._ended:
                continue
            executor = self._job.app(name).executor
            script = self._folder.job / f"app_{name}" / "custom" / executor.task_script_path
            roster.join(name)
            if script.is_file():
                if self._options.engine == LOCAL:  # a worker waits for its own sites
                    # A script of a simulator that was killed ends by itself, soon.
                    await until_released(site_lock(self._exchange.site(name), self._folder.run), PATIENCE, wait)
                launch = self._launches[name] = self._launch(name, script, executor)
                ended = self._ended[name] = await self._processes.start(launch)
                ended.add_done_callback(partial(self._attend_end, name, roster))
                if name in roster.dropped:  # while it was being launched
                    self.drop(name)
            else:
                roster.lose(name, f"its script {executor.task_script_path} does not exist")
            await asyncio.sleep(0)  # whoever has ended, or asks for something, is heard between many starts

    def _launch(self, name: str, script: Path, executor: ScriptExecutor) -> Launch:
        """Prepare a site's folders and its log."""
        site = self._exchange.site(name)
        try:
            open_site(site, "site")
        except BadInputError as error:
            if isinstance(error.__cause__, OSError):  # the server's folders were made there a moment ago
                raise error.__cause__ from None
            raise
        log = site.log(self._folder.run)
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
        _second_name(log, self._folder.logs / f"{name}.log")
        config = ClientConfig(
            site=name,
            exchange=str(self._exchange.root),
            run=self._folder.run,
            transfer=executor.params_transfer_type,
            watch=self._options.watch,
            durability=Durability.PROCESS,
            require_signatures=self._job.require_signatures,
            mapped=True,
            filters=str(filters_of_site(self._folder.job, name) or "") if self._job.app(name).filters else "",
            status_every=len(self._job.sites) / _SITES_PER_STATUS,
            data=self._options.site_data.get(name, ""),
        )
        return Launch(
            site=name,
            script=str(script),
            arguments=executor.arguments(),
            environment={
                **config.environment(),
                "FLTUI_KEYS": str(self._keys.folders.get(name, NO_KEYS)),
                STDOUT_IS_LOG: "1",
            },
            custom=str(self._folder.job / f"app_{name}" / "custom"),
            log=str(log),
            tasks=str(site.tasks),
            keeps_memory=self._kept_memory,
        )

    @property
    def _kept_memory(self) -> int:
        """Bytes that each site's process keeps, for the arrays that its script makes in every round; see `Launch`."""
        count, size = len(self._job.sites), self._job.workflow.array_bytes
        return _KEPT * size if size >= _LARGE and count <= min(_KEEPERS, self._options.threads or count) else 0

    def _attend_end(self, name: str, roster: Roster, ended: asyncio.Future[Ended]) -> None:
        if self._ending or ended.cancelled():
            return
        if error := ended.exception():
            roster.lose(name, f"its script could not be started, or nobody knows how it ended: {_said(error)}")
            return
        found = ended.result()
        reason = found.reason or self._cause(name, found.pid, found.code)
        if found.again and name not in roster.dropped and self._processes is not None:
            # The round goes on: whatever was asked of the site is asked still, and its results have the same names.
            restarts = self._restarts = self._restarts or Restarts(lambda site: roster.answers[site])
            if restarts.count_loss(name, asked=self._is_asked(name)):
                again = restarts.start(name, partial(self._processes.start, self._launches[name]))
                self._ended[name] = again
                again.add_done_callback(partial(self._attend_end, name, roster))
                return
            reason = f"it has lost {restarts.losses[name]} workers in a row before it had answered; {reason}"
        roster.lose(name, reason)

    def _is_asked(self, name: str) -> bool:
        """Whether a site has a task that it has not answered, as far as can be seen."""
        site = self._exchange.site(name)
        try:
            tasks, results = (
                {path.name for path in folder.glob(f"{self._folder.run}.r*.json")}
                for folder in (site.tasks, site.results)
            )
        except OSError:  # a file server is away: what was asked cannot be told from what was answered
            return True
        return bool(tasks) and max(tasks) not in results

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
        task = asyncio.create_task(self._end([site]))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def hurry(self) -> None:
        """See `Fleet.hurry`."""
        self._hurry.set()

    async def stop(self, *, patient: bool) -> None:
        """End all scripts and what they started; see `Fleet.stop`."""
        self._ending = True
        try:
            if patient and self._ended:
                hurry = asyncio.create_task(self._hurry.wait())
                ended = asyncio.create_task(asyncio.wait(self._ended.values()))
                await asyncio.wait(
                    {hurry, ended}, timeout=_time_for(self._ended, PATIENCE), return_when=asyncio.FIRST_COMPLETED
                )
                hurry.cancel()
                ended.cancel()
            await self._end(self._ended)
            if self._dropping:
                await asyncio.wait(self._dropping)
        finally:
            if self._processes is not None:
                await self._processes.close()
            self._keep_logs()

    async def _end(self, sites: Collection[str]) -> None:
        """Ask the sites' process groups to end, then kill them."""
        if self._restarts is not None:
            self._restarts.forget(sites)
        for sent in (signal.SIGTERM, signal.SIGKILL):
            alive = {site: self._ended[site] for site in sites if site in self._ended and not self._ended[site].done()}
            if alive and self._processes is not None:
                self._processes.signal(alive, sent)
                await asyncio.wait(alive.values(), timeout=_time_for(alive, IMPATIENCE))

    def _keep_logs(self) -> None:
        """Give the run a copy of each log that it only has a link to: it is to be sealed with what the log says now."""
        for name in self._job.sites:  # also one that has no script any more, from before the run was resumed
            second = self._folder.logs / f"{name}.log"
            if second.is_symlink():
                with contextlib.suppress(OSError):  # gone, or no room: the run will not be sealed
                    _copy(self._exchange.site(name).log(self._folder.run), second)


def _time_for(sites: Collection[str], seconds: float) -> float:
    return seconds + _EACH * len(sites)


def _said(error: BaseException) -> str:
    """What an exception says, on one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


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
