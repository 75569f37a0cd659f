"""How the runs of a queue are served."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fltui.client.config import Durability
from fltui.exchange.watch import WatchMode


@dataclass(frozen=True)
class Settings:
    """What ``fltui server --queue`` was told. All paths are absolute.

    Attributes:
        runs: the folder of run folders.
        exchange: the exchange folder.
        parallel: how many jobs run at once.
        wait: seconds to wait for sites, for jobs that do not say it.
        durability: see `Durability`.
        watch: see `WatchMode`.
        nudge: see `fltui.exchange.nudge`.
        keep_results: for all jobs, see `RunOptions`.
        keep_models: for jobs that do not say it, see `RunOptions`.
        job_code: jobs' own code may run here.
        require_signatures: refuse what sites have not signed, in all jobs.
        track: targets that every run is told to, see `fltui.tracking.environment`; empty for none.
        drain: end when nothing waits or runs any more.
    """

    runs: Path
    exchange: Path
    parallel: int = 1
    wait: float = 600.0
    durability: Durability = Durability.POWER
    watch: WatchMode = WatchMode.AUTO
    nudge: str = ""
    keep_results: bool = False
    keep_models: int | None = None
    job_code: bool = False
    require_signatures: bool = False
    track: str = field(default="", repr=False)
    drain: bool = False

    @property
    def durable(self) -> bool:
        """Whether what is written survives a power cut."""
        return self.durability is Durability.POWER
