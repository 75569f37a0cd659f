"""``fltui verify``: whether a run is what its server wrote, and its model what its sites' results give."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fltui.cli.options import DEFAULT_RUNS, JobCode, Json, RunName, Runs, say, say_json
from fltui.errors import BadInputError
from fltui.exchange.keys import Keys, keys_path
from fltui.run.folder import RunFolder, find_run

if TYPE_CHECKING:
    from fltui.server.verify import Report, Verified

_PATIENCE = 1.0
"""Seconds that a person is left without a sign of progress."""


def verify(
    run: RunName,
    runs: Runs = DEFAULT_RUNS,
    head: Annotated[
        str | None, typer.Option(help="The head of the journal, as printed when the run ended and noted elsewhere.")
    ] = None,
    job_code: JobCode = False,
    json: Json = False,
) -> None:
    """Verify a run: its journal, its files, and every round recomputed from the results that were kept.

    Exits with 0 if all is as it was written, with 1 at the first difference, which is named. Sites' keys are compared
    with those that 'fltui keys trust' has put into your folder of keys.

    Example: fltui verify last

    Example: fltui verify runs/hello-20261125T041819Z-e01d --head 5f0c...
    """
    from fltui import cli
    from fltui.server.verify import verify as verify_run

    noted = (head or "").strip().lower()
    if head is not None and not re.fullmatch("[0-9a-f]{64}", noted):
        raise BadInputError(f"--head is {head[:80]!r}, expected 64 digits 0-9a-f, as a run prints them at its end")
    folder = find_run(run, runs.absolute(), broken=True)  # a journal that is gone is the difference
    with _progress() as report:
        found = verify_run(folder, noted, report, lambda: Keys(keys_path()).all_trusted(), job_code=job_code)
    if json:
        say_json(_as_json(folder, found))
    else:
        _say(found)
    if found.difference is not None:
        if json:
            raise typer.Exit(cli.FAILED)
        raise found.difference


def _as_json(folder: RunFolder, found: Verified) -> dict[str, Any]:
    difference = found.difference
    return {
        **{name: value for name, value in vars(found).items() if name != "difference"},
        "run_dir": str(folder.root),
        "verified": difference is None,
        "difference": difference
        and {
            "file": difference.file,
            "round": difference.round,
            "site": difference.site,
            "told": difference.told,
            "expected": difference.expected,
            "found": difference.found,
            "text": str(difference),
        },
    }


def _say(found: Verified) -> None:
    say(f"run {found.run}  {found.state or 'UNREADABLE'}")
    if found.events:
        say(f"  journal: {found.events} events, head {found.head}")
    if found.difference is not None:
        return
    if found.files:
        say(f"  files: {found.files}, each as it was when the run ended")
    if found.rounds:
        signed = f", {found.signatures} signatures checked" if found.signatures else ""
        say(f"  rounds: {found.recomputed} of {found.rounds} recomputed{signed}")
    for note in found.notes:
        say(f"  note: {note}")
    say("verified: no difference")


@contextmanager
def _progress() -> Iterator[Report]:
    """A line on the terminal that says how far it is, once it takes longer than a moment."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("")
    with ExitStack() as shown:

        def report(what: str, done: int, total: int) -> None:
            if time.monotonic() - began < _PATIENCE:
                return
            if not bar.live.is_started:
                shown.enter_context(bar)
            bar.update(task, description=what, completed=done, total=total)

        yield report
