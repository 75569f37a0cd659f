"""The plain way: a Python of its own for each site, started by this process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fltui.client.__main__ import LIFELINE
from fltui.exchange.watch import WatchMode
from fltui.job.handover import Ran, in_own_python
from fltui.simulator.launch import Ended, Launch, client_command, kill_group, signal_group, variables_of
from fltui.simulator.lifeline import Lifeline
from fltui.simulator.needs import Needs, check_here


@dataclass(frozen=True)
class _Site:
    pid: int
    ended: asyncio.Task[Ended]


class Spawned:
    """See `Processes`."""

    def __init__(self) -> None:
        self._lifeline = Lifeline()
        self._sites: dict[str, _Site] = {}

    def run_job_script(self, script: Path, environment: Mapping[str, str]) -> Ran:
        """See `Processes.run_job_script`."""
        return in_own_python(script, environment)

    def check(self, needs: Iterable[Needs], folders: Mapping[str, Path]) -> None:  # noqa: ARG002 - all is here
        """See `Processes.check`."""
        check_here(needs)

    def relay(self, root: Path, mode: WatchMode) -> None:
        """See `Processes.relay`: each site looks for itself."""

    async def start(self, launch: Launch) -> asyncio.Future[Ended]:
        """See `Processes.start`."""
        fd = os.open(launch.log, os.O_WRONLY | os.O_APPEND)
        try:
            process = await asyncio.create_subprocess_exec(
                *client_command(launch),
                env={**os.environ, **variables_of(launch), LIFELINE: str(self._lifeline.fd)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=fd,
                stderr=fd,
                start_new_session=True,
                pass_fds=(self._lifeline.fd,),
            )
        finally:
            os.close(fd)
        ended = asyncio.create_task(_until_ended(launch.site, process))
        self._sites[launch.site] = _Site(process.pid, ended)
        return ended

    def signal(self, sites: Iterable[str], sent: signal.Signals) -> None:
        """See `Processes.signal`."""
        for name in sites:
            site = self._sites.get(name)
            if site is not None and not site.ended.done():
                signal_group(site.pid, sent)

    async def close(self) -> None:
        """See `Processes.close`."""
        self.abandon()
        if self._sites:
            await asyncio.wait([site.ended for site in self._sites.values()])

    def abandon(self) -> None:
        """See `Processes.abandon`."""
        self.signal(self._sites, signal.SIGKILL)
        self._lifeline.close()


async def _until_ended(site: str, process: asyncio.subprocess.Process) -> Ended:
    code = await process.wait()
    kill_group(process.pid)  # what the script started and left behind
    return Ended(site, process.pid, code)
