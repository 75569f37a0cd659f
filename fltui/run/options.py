"""How a run is run. Recorded when it starts, so that it can be resumed in the same way."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fltui.exchange.manifest import LAST_STEP
from fltui.exchange.watch import WatchMode

RunMode = Literal["simulator", "server"]
"""Who starts the sites' scripts: ``fltui run`` does, ``fltui server`` leaves it to other people."""


LOCAL = "local"
"""The engine that is this machine."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may choose beside the job.

    Attributes:
        watch: see `WatchMode`.
        durable: survive a power cut, not only the death of the process.
        threads: how many sites have a task at once; None for all.
        keep_rounds: how many rounds stay in the exchange for people to look at.
        keep_results: keep accepted arrays in ``store/`` when their round is over.
        keep_models: how many of the newest models stay, beside the first; None for all.
        wanted: how many sites a served run waits for at its start; None for a simulated one.
        seed: what everything that is drawn begins from: who is asked, and what the scripts draw.
        job_code: the job's own code may run at the server, without which its parts cannot be made.
        wait: seconds to wait for sites, at the start and when one is lost, where they can come back.
        engine: where the scripts of a simulated run are processes: ``local``, ``dask`` for a cluster that is started
            for the run, or the address of a Dask scheduler.
        workers: how many workers that cluster has; None for as many as there are processors.
        site_data: where the data of a site lies, by the site's name; the script is told.
        nudge: what carries the exchange and is told of what is published, see `fltui.exchange.nudge`; empty for none.
    """

    watch: WatchMode = WatchMode.AUTO
    durable: bool = False
    threads: int | None = None
    keep_rounds: int = 3
    keep_results: bool = False
    keep_models: int | None = None
    wanted: int | None = None
    wait: float = 60.0
    job_code: bool = False
    seed: Annotated[int, msgspec.Meta(ge=0, le=LAST_STEP)] = 0
    engine: str = LOCAL
    workers: int | None = None
    site_data: dict[str, str] = {}
    nudge: str = ""
