"""``python -P -m fltui.simulator.cluster.local_cluster WORKERS``: a cluster on this machine, for one run.

It is a process of its own, in a session of its own: Ctrl-C at a terminal is for the simulator, which then ends
everything in good order. It prints the address of its scheduler and ends at the end of file on its standard input.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any


async def serve(workers: int) -> None:
    """Have a cluster until nobody wants it any more."""
    import distributed

    dask: Any = distributed  # half of it has no types
    async with dask.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,  # it would be that of the workers, not of the scripts
        silence_logs=logging.CRITICAL,
        asynchronous=True,
    ) as cluster:
        print(cluster.scheduler_address, flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":  # its workers import this, too
    asyncio.run(serve(int(sys.argv[1])))
