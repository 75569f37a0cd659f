"""The run that nobody disturbs, to compare others with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fltui.run.events import RoundFinished
from tests.faults.kills.killing import Killing
from tests.jobs import drifting, fltui, write_job

LOGS = "print('round', round); flare.log('round', round, step=round)"
SCRIPTS = {"a": drifting(0.3, LOGS), "b": drifting(0.7)}

_MOST = 45
"""Rounds of the undisturbed run; the disturbed ones have as many or fewer."""


@dataclass(frozen=True)
class Calm:
    """A run that nobody disturbs: its job, and what became of it."""

    job: Path
    rounds: list[RoundFinished]


def exported(folder: Path, scripts: dict[str, str], arguments: str = "num_rounds=2", workflow: str = "FedAvg") -> Path:
    """A job's folder."""
    job = write_job(folder / "scripts", scripts, arguments, workflow=workflow)
    done = fltui(folder, "export", job, folder / "jobs")
    assert done.code == 0, done.err
    return folder / "jobs" / "test"


def undisturbed(folder: Path) -> Calm:
    """Run the job in peace."""
    run = Killing(folder, exported(folder, SCRIPTS), _MOST)
    run.go()
    return Calm(run.job, [event for event in run.events if isinstance(event, RoundFinished)])
