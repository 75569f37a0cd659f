"""Telling sites that a run has ended for them, and taking that back where the run goes on."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fltui.exchange.layout import PROTOCOL, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.manifest import End, RunOutcome
from fltui.exchange.publish import put_document
from fltui.run.folder import RunFolder


def put_end(site: SiteFolder, run: str, outcome: RunOutcome, reason: str, *, durable: bool = False) -> None:
    """End a run for one site; where its folder is gone it misses the end, others do not."""
    end = End(PROTOCOL, run, outcome, reason)
    with contextlib.suppress(OSError):
        put_document(end, site.end(run), site.staging("server"), durable=durable)


def take_back_end(site: SiteFolder, run: str) -> None:
    """Let a run that had ended go on for a site."""
    with contextlib.suppress(OSError):
        site.end(run).unlink()


def end_dead_runs(exchange: ExchangeFolder, runs: Path, resumed: str = "") -> None:
    """End runs of `runs` whose server died, for sites that still hold their tasks: they are to serve another run.

    A client that is not started for one run takes the task it finds; without this it would answer a dead run for ever.

    Args:
        exchange: the exchange folder.
        runs: folder of run folders.
        resumed: a run that is about to go on, and is left alone.
    """
    for site in exchange.sites():
        tasks = [task for path in site.tasks.glob("*.json") if (task := TaskId.parse(path.stem))]
        for run in {task.run for task in tasks} - {resumed}:
            folder = RunFolder(runs / run)
            if folder.journal.is_file() and not folder.is_alive() and not site.end(run).exists():
                put_end(site, run, "FINISHED:ABORTED", "its server died, and another run has begun")
