"""``fltui queue``: put jobs into a queue, and see what becomes of them."""

from __future__ import annotations

import contextlib
import queue as queues
import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import asdict, replace

from fltui.cli.options import DEFAULT_QUEUE, JobCode, Json, say, say_json
from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.manifest import LAST_STEP
from fltui.exchange.watch import Backoff, Watcher
from fltui.queue.changing import abort as abort_entry
from fltui.queue.changing import delete as delete_entry
from fltui.queue.documents import MOST_WAIT, Wishes
from fltui.queue.entries import Entry, Standing, find_entry, read_entry, read_queue
from fltui.queue.folder import EntryFolder, QueueFolder
from fltui.queue.groups import chosen_sites, read_groups, wishes_for

_PATIENCE = 60.0
"""Seconds until an abort that the server does not carry out is an error."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help=(
        "Jobs that wait for 'fltui server --queue DIR', run, or are over. A queue is a plain folder; an entry is named "
        "by its id, its beginning or end, or 'last'.\n\nExample: fltui queue submit job.py --queue /srv/fl/queue"
    ),
)

Queue = Annotated[Path, typer.Option(envvar="FLTUI_QUEUE", help="The folder of the queue.", show_envvar=True)]
EntryName = Annotated[str, typer.Argument(metavar="ENTRY", help="An entry's id, its beginning or end, or 'last'.")]
Sites = Annotated[
    str | None,
    typer.Option(help="How many sites to wait for, or names of groups and sites: 3, or hospitals,site-7."),
]
Rounds = Annotated[int | None, typer.Option(min=1, max=LAST_STEP, help="Rounds, instead of the job's.")]
Wait = Annotated[
    float | None, typer.Option(min=0, max=MOST_WAIT, help="Seconds to wait for sites, instead of the server's own.")
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=LAST_STEP, help="What all that is drawn begins from; 0 by default.")
]
KeepResults = Annotated[bool | None, typer.Option("--keep-results", help="Keep what the sites sent.")]
KeepModels = Annotated[
    int | None, typer.Option(min=1, max=LAST_STEP, help="How many of the newest models stay, beside the first.")
]


@app.command()
def submit(
    job: Annotated[Path, typer.Argument(help="A job script, an exported job folder, or a folder that holds one.")],
    queue: Queue = DEFAULT_QUEUE,
    sites: Sites = None,
    rounds: Rounds = None,
    wait: Wait = None,
    seed: Seed = None,
    keep_results: KeepResults = None,
    keep_models: KeepModels = None,
    job_code: JobCode = False,
    json: Json = False,
) -> None:
    """Check a job and put it at the end of a queue, which is made if there is none.

    Example: fltui queue submit sample_jobs/hello-fedavg-numpy

    Example: fltui queue submit job.py --sites hospitals --rounds 20
    """
    from fltui.queue.submitting import submit as put

    folder = _folder(queue)
    wishes = _changed(Wishes(), folder, sites, rounds, wait, seed, keep_results, keep_models)
    _say_submitted(folder, put(folder, job, wishes, job_code=job_code), as_json=json)


@app.command()
def clone(
    entry: EntryName,
    queue: Queue = DEFAULT_QUEUE,
    sites: Sites = None,
    rounds: Rounds = None,
    wait: Wait = None,
    seed: Seed = None,
    keep_results: KeepResults = None,
    keep_models: KeepModels = None,
    json: Json = False,
) -> None:
    """Submit the job of an entry once more, as it was or with other options; also of one that is over.

    Example: fltui queue clone last --rounds 50
    """
    from fltui.queue.submitting import clone as put

    folder = _folder(queue)
    found = find_entry(entry, folder)
    wishes = _changed(found.about.wishes, folder, sites, rounds, wait, seed, keep_results, keep_models)
    chosen_sites(wishes, read_groups(folder.groups))
    _say_submitted(folder, put(folder, found, wishes), as_json=json)


@app.command("list")
def list_entries(queue: Queue = DEFAULT_QUEUE, json: Json = False) -> None:
    """List what runs, waits and is over, in the order of the queue.

    Example: fltui queue list
    """
    folder = _folder(queue)
    listing = read_queue(folder)
    if json:
        for entry in listing.entries:
            say_json(overview(entry))
        for name, fault in listing.faults.items():
            say_json({"entry": name, "state": "UNREADABLE", "reason": fault})
        return
    if not listing.entries:
        say(f"no entries in {folder.root}; 'fltui queue submit JOB' makes one")
    width = max((len(entry.id) for entry in listing.entries), default=0)
    for entry in listing.entries:
        say(f"{entry.id:{width}}  {_state_text(entry):11}  {_rounds_text(entry):14}  {_what(entry)}".rstrip())
    for fault in listing.faults.values():
        say(f"UNREADABLE: {fault}")
    if not folder.is_served() and any(entry.standing is not Standing.OVER for entry in listing.entries):
        say(f"no server of this machine serves it: {_serving(folder)}")


@app.command()
def show(entry: EntryName, queue: Queue = DEFAULT_QUEUE, json: Json = False) -> None:
    """Show one entry: what was submitted, how it stands, where its run lies.

    Example: fltui queue show last
    """
    folder = _folder(queue)
    found = find_entry(entry, folder)
    if json:
        say_json({**overview(found), "wishes": asdict(found.about.wishes), "entry_dir": str(found.folder.root)})
        return
    about = found.about
    say(f"{found.id}  {_state_text(found)}")
    if found.reason:
        say(f"  {found.reason}")
    if found.abort is not None and found.standing is not Standing.OVER:
        say(f"  to be aborted: {found.abort.reason}")
    say(f"  job {about.job}, submitted {about.submitted or 'some time'} by {about.by or 'somebody'}")
    if about.clone_of:
        say(f"  clone of {about.clone_of}")
    say(f"  sites: {about.wishes.sites_text or 'as the job says'}")
    chosen = {name: value for name, value in asdict(about.wishes).items() if value not in (None, [], False, 0)}
    for name in ("rounds", "wait", "seed", "keep_results", "keep_models"):
        if name in chosen:
            say(f"  {name.replace('_', ' ')}: {chosen[name]}")
    if found.claim is not None:
        taking = "whoever comes" if found.claim.sites is None else ", ".join(found.claim.sites)
        say(f"  run {found.claim.run} with {taking}: {found.claim.root}")
        begun = (found.claim.root / "journal.jsonl").is_file()
        shown = f"see it with: fltui show {shlex.quote(str(found.claim.root))}"
        say(f"  {shown if begun else 'it has not begun, or its folder is gone'}")
    say(f"  entry {found.folder.root}")


@app.command()
def abort(
    entry: EntryName,
    queue: Queue = DEFAULT_QUEUE,
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "asked for",
    json: Json = False,
) -> None:
    """End an entry and wait until it has ended: one that waits never starts, the run of one that runs ends now.

    Example: fltui queue abort last --reason "wrong data"
    """
    folder = _folder(queue)
    found = find_entry(entry, folder)
    over = abort_entry(folder, found.id, reason)
    if not over and folder.is_served():
        _wait_until_over(folder, found.folder)
        over = True
    if json:
        say_json(overview(read_entry(found.folder)))
    elif over:
        now = read_entry(found.folder)
        say(f"entry {found.id} ended: {now.status}{f': {now.reason}' if now.reason else ''}")
    else:
        say(f"entry {found.id} is aborted as soon as its queue is served again: {_serving(folder)}")


@app.command()
def delete(entry: EntryName, queue: Queue = DEFAULT_QUEUE, json: Json = False) -> None:
    """Remove an entry that waits, or is over. Its run stays where it is.

    Example: fltui queue delete last
    """
    folder = _folder(queue)
    is_garbage = entry in read_queue(folder, with_runs=False).faults
    found = None if is_garbage else find_entry(entry, folder)
    name, claim = (found.id, found.claim) if found is not None else (entry, None)
    delete_entry(folder, name)
    stays = claim.root if claim is not None and claim.root.is_dir() else None
    if json:
        say_json({"entry": name, "deleted": True, "run_dir": str(stays) if stays else ""})
    else:
        say(f"entry {name} is deleted{f'; its run stays: {stays}' if stays else ''}")


def overview(entry: Entry) -> dict[str, Any]:
    """An entry in short, for programs."""
    state, run = entry.run_state, entry.run
    return {
        "entry": entry.id,
        "job": entry.about.job,
        "state": entry.standing.value,
        "status": entry.status.value,
        "reason": entry.reason,
        "order": entry.about.order,
        "sites": entry.about.wishes.sites_text,
        "run": entry.claim.run if entry.claim else "",
        "run_dir": str(run.root) if run else "",
        "alive": entry.folder.is_alive(),
        "rounds": state.rounds_done if state else None,
        "total_rounds": state.total_rounds if state else None,
        "submitted": entry.about.submitted,
        "by": entry.about.by,
        "clone_of": entry.about.clone_of,
    }


def _serving(queue: QueueFolder) -> str:
    """The command that serves a queue."""
    return f"fltui server --queue {shlex.quote(str(queue.root))}"


def _folder(queue: Path) -> QueueFolder:
    return QueueFolder(queue.absolute())


def _changed(
    wishes: Wishes,
    folder: QueueFolder,
    sites: str | None,
    rounds: int | None,
    wait: float | None,
    seed: int | None,
    keep_results: bool | None,
    keep_models: int | None,
) -> Wishes:
    """Wishes with those that were given on the command line.

    Raises:
        BadInputError: they cannot be meant.
    """
    given = {
        "rounds": rounds,
        "wait": wait,
        "seed": seed,
        "keep_results": keep_results,
        "keep_models": keep_models,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if sites is not None:
        named = wishes_for(sites, read_groups(folder.groups))
        changes |= {"sites": named.sites, "groups": named.groups, "count": named.count}
    try:
        return msgspec.convert(asdict(replace(wishes, **changes)), Wishes)
    except msgspec.ValidationError as error:
        raise BadInputError(f"the options cannot be used: {error}") from error


def _say_submitted(queue: QueueFolder, folder: EntryFolder, *, as_json: bool) -> None:
    entry = read_entry(folder)
    if as_json:
        say_json(overview(entry))
        return
    wishes = entry.about.wishes
    named = chosen_sites(wishes, read_groups(queue.groups))
    text = wishes.sites_text + (f" ({', '.join(named)})" if wishes.groups else "")
    say(f"entry {entry.id} waits in {queue.root}{f', for {text}' if text else ''}")
    if not queue.is_served():
        say(f"no server of this machine serves it: {_serving(queue)}")


def _wait_until_over(queue: QueueFolder, folder: EntryFolder) -> None:
    """Wait until the server of the queue has ended an entry.

    Raises:
        RunFailedError: it does not.
    """
    arrivals: queues.SimpleQueue[str] = queues.SimpleQueue()
    watcher = Watcher(arrivals.put, folder.root)
    watcher.add(folder.root)
    backoff, deadline = Backoff(), time.monotonic() + _PATIENCE
    try:
        while read_entry(folder).standing is not Standing.OVER:
            left = deadline - time.monotonic()
            if left <= 0 or not queue.is_served():
                what = f"has not ended within {_PATIENCE:g} s" if left <= 0 else "has lost its server"
                raise RunFailedError(
                    f"entry {folder.id} {what}; it is aborted as soon as the server of the queue hears"
                )
            with contextlib.suppress(queues.Empty):
                arrivals.get(timeout=min(backoff.next(), left))
    finally:
        watcher.close()


def _state_text(entry: Entry) -> str:
    if entry.standing is Standing.OVER:
        return entry.status.value.removeprefix("FINISHED:")
    if entry.standing is Standing.WAITING:
        return "waiting"
    if entry.run_state is None:
        return "starting"
    return entry.status.value.lower()


def _rounds_text(entry: Entry) -> str:
    state = entry.run_state
    return f"{state.rounds_done}/{state.total_rounds} rounds" if state else ""


def _what(entry: Entry) -> str:
    sites = entry.about.wishes.sites_text
    parts = [f"for {sites}" if sites else "", f"run {entry.claim.run}" if entry.claim else "", entry.reason]
    return "; ".join(filter(None, parts))
