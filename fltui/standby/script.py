"""The process of a script, for one run. It dies with the one that has started it, also when that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass

from msgspec.structs import replace

from fltui.client.__main__ import LIFELINE
from fltui.client.config import ClientConfig
from fltui.standby.agreed import Agreed


@dataclass
class Script:
    """See the module.

    Attributes:
        run: the run that it serves.
        pid: its process id, and that of its group.
        ended: gives the exit code; below zero the signal that killed it.
    """

    run: str
    pid: int
    ended: asyncio.Task[int]

    def signal(self, sent: signal.Signals) -> None:
        """Send a signal to it and all of its group."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, sent)


async def start(found: Agreed, run: str, config: ClientConfig, lifeline: int) -> Script:
    """Start what a site runs for a run, as ``fltui client`` would.

    Args:
        found: what.
        run: the run's id.
        config: of the site, for no run in particular.
        lifeline: descriptor of a pipe whose other end this process holds.

    Raises:
        OSError: the system has no room for one more process.
    """
    own = replace(
        config,
        run=run,
        transfer=found.transfer,
        filters=str(found.filters.absolute()) if found.filters else "",
        require_signatures=config.require_signatures or found.require_signatures,
    )
    paths = [str(found.custom), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "fltui.client",
        str(found.script),
        *found.arguments,
        env={
            **os.environ,
            **own.environment(),
            "PYTHONPATH": os.pathsep.join(paths),
            LIFELINE: str(lifeline),
        },
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(lifeline,),
    )
    return Script(run, process.pid, asyncio.create_task(_until_ended(process)))


async def _until_ended(process: asyncio.subprocess.Process) -> int:
    code = await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what the script started and left behind
    return code
