"""How entries start: whose turn it can be, as which run, and what keeps one that has its turn from starting."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fltui.errors import BadInputError
from fltui.exchange.layout import ExchangeFolder, job_of, new_run_id
from fltui.exchange.signing import Identity
from fltui.queue.documents import Claim
from fltui.queue.entries import Entry, read_entry, state_of
from fltui.queue.folder import EntryBusyError, QueueFolder, is_trouble
from fltui.queue.groups import Groups, read_groups, taking_part
from fltui.queue.turns import Turn
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder
from fltui.server.dispatch.child import Child, Lifeline, start
from fltui.server.dispatch.ending import Ending
from fltui.server.dispatch.notices import Notices
from fltui.server.dispatch.settings import Settings
from fltui.server.ends import end_dead_runs

_LONGEST_NAMES = 100_000
"""Bytes of the names of a run's sites, which are one argument of its process: Linux takes 128 KiB."""


def check_claim(entry: Entry, runs: Path) -> None:
    """Make sure that an entry's claim is one that a server with this folder of runs has made, or could have made.

    It lies where whoever submits jobs may write, and what it names is gone on with as the server's user.

    Raises:
        BadInputError: it is not.
    """
    claim = entry.claim
    if claim is None:
        return
    if claim.runs != str(runs):
        raise BadInputError(f"{entry.folder.claim} names a run in {claim.runs}; the runs of this server are in {runs}")
    if job_of(claim.run) != entry.about.job:
        raise BadInputError(f"{entry.folder.claim} names run {claim.run}; that is none of job {entry.about.job}")


@dataclass(frozen=True)
class Served:
    """The exchange.

    Attributes:
        folder: it.
        identity: signs the ends of dead runs.
    """

    folder: ExchangeFolder
    identity: Identity


class Starting:
    """See the module.

    Args:
        queue: the queue.
        settings: how its runs are served.
        served: where.
        lifeline: see the class.
        ending: takes what can never start, and what has ended meanwhile.
        notices: told of what starts and what is held up.
    """

    def __init__(
        self,
        queue: QueueFolder,
        settings: Settings,
        served: Served,
        lifeline: Lifeline,
        ending: Ending,
        notices: Notices,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._served = served
        self._lifeline = lifeline
        self._ending = ending
        self._notices = notices

    def turns(self, waiting: list[Entry]) -> list[Turn]:
        """The turns of entries that have not begun, in order; what can never start ends here.

        Raises:
            OSError: an end cannot be written down.
        """
        groups: Groups = {}
        try:
            groups, broken = read_groups(self._queue.groups), ""
        except BadInputError as error:
            broken = str(error)
        found = []
        for entry in waiting:
            wishes = entry.about.wishes
            if entry.abort is not None:
                self._ending.end(entry, RunStatus.ABORTED, f"before it began: {entry.abort.reason}")
            elif wishes.groups and broken:
                self._notices.held_up(entry.id, f"waits: {broken}")
            else:
                try:
                    sites = _checked(taking_part(wishes, groups, entry.folder.job))
                except BadInputError as error:
                    self._ending.end(entry, RunStatus.FAILED, str(error))
                else:
                    found.append(Turn(entry.id, sites))
        return found

    async def start(self, entry: Entry, sites: frozenset[str] | None, ours: Collection[str]) -> Child | None:
        """Start an entry, or go on with it.

        Args:
            entry: as it was read.
            sites: those that it takes for itself; None for all that there are.
            ours: runs that go on, or will.

        Returns:
            Its process; None where there is nothing to start, or it cannot be started now.

        Raises:
            EntryBusyError: another process is at it.
            OSError: no other entry could be started either, such as on a full disk.
        """
        try:
            held = entry.folder.hold()
        except EntryBusyError:
            self._notices.held_up(entry.id, "waits for another process that holds it to end")
            raise
        except OSError as error:
            self._cannot(entry, error)
            return None
        child = None
        try:
            child = await self._start_held(entry, sites, held, ours)
        except OSError as error:
            self._cannot(entry, error)
        finally:
            if child is None and held is not None:
                os.close(held)
        if child is not None:
            self._notices.goes_on(entry.id)
        return child

    def _cannot(self, entry: Entry, error: OSError) -> None:
        """Hold up an entry that cannot be started; not one that was deleted meanwhile.

        Raises:
            OSError: it is not to blame.
        """
        if is_trouble(error) or not self._queue.root.is_dir():
            raise error
        if entry.folder.root.is_dir():
            self._notices.held_up(entry.id, f"cannot be started: {error.strerror} ({error.filename})")

    async def _start_held(
        self, known: Entry, sites: frozenset[str] | None, held: int | None, ours: Collection[str]
    ) -> Child | None:
        """What was started; None where there was nothing to start."""
        folder = known.folder
        try:
            entry = read_entry(folder, with_run=False)
            check_claim(entry, self._settings.runs)
        except BadInputError:  # the next look says so
            return None
        claim = entry.claim
        if entry.end is not None or (claim is None) is not (known.claim is None):
            return None
        try:
            state = state_of(RunFolder(claim.root)) if claim else None
        except BadInputError as error:
            self._ending.end(entry, RunStatus.FAILED, str(error), claim)
            return None
        if state is not None and state.status.is_finished:
            # The last server of the queue died before it could write that down.
            self._ending.end(entry, state.status, state.reason, claim)
            return None
        if entry.abort is not None and state is None:
            self._ending.end(entry, RunStatus.ABORTED, f"before it began: {entry.abort.reason}", claim)
            return None
        if claim is None:
            run = new_run_id(entry.about.job)
            claim = Claim(run=run, runs=str(self._settings.runs), sites=None if sites is None else sorted(sites))
            folder.put(claim, folder.claim)
        elif RunFolder(claim.root).is_alive():
            self._notices.held_up(entry.id, f"waits for the process that runs {claim.run} to end")
            raise EntryBusyError(f"run {claim.run} is on")
        self._end_dead_runs({*ours, claim.run})
        child = await start(entry, claim, state, held, self._lifeline, self._settings)
        who = "whoever comes" if claim.sites is None else ", ".join(claim.sites)
        if state is None:
            self._notices.say("started", f"entry {entry.id} started as run {claim.run} with {who}", entry.id, claim.run)
        else:
            self._notices.say("resumed", f"entry {entry.id} goes on with run {claim.run}", entry.id, claim.run)
        return child

    def _end_dead_runs(self, ours: Collection[str]) -> None:
        """Free the sites of runs whose server died and that nobody goes on with."""
        with contextlib.suppress(OSError):  # the exchange is away: the run will sit it out, and say so
            end_dead_runs(
                self._served.folder,
                self._settings.runs,
                others=ours,
                identity=self._served.identity,
                durable=self._settings.durable,
            )


def _checked(sites: list[str] | None) -> frozenset[str] | None:
    if sites is None:
        return None
    size = len(",".join(sites))
    if size > _LONGEST_NAMES:
        raise BadInputError(
            f"it is for {len(sites)} sites, whose names take {size} bytes; {_LONGEST_NAMES} are the most"
        )
    return frozenset(sites)
