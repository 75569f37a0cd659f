"""Telling sites that a run has ended for them, and taking that back where the run goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from fltui.exchange.layout import PROTOCOL, ExchangeFolder, SiteFolder, TaskId, running
from fltui.exchange.manifest import End, RunOutcome
from fltui.exchange.outage import has_room
from fltui.exchange.publish import open_tasks
from fltui.exchange.signing import NOBODY, Identity
from fltui.run.folder import RunFolder


def put_end(
    site: SiteFolder, last: TaskId, outcome: RunOutcome, reason: str, identity: Identity, *, durable: bool = False
) -> None:
    """End a run for one site, at the run's newest task; where its folder is gone it misses the end, others do not."""
    with contextlib.suppress(OSError):
        _write_end(site, last, outcome, reason, identity, durable=durable)


def put_completed(sites: Iterable[SiteFolder], last: TaskId, identity: Identity, *, durable: bool = False) -> set[str]:
    """End a run that has completed for its sites, as `put_end` does.

    Returns:
        The sites that have the end.

    Raises:
        OSError: a site would miss the end, and the exchange folder is to blame.
    """
    reached = set()
    for site in sites:
        try:
            _write_end(site, last, "FINISHED:COMPLETED", "", identity, durable=durable)
            reached.add(site.name)
        except OSError:
            if not has_room(site.root.parent, 1 << 16):
                raise
    return reached


def _write_end(
    site: SiteFolder, last: TaskId, outcome: RunOutcome, reason: str, identity: Identity, *, durable: bool
) -> None:
    end = End(PROTOCOL, last.run, outcome, reason, site.name, str(last.end()))
    with open_tasks(site) as tasks:
        tasks.put_manifest(last.end(), identity.encode(end), durable=durable)


def has_ended(site: SiteFolder, last: TaskId) -> bool:
    """Whether the run has ended for a site, at its newest task `last` or later."""
    try:
        return any(one.run == last.run and one.is_end and one.age >= last.age for one in site.published())
    except OSError:
        return False


def take_back_ends(site: SiteFolder, run: str) -> None:
    """Let a run that had ended go on for a site. A newer task does that too; this serves those who come before it."""
    with contextlib.suppress(OSError):
        ends = [one for one in site.published() if one.run == run and one.is_end]
        with open_tasks(site) as tasks:
            for one in ends:
                tasks.remove_manifest(one)


def end_dead_runs(
    exchange: ExchangeFolder,
    runs: Path,
    resumed: str = "",
    *,
    identity: Identity = NOBODY,
    durable: bool = False,
) -> None:
    """End runs of `runs` whose server died, for sites that still hold their tasks: they are to serve another run.

    A client that is not started for one run takes the task it finds; without this it would answer a dead run for ever.

    Args:
        exchange: the exchange folder.
        runs: folder of run folders.
        resumed: a run that is about to go on, and is left alone.
        identity: signs the ends.
        durable: let the ends survive a power cut.
    """
    for site in exchange.sites():
        with contextlib.suppress(OSError):
            for run, (number, attempt) in running(site.published()).items():
                folder = RunFolder(runs / run)
                if run != resumed and folder.journal.is_file() and not folder.is_alive():
                    last = TaskId(run, number, "train", attempt)
                    reason = "its server died, and another run has begun"
                    put_end(site, last, "FINISHED:ABORTED", reason, identity, durable=durable)
