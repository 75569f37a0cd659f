"""Where the sites' processes run: on this machine, or on a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from fltui.errors import BadInputError
from fltui.run.options import LOCAL
from fltui.simulator.processes import Processes, start_processes

DASK = "dask"
"""The engine that is a cluster on this machine, for one run."""

_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]{1,5}")
"""That of a scheduler."""


@contextmanager
def processes_of(engine: str, workers: int | None = None, wait: float = 60.0) -> Iterator[Processes]:
    """The processes of an engine, ready as soon as they can be.

    Args:
        engine: see `RunOptions`.
        workers: of a cluster that is started for the run.
        wait: seconds that a site of a cluster waits for another worker when its own is gone.

    Raises:
        BadInputError: there is no such engine, or what it needs is not installed.
    """
    processes = start_processes() if engine == LOCAL else _on_cluster(engine, workers, wait)
    try:
        yield processes
    finally:
        processes.abandon()


def _on_cluster(engine: str, workers: int | None, wait: float) -> Processes:
    if engine != DASK and not _ADDRESS.fullmatch(engine):
        raise BadInputError(
            f"--engine is {engine!r}, expected {LOCAL}, {DASK}, or the address of a Dask scheduler, such as "
            "tcp://HOST:8786"
        )
    if find_spec("distributed") is None:
        raise BadInputError(f"--engine {engine} needs Dask: pip install 'fltui[dask]'")
    from fltui.simulator.cluster.dask import OnDask

    return OnDask(None if engine == DASK else engine, workers, wait)
