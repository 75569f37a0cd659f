"""Telling sites that a run has ended for them, and taking that back where the run goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from pathlib import Path

from fltui.exchange.layout import PROTOCOL, ExchangeFolder, SiteFolder, TaskId, running
from fltui.exchange.manifest import End, RunOutcome
from fltui.exchange.nudge import NoNudge, Nudge
from fltui.exchange.outage import has_room
from fltui.exchange.publish import open_tasks
from fltui.exchange.signing import NOBODY, Identity
from fltui.run.folder import RunFolder


class Ends:
    """Tells the sites of one run that it is over for them.

    Args:
        exchange: the exchange folder.
        identity: signs the ends.
        durable: let the ends survive a power cut.
        nudge: is told of the ends.
    """

    def __init__(
        self, exchange: ExchangeFolder, identity: Identity, *, durable: bool, nudge: Nudge | None = None
    ) -> None:
        self._nudge = nudge or NoNudge()
        self._exchange = exchange
        self._identity = identity
        self._durable = durable
        self._completed: set[str] = set()
        self._to_drop: dict[str, str] = {}

    def complete(self, sites: Iterable[str], last: TaskId) -> None:
        """Tell sites that the run has completed, while an outage can still be sat out.

        Raises:
            OSError: a site would miss the end, and the exchange folder is to blame.
        """
        self._completed.clear()
        for name in sites:
            site = self._exchange.site(name)
            try:
                _write_end(site, last, "FINISHED:COMPLETED", "", self._identity, durable=self._durable)
                self._completed.add(name)
                self._nudge.task(site)
            except OSError:
                if not has_room(site.root.parent, 1 << 16):
                    raise

    def drop(self, site: str, last: TaskId, reason: str) -> None:
        """Tell a site that it was dropped, now or as soon as its folder can be written."""
        self._to_drop[site] = reason
        self.drop_late(last)

    def drop_late(self, last: TaskId) -> None:
        """Tell sites that could not be told before that they were dropped."""
        for site, reason in list(self._to_drop.items()):
            if self._put(site, last, "FINISHED:ABORTED", reason):
                del self._to_drop[site]

    def finish(self, sites: Iterable[str], last: TaskId, outcome: RunOutcome, reason: str) -> list[str]:
        """Tell every site that was not told yet that the run is over.

        Returns:
            Those that could not be told, in order.
        """
        told = self._completed if outcome == "FINISHED:COMPLETED" else set()
        untold = [site for site in sites if site not in told and not self._put(site, last, outcome, reason)]
        self.drop_late(last)
        return sorted([*untold, *self._to_drop])

    def _put(self, site: str, last: TaskId, outcome: RunOutcome, reason: str) -> bool:
        folder = self._exchange.site(site)
        told = put_end(folder, last, outcome, reason, self._identity, durable=self._durable)
        if told:
            self._nudge.task(folder)
        return told


def put_end(
    site: SiteFolder, last: TaskId, outcome: RunOutcome, reason: str, identity: Identity, *, durable: bool = False
) -> bool:
    """End a run for one site, at the run's newest task; where its folder is gone it misses the end, others do not.

    Returns:
        Whether the site has the end.
    """
    try:
        _write_end(site, last, outcome, reason, identity, durable=durable)
    except OSError:
        return False
    return True


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
    others: Collection[str] = (),
    identity: Identity = NOBODY,
    durable: bool = False,
) -> None:
    """End runs of `runs` whose server died, for sites that still hold their tasks: they are to serve another run.

    A client that is not started for one run takes the task it finds; without this it would answer a dead run for ever.

    Args:
        exchange: the exchange folder.
        runs: folder of run folders.
        resumed: a run that is about to go on, and is left alone.
        others: further ones.
        identity: signs the ends.
        durable: let the ends survive a power cut.
    """
    for site in exchange.sites():
        with contextlib.suppress(OSError):
            for run, (number, attempt) in running(site.published()).items():
                folder = RunFolder(runs / run)
                if run not in (resumed, *others) and folder.journal.is_file() and not folder.is_alive():
                    last = TaskId(run, number, "train", attempt)
                    reason = "its server died, and another run has begun"
                    put_end(site, last, "FINISHED:ABORTED", reason, identity, durable=durable)
