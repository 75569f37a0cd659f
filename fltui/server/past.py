"""What a run's folder tells the server that goes on with it, and what is put in order before that."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field

from fltui.errors import BadInputError, ExchangeError, RunFailedError
from fltui.exchange.durable import sync_folder
from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.npy import open_beneath, read_checked
from fltui.exchange.publish import open_tasks
from fltui.exchange.signing import Identity
from fltui.run.control import take_requests
from fltui.run.events import AnyEvent, RoundFinished, RunStatus, TaskPublished
from fltui.run.folder import RunFolder
from fltui.run.journal import Journal
from fltui.run.models import Models, StoredModel, digest_of_model
from fltui.run.state import RunState, apply
from fltui.server.ends import has_ended, put_end, take_back_ends


@dataclass
class Past:
    """What a journal tells.

    Attributes:
        state: after all its events.
        tasks: site and task id of everything published that may still be there, in that order.
        going_on: the unfinished round whose attempt goes on; None if the next round begins, or begins again.
    """

    state: RunState = field(default_factory=RunState)
    tasks: list[tuple[str, TaskId]] = field(default_factory=list)
    going_on: int | None = None

    def take(self, event: AnyEvent) -> None:
        """One more event."""
        self.state = apply(self.state, event)
        if isinstance(event, TaskPublished) and (task_id := TaskId.parse(event.task_id)):
            self.tasks.append((event.site, task_id))
        elif isinstance(event, RoundFinished):
            oldest = event.round - 2 * self.state.options.keep_rounds  # what is older was cleared away long ago
            self.tasks = [(site, task_id) for site, task_id in self.tasks if task_id.round >= oldest]


def check_resumable(folder: RunFolder, state: RunState) -> None:
    """Make sure that a run which nobody holds can go on.

    Raises:
        BadInputError: it cannot; the sentence says why.
    """
    if state.status is RunStatus.COMPLETED:
        raise BadInputError(f"run {folder.run} has completed, so there is nothing to resume")
    if not state.run:
        raise BadInputError(f"run {folder.run} had not begun when its server died; start it anew")
    if state.run != folder.run:
        raise BadInputError(f"run {state.run} lies in a folder of another name, {folder.root}; name it as before")


def _check_rounds(state: RunState, rounds: range) -> None:
    planned = range(state.start_round, state.start_round + state.total_rounds)
    if rounds != planned:
        raise BadInputError(
            f"run {state.run} began with the rounds {planned.start} to {planned.stop - 1}, and the job in its folder "
            f"now says {rounds.start} to {rounds.stop - 1}; a run keeps its rounds"
        )


def reopen_journal(folder: RunFolder, rounds: range, *, durable: bool) -> tuple[Journal, Past]:
    """Go on with a run's journal; the run must be held.

    Args:
        folder: the run.
        rounds: what the job in its folder says.
        durable: see `Journal`.

    Raises:
        BadInputError: see `Journal.reopen` and `check_resumable`; or the job has other rounds than before.
    """
    past = Past()
    journal = Journal.reopen(folder.journal, past.take, durable=durable)
    try:
        check_resumable(folder, past.state)
        _check_rounds(past.state, rounds)
    except BadInputError:
        journal.close()
        raise
    return journal, past


def unfinished_round(folder: RunFolder, exchange: ExchangeFolder, state: RunState, identity: Identity) -> int | None:
    """The round that goes on where the last server left it: the results it took in count, the tasks it published stand.

    There is none after a run that failed or was aborted, where a round begins again with whatever was mended; nor where
    a private copy of a result is gone or damaged, or the sites were told meanwhile that the run is over; nor where a
    site has another key now than its result was checked with.
    """
    found = state.rounds.get(state.next_round)
    if found is None or found.ended:
        return None
    if any(event.signed_by != identity.trusted.get(site, "") for site, event in found.accepted.items()):
        return None
    entries = [entry for event in found.accepted.values() for entry in event.arrays]
    try:
        for entry in entries:
            with open_beneath(folder.store, f"{entry.blake3}.npy", links=None) as fd:
                read_checked(fd, entry, lambda _: None, entry.file)
    except (OSError, ExchangeError):
        return None
    last = TaskId(state.run, found.started.round, found.started.task_name, found.started.attempt)
    sites = (exchange.site(name) for name, site in state.sites.items() if not site.dropped)
    return None if any(has_ended(site, last) for site in sites) else state.next_round


def tidy_run(folder: RunFolder, past: Past) -> None:
    """Remove what the last server left in the run folder: requests that nobody heard, an outcome that no longer holds,
    and private copies of results, except those that count and those of finished rounds where the run keeps them."""
    state = past.state
    for part in (folder.models, folder.store, folder.logs, folder.control):
        part.mkdir(exist_ok=True)
    take_requests(folder.control)
    shutil.rmtree(folder.scratch, ignore_errors=True)
    folder.summary.unlink(missing_ok=True)
    counting = [
        event
        for number, found in state.rounds.items()
        if number == past.going_on or (found.finished and state.options.keep_results)
        for event in found.accepted.values()
    ]
    kept = {f"{entry.blake3}.npy" for event in counting for entry in event.arrays}
    kept |= {f"{event.manifest}.json" for event in counting}
    for path in folder.store.iterdir():
        if path.name not in kept:
            path.unlink(missing_ok=True)
    if state.options.durable:
        for changed in (folder.root, folder.store):
            sync_folder(changed)


def reopen_sites(exchange: ExchangeFolder, past: Past, identity: Identity, *, durable: bool) -> None:
    """Let the run go on in the sites' folders: no end, except for dropped sites.

    The tasks of a round that begins again lose their manifests. Their arrays stay until the round is retired: a script
    that is at work on them may still need them. The tasks of old rounds go, where the last server did not come to it.
    """
    run, state = past.state.run, past.state
    last = state.next_round if state.next_round in state.rounds else state.next_round - 1
    newest = max((task_id for _, task_id in past.tasks), default=TaskId(run, state.start_round, "train", 0))
    for name, site in past.state.sites.items():
        folder = exchange.site(name)
        if site.dropped:
            put_end(folder, newest, "FINISHED:ABORTED", site.reason, identity, durable=durable)
        else:
            take_back_ends(folder, run)
        with contextlib.suppress(OSError), open_tasks(folder) as tasks:
            tasks.remove_staged(run)
            tasks.remove_outside(run, state.next_round - state.options.keep_rounds, last)
    for name, task_id in past.tasks:
        if task_id.round >= state.next_round and past.going_on is None:
            with contextlib.suppress(OSError), open_tasks(exchange.site(name)) as tasks:
                tasks.remove_manifest(task_id)


def last_model(models: Models, state: RunState) -> StoredModel:
    """The model that the last finished round left, every array compared with its digest.

    Raises:
        RunFailedError: it is not the one that the journal names, or damaged.
    """
    number = state.next_round
    finished = state.rounds[number - 1].finished
    where = f"the model that enters round {number}, in {models.folder(number)},"
    try:
        model = models.load(number)
        for place, entry in model.files():
            with open_beneath(model.folder, *place, links=None) as fd:
                read_checked(fd, entry, lambda _: None, place[-1])
    except (OSError, ExchangeError, *MALFORMED) as error:
        raise RunFailedError(f"{where} is damaged, so the run cannot go on from it: {error}") from error
    if finished is None or digest_of_model(model) != finished.model:
        raise RunFailedError(f"{where} is not the one that the journal names, so the run cannot go on from it")
    return model
