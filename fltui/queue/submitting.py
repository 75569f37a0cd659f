"""Putting jobs into a queue. An entry is written beside and renamed into place, so that nobody meets half of one."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from fltui.errors import BadInputError
from fltui.exchange.durable import sync_folder, sync_tree
from fltui.exchange.layout import new_run_id
from fltui.exchange.lock import hold, let_go
from fltui.job.find import open_job
from fltui.job.folder import write_job
from fltui.job.job import Job
from fltui.queue.copying import copy_plain
from fltui.queue.documents import EntryAbout, Wishes
from fltui.queue.entries import Entry, read_queue
from fltui.queue.folder import EntryFolder, QueueFolder
from fltui.queue.groups import Groups, chosen_sites, read_groups


def submit(queue: QueueFolder, path: Path, wishes: Wishes, *, job_code: bool = False) -> EntryFolder:
    """Check a job and put it into a queue, which is made where it is missing.

    Args:
        queue: where.
        path: of a job script, a job folder, or a folder that holds one.
        wishes: what was chosen beside the job.
        job_code: a job folder's own code may run here, for the check.

    Raises:
        BadInputError: the job cannot be loaded, or not be served as is wished, or the queue cannot be written.
    """
    with open_job(path, job_code=job_code) as (job, _):
        job.check_scripts()
        check_wishes(job, wishes, read_groups(queue.groups))
        queue.make()
        with _new_entry(queue, job.name) as folder:
            write_job(job, folder.job, durable=True)
            folder.put(_about(queue, job.name, wishes), folder.about)
            return _publish(queue, folder)


def clone(queue: QueueFolder, entry: Entry, changes: Wishes | None = None) -> EntryFolder:
    """Submit the job of an entry once more.

    Args:
        queue: where it lies.
        entry: what is to be repeated.
        changes: other wishes than the entry's.

    Raises:
        BadInputError: its job folder is gone or holds what is no plain file, or the queue cannot be written.
    """
    wishes = entry.about.wishes if changes is None else changes
    with _new_entry(queue, entry.about.job) as folder:
        copy_plain(entry.folder.job, folder.job)
        sync_tree(folder.job)
        about = _about(queue, entry.about.job, wishes)
        folder.put(replace(about, clone_of=entry.id), folder.about)
        return _publish(queue, folder)


def check_wishes(job: Job, wishes: Wishes, groups: Groups) -> None:
    """Make sure that a job can be served as a person wishes, as far as that can be known now.

    Raises:
        BadInputError: it cannot; the sentence says why.
    """
    chosen = chosen_sites(wishes, groups)
    for site in chosen:
        if site in wishes.sites and site not in job.sites:
            _check_spelling(site, groups)
        job.app(site)
    job.with_rounds(wishes.rounds)
    wanted = wishes.count or len(chosen or job.sites) or job.workflow.site_count
    at_least, named = max(job.min_clients, job.workflow.quorum), len(chosen or job.sites)
    if wanted < at_least or (named and named < wanted):
        raise BadInputError(
            f"job {job.name} needs at least {at_least} sites and names {named or 'none'}; it cannot be served to "
            f"{wanted}"
        )


def _check_spelling(site: str, groups: Groups) -> None:
    from difflib import get_close_matches

    if groups and site not in {name for sites in groups.values() for name in sites}:
        near = get_close_matches(site, sorted(groups), n=1, cutoff=0.75)
        if near:
            raise BadInputError(f"there is no group {site!r} in groups.json; did you mean {near[0]!r}?")


def _about(queue: QueueFolder, job: str, wishes: Wishes) -> EntryAbout:
    return EntryAbout(order=next_order(queue), job=job, wishes=wishes, submitted=utc_now(), by=_who())


def next_order(queue: QueueFolder) -> int:
    """The place after all entries that are there. Two who submit at once may get the same one."""
    return max((entry.about.order for entry in read_queue(queue, with_runs=False).entries), default=-1) + 1


def utc_now() -> str:
    """The time by this machine's clock, for people."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _who() -> str:
    with contextlib.suppress(KeyError, OSError, ImportError):  # a user without a name
        return f"{getpass.getuser()}@{socket.gethostname()}"[:200]
    return ""


@contextmanager
def _new_entry(queue: QueueFolder, job: str) -> Iterator[EntryFolder]:
    """A folder for an entry, under a name that nobody reads; it goes again if it does not become one.

    The lock beside it, made first, tells whether its process lives.

    Raises:
        BadInputError: it cannot be written.
    """
    folder = EntryFolder(queue.root / f".new-{new_run_id(job)}")
    lock = folder.root.with_name(f"{folder.id}.lock")
    try:
        held = hold(lock)
        try:
            folder.root.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder.root, ignore_errors=True)
            if held is None:
                lock.unlink(missing_ok=True)
            else:
                let_go(lock, held)
    except OSError as error:
        place = error.filename or queue.root
        raise BadInputError(f"job {job} cannot be put into queue {queue.root}: {error.strerror} ({place})") from error


def _publish(queue: QueueFolder, folder: EntryFolder) -> EntryFolder:
    queue.share_entry(folder)
    entry = queue.entry(folder.id.removeprefix(".new-"))
    folder.root.rename(entry.root)
    sync_folder(queue.root)
    queue.ring()
    return entry
