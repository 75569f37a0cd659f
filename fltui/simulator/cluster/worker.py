"""What runs on the workers of a cluster.

A site's script is a task there, and a process of its own. The task only waits for it, outside of the worker's threads,
so that any number of sites run on a worker with one thread. A `Keeper` per run and worker starts the processes in the
same ways as on one machine, and ends them:

- The task is taken back, because the run is over, or `fltui run` or the scheduler is gone: the scheduler tells the
  worker, or the worker closes, and the keeper kills the process.
- The worker is killed: the end of file on pipes that it held tells the fork server, and the scripts.

Functions here are sent by name, so workers and scheduler need the same fltui.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from distributed import get_worker, secede

from fltui.simulator.cluster.keeper import Keeper, Order, killed
from fltui.simulator.cluster.look import Question, Sight, looked
from fltui.simulator.launch import Ended


def run_site(order: Order) -> Ended:
    """The task: run a site's script to its end."""
    worker: Any = get_worker()
    key = worker.get_current_task()
    ended = asyncio.run_coroutine_threadsafe(_kept(worker, key, order), worker.loop.asyncio_loop)
    secede()  # type: ignore[no-untyped-call]
    return ended.result()


async def look(question: Question, name: str) -> Sight:
    """See `looked`; a file server that does not answer must not hold up the worker."""
    return await asyncio.to_thread(looked, question, name)


async def send(run: str, sites: list[str], sent: int, dask_worker: Any = None) -> None:
    """Send a signal to the sites' processes that are on this worker, which Dask gives as `dask_worker`."""
    keeper = dask_worker.plugins.get(_name(run))
    if keeper is not None:
        keeper.send(sites, signal.Signals(sent))


async def _kept(worker: Any, key: str, order: Order) -> Ended:
    task, name = worker.state.tasks.get(key), _name(order.run)
    if task is None or task.state == "cancelled":  # before there was a keeper to tell
        return killed(order)
    keeper: Keeper | None = worker.plugins.get(name)
    if keeper is None:
        keeper = Keeper(worker, name)
        await worker.plugin_add(keeper, name=name)  # which waits for nothing
    return await keeper.run(key, order)


def _name(run: str) -> str:
    return f"fltui-{run}"
