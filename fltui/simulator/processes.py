"""How the sites' processes are started and watched: one interface, and the best way on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from fltui.exchange.watch import WatchMode
from fltui.job.handover import Ran
from fltui.simulator.launch import Ended, Launch
from fltui.simulator.needs import Needs


class Processes(Protocol):
    """Starts the sites' scripts, each the leader of a process group of its own, and ends them."""

    def run_job_script(self, script: Path, environment: Mapping[str, str]) -> Ran:
        """See `fltui.job.handover.Runner`; before any site is started.

        Raises:
            BadInputError: there is no process that could run it.
        """

    def check(self, needs: Iterable[Needs], folders: Mapping[str, Path]) -> None:
        """Make sure that all sites can be started; before any of them is.

        Args:
            needs: of all sites.
            folders: that are to be seen where they run, by what they are called in sentences.

        Raises:
            BadInputError: they cannot; nothing is left of the attempt.
        """

    def relay(self, root: Path, mode: WatchMode) -> None:
        """Watch the tasks of all sites for them, from now on and anew, where that can be done.

        There are fewer watches for a user than there may be sites. A site that is not helped looks for itself.

        Args:
            root: the exchange folder.
            mode: see `WatchMode`.
        """

    async def start(self, launch: Launch) -> asyncio.Future[Ended]:
        """Start a site's script; once more only where it has ended to be started again, see `Ended`.

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


def start_processes() -> Processes:
    """The best way of this system; who calls it has to close them."""
    if sys.platform == "linux":
        from fltui.simulator.forked import Forked

        return Forked()
    else:  # noqa: RET505 - a fork is not safe there once numpy is loaded, or there is none
        from fltui.simulator.spawned import Spawned

        return Spawned()
