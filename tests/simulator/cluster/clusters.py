"""A Dask cluster of real processes on this machine: ``python -m tests.simulator.cluster.clusters WORKERS``.

They are forked from one Python that has loaded Dask, which takes a second less each than ``dask worker``. All end with
the standard input of the first.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fltui.exchange.watch import Backoff
from fltui.simulator.lifeline import die_with_parent
from tests.jobs import Done, fltui, processes_of

_PAUSE = 0.1
"""Seconds between two looks at most."""


@dataclass
class LiveCluster:
    """A scheduler and workers that run.

    Attributes:
        address: of the scheduler.
        scheduler: its process.
        workers: process by the worker's address.
    """

    address: str
    scheduler: int
    workers: dict[str, int] = field(default_factory=dict)


@contextmanager
def cluster(folder: Path, *workers: dict[str, float], before: str = "") -> Iterator[LiveCluster]:
    """A cluster with a worker of one thread for each of the resources given.

    Args:
        folder: the test's; the processes name it, so that `processes_of` finds what is left of them.
        workers: resources of each.
        before: Python that is run in every worker first.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.simulator.cluster.clusters", json.dumps(workers), before],
        env={**os.environ, "FLTUI_TEST_CLUSTER": str(folder), "DASK_TEMPORARY_DIRECTORY": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield LiveCluster(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()


def until(true: Callable[[], bool]) -> None:
    """Wait for something; the test's own time limit ends it."""
    backoff = Backoff()
    while not true():
        time.sleep(min(backoff.next(), _PAUSE))


def scripts_of(folder: Path) -> list[str]:
    """Processes of sites, and what they started, beside the cluster itself."""
    return [line for line in processes_of(folder) if "forkserver" in line or "sleep" in line]


def same_bits(first: Done, second: Done) -> bool:
    """Whether two runs have come to the same model."""
    files = [
        {name: Path(path).read_bytes() for name, path in done.last["final_model"].items()} for done in (first, second)
    ]
    return bool(files[0]) and files[0] == files[1]


def refused(folder: Path, job: Path, address: str, told: str) -> None:
    """A run is refused with one sentence, and leaves nothing."""
    done = fltui(folder, "run", job, "--engine", address)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.err.count("\n") == 1
    assert not [entry for entry in folder.iterdir() if entry.name in ("runs", "exchange")]


def left_on(address: str) -> list[str]:
    """Plugins of fltui's on a cluster's workers, as soon as no worker has a task any more."""
    backoff = Backoff()
    while True:  # a task that was taken back ends when its process has
        tasks, plugins = _on(address)
        if not tasks:
            return [name for name in plugins if name.startswith("fltui")]
        time.sleep(min(backoff.next(), _PAUSE))


def tasks_on(address: str) -> list[str]:
    """The keys of the tasks on a cluster's workers."""
    return _on(address)[0]


def _on(address: str) -> tuple[list[str], list[str]]:
    """Tasks and plugins on a cluster's workers."""
    import distributed

    dask: Any = distributed

    async def ask() -> tuple[list[str], list[str]]:
        async with dask.Client(address, asynchronous=True, set_as_default=False) as client:
            found = await client.run(lambda dask_worker: [list(dask_worker.state.tasks), list(dask_worker.plugins)])
        return [key for keys, _ in found.values() for key in keys], [
            name for _, all_ in found.values() for name in all_
        ]

    return asyncio.run(ask())


def main() -> None:
    """Start them, print where they are, and end them when nobody wants them any more."""
    resources, before = json.loads(sys.argv[1]), sys.argv[2]
    import distributed

    dask: Any = distributed
    address, scheduler = _forked(partial(_scheduler, dask))
    workers = dict(_forked(partial(_worker, dask, address, one, before)) for one in resources)
    print(json.dumps({"address": address, "scheduler": scheduler, "workers": workers}), flush=True)  # noqa: T201
    sys.stdin.read()
    for pid in (scheduler, *workers.values()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _forked(serve: Callable[[Callable[[str], None]], Any]) -> tuple[str, int]:
    """What a process that serves tells first, and which it is."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        die_with_parent(signal.SIGKILL)
        os.close(read)
        os.close(0)
        os.dup2(2, 1)
        asyncio.run(serve(partial(_tell, write)))
        os._exit(0)
    os.close(write)
    told = b""
    while piece := os.read(read, 1000):
        told += piece
    os.close(read)
    return told.decode(), pid


def _tell(fd: int, text: str) -> None:
    os.write(fd, text.encode())
    os.close(fd)


async def _scheduler(dask: Any, tell: Callable[[str], None]) -> None:
    async with dask.Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler:
        tell(scheduler.address)
        await scheduler.finished()


async def _worker(
    dask: Any, address: str, resources: dict[str, float], before: str, tell: Callable[[str], None]
) -> None:
    exec(before, {})  # the test's
    async with dask.Worker(
        address, host="127.0.0.1", nthreads=1, resources=resources, dashboard_address="127.0.0.1:0"
    ) as worker:
        tell(worker.address)
        await worker.finished()


if __name__ == "__main__":
    main()
