"""How the sites' processes are started and watched: one interface, and which way is taken."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from fltui.exchange.watch import WatchMode
from fltui.job.handover import Ran
from fltui.simulator.launch import Ended, Launch


class Processes(Protocol):
    """Starts the sites' scripts, each the leader of a process group of its own, and ends them."""

    def run_job_script(self, script: Path, environment: Mapping[str, str]) -> Ran:
        """See `fltui.job.handover.Runner`; before any site is started.

        Raises:
            BadInputError: there is no process that could run it.
        """

    def relay(self, root: Path, mode: WatchMode) -> None:
        """Watch the tasks of all sites for them, from now on and anew, where that can be done.

        There are fewer watches for a user than there may be sites. A site that is not helped looks for itself.

        Args:
            root: the exchange folder.
            mode: see `WatchMode`.
        """

    async def start(self, launch: Launch) -> asyncio.Future[Ended]:
        """Start a site's script, once for each site.

        Returns:
            Done when its process, and all of its group, is gone.

        Raises:
            OSError: the system has no room for one more process.
        """

    def signal(self, sites: Iterable[str], sent: signal.Signals) -> None:
        """Send a signal to the groups of those sites whose processes are there."""

    async def close(self) -> None:
        """End everything that was started."""

    def abandon(self) -> None:
        """End everything at once, also where no event loop runs any more; nothing is left to do after `close`."""


@contextmanager
def local_processes() -> Iterator[Processes]:
    """The best way of this system, ready as soon as it can be."""
    processes = start_processes()
    try:
        yield processes
    finally:
        processes.abandon()


def start_processes() -> Processes:
    """As `local_processes`; who calls it has to close them."""
    if sys.platform == "linux":
        from fltui.simulator.forked import Forked

        return Forked()
    else:  # noqa: RET505 - a fork is not safe there once numpy is loaded, or there is none
        from fltui.simulator.spawned import Spawned

        return Spawned()
