"""The connection to a Dask scheduler, and the cluster that is started for a run; in the event loop of `LoopThread`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Coroutine
from typing import Any

import distributed
from distributed import comm
from distributed.versions import VersionMismatchWarning

from fltui.errors import BadInputError
from fltui.exchange.visible import visible
from fltui.simulator.launch import kill_group

_dask: Any = distributed  # half of it has no types
_comm: Any = comm

_CONNECT = 5.0
"""Seconds in which a scheduler has to answer."""

_START = 60.0
"""Seconds in which a cluster on this machine has to be there: its processes load Dask, all at once."""

_CLOSE = 3.0
"""Seconds for a goodbye to the scheduler; what runs there ends without one, too."""


class Connection:
    """A connection to a scheduler.

    Args:
        address: of the scheduler; None starts one on this machine, with workers.
        workers: how many; None for as many as there are processors.

    Attributes:
        client: Dask's.
        lost: done when the scheduler is gone, with a sentence that says so.
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        self._address = address
        self._workers = workers
        self._local: asyncio.subprocess.Process | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.client: Any = None
        self.lost: asyncio.Future[str]

    @property
    def name(self) -> str:
        """The cluster, as it is called in sentences."""
        return "the local cluster" if self._address is None else f"the cluster at {self._address}"

    async def open(self) -> None:
        """Connect, and start the cluster if it is this machine's.

        Raises:
            BadInputError: that cannot be done.
        """
        for name in ("distributed", "distributed.client"):  # what they have to say becomes the reason of something
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", category=VersionMismatchWarning)  # see `check_versions`
        self.lost = asyncio.get_running_loop().create_future()
        address = self._address or await self._start()
        try:
            await self._connect(address)
        except BadInputError:
            raise
        except Exception as error:  # whatever else listens there may say anything
            if self._address is None:
                raise BadInputError(f"the cluster on this machine does not answer: {first_line(error)}") from error
            raise BadInputError(
                f"no Dask scheduler answers at {address} ({first_line(error)}); start one with 'dask scheduler', and "
                "see that its address and port can be reached from here"
            ) from error

    async def _start(self) -> str:
        """The address of a cluster that is started for this."""
        try:
            async with asyncio.timeout(_START):
                return await self._started()
        except TimeoutError as error:
            raise BadInputError(
                f"no cluster can be started on this machine: it is not there after {_START:g} s; try fewer --workers"
            ) from error

    async def _started(self) -> str:
        self._local = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-P",
                "-m",
                "fltui.simulator.cluster.local_cluster",
                str(self._workers or os.cpu_count() or 1),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        address = (await self._local.stdout.readline()).decode().strip() if self._local.stdout else ""
        if not address:
            said = (await self._local.communicate())[1].decode(errors="replace").strip().splitlines()
            raise BadInputError(f"no cluster can be started on this machine: {(said or ['it ended'])[-1]}")
        self.do(_drained(self._local.stderr))
        return address

    async def _connect(self, address: str) -> None:
        keys = _dask.Security().get_connection_args("client")
        if address.startswith("tls://") and keys["ssl_context"] is None:
            raise BadInputError(
                f"the scheduler {address} is to be talked to by TLS, and Dask knows no keys: set distributed.comm.tls."
                "ca-file, client.key and client.cert in its configuration"
            )
        # Who listens there and says nothing is given up here alone.
        line = await asyncio.wait_for(_comm.connect(address, timeout=_CONNECT, **keys), _CONNECT + 1)
        try:
            await line.write({"op": "identity", "reply": True})
            about = await asyncio.wait_for(line.read(), _CONNECT)
            kind = about.get("type") if isinstance(about, dict) else "stranger"
            if kind != "Scheduler":
                raise ValueError(f"a {kind!s:.80} does")
            self.client = await _dask.Client(address, asynchronous=True, timeout=_CONNECT, set_as_default=False)
        except BaseException:
            line.abort()
            raise
        self._follow(line)

    def _follow(self, line: Any) -> None:
        """Notice the end of the scheduler by a connection on which nothing is said."""

        async def follow() -> None:
            with contextlib.suppress(OSError):
                await line.read()
            if not self.lost.done():
                self.lost.set_result(f"the scheduler of {self.name} is gone")

        self.do(follow())

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside, until `close`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def check_versions(self) -> None:
        """Make sure that the scheduler has the same fltui: tasks are sent by the names of functions, which it looks at.

        Raises:
            BadInputError: it has not.
        """
        versions = await self.client.get_versions(packages=["fltui"])
        for package in ("fltui", "distributed"):
            here, there = (versions[who]["packages"][package] for who in ("client", "scheduler"))
            told = f"the scheduler of {self.name} has {package} {there or 'not at all'}, and here it is {here}"
            if here != there and package == "fltui":
                raise BadInputError(f"{told}: install the same there, and at the workers")
            if here != there:
                warn(f"{told}: where something does not work, install the same everywhere")

    async def close(self) -> None:
        """Say goodbye; the cluster that was started for this ends."""
        for task in list(self._tasks):
            task.cancel()
        client, self.client = self.client, None
        try:
            if client is not None:
                await self._say_goodbye(client)
        finally:
            local, self._local = self._local, None
            if local is not None:
                await _end(local, 0.0 if client is None else _CLOSE)

    async def _say_goodbye(self, client: Any) -> None:
        try:
            if not self.lost.done():
                with contextlib.suppress(ValueError):  # it was never asked for
                    client.unsubscribe_topic("all")
            await asyncio.wait_for(client.close(), _CLOSE)
        except OSError:
            pass  # the scheduler is gone, or in no hurry
        except Exception as error:  # noqa: BLE001 - what runs there ends without a goodbye, too
            warn(f"{self.name} was left without a goodbye: {first_line(error)}")


async def _end(local: asyncio.subprocess.Process, patience: float) -> None:
    """Let a cluster on this machine end, and after some seconds make it."""
    try:
        if local.stdin is not None:
            local.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(local.wait(), patience)
    finally:
        kill_group(local.pid)
        await local.wait()


async def _drained(stream: asyncio.StreamReader | None) -> None:
    """Let nobody wait who writes there."""
    while stream is not None and await stream.read(1 << 16):
        pass


def first_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return str(error).partition("\n")[0] or type(error).__name__


def warn(text: str) -> None:
    """Tell a person what does not end the run."""
    print(visible(f"warning: {text}"), file=sys.stderr)  # noqa: T201
