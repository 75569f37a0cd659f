"""What a person does to the queue from the home screen: each asks first, then happens in a thread."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from textual.screen import Screen

from fltui.console.host import Host
from fltui.console.runs.listing import JobEntry
from fltui.console.runs.queued import QueueLine
from fltui.console.screens.question import Question
from fltui.console.widgets.service import Change
from fltui.errors import BadInputError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.said import last_sentence
from fltui.queue.changing import abort, delete
from fltui.queue.entries import Standing, read_entry
from fltui.queue.folder import QueueFolder
from fltui.queue.groups import read_groups
from fltui.queue.submitting import clone

_MOST_GROUPS = 4
"""Groups that are offered; `fltui queue submit` takes any."""

_LONGEST = 120.0
"""Seconds that a job script may take to say what its job is."""


class _Submitted(msgspec.Struct):
    entry: str


class Queueing:
    """See the module.

    Args:
        screen: the home screen.
        host: the application.
        queue: the queue.
        changed: called in a thread when something was done, with what could not be done, empty if all was.
    """

    def __init__(self, screen: Screen[None], host: Host, queue: QueueFolder, changed: Callable[[str], object]) -> None:
        self._screen = screen
        self._host = host
        self._queue = queue
        self._changed = changed

    def open(self, line: QueueLine | None) -> None:
        """Show the run of an entry, or say why there is none."""
        if line is not None and line.run is not None and line.run.journal.is_file():
            self._host.open_run(line.run)
        elif line is not None:
            self._host.tell(line.reason or "it has no run yet")

    def submit(self, job: JobEntry) -> None:
        """Ask for which sites, and put the job at the end of the queue."""
        try:
            groups = sorted(read_groups(self._queue.groups))[:_MOST_GROUPS]
        except BadInputError as error:
            self._host.tell(str(error), severity="error")
            return
        answers = [("Submit", ""), *((f"For {group}", group) for group in groups)]
        text = f"It waits in {self._queue.root} until it has its turn."
        if groups:
            text += "\nFor the sites that it names, or for those of a group."

        def answered(group: str | None) -> None:
            if group is not None:
                self._do(lambda: self._submit(job.path, group), "submit a job")

        self._screen.app.push_screen(Question(f"Submit {job.name} to the queue?", text, answers), answered)

    def change(self, change: Change, line: QueueLine) -> None:
        """Ask whether to abort, clone or delete an entry."""
        standing = line.standing
        if change == "abort" and standing in (None, Standing.OVER):
            self._host.tell("only an entry that waits or runs can be aborted")
            return
        if change == "delete" and standing is Standing.RUNNING:
            self._host.tell("an entry that runs cannot be deleted; abort it first")
            return
        if change == "clone" and standing is None:
            self._host.tell(line.reason, severity="error")
            return
        title, text, yes, no = _words(change, line)
        act = {"abort": self._abort, "clone": self._clone, "delete": self._delete}[change]

        def answered(answer: bool | None) -> None:
            if answer:
                self._do(lambda: act(line), f"{change} an entry")

        question = Question(title, text, [(no, False), (yes, True)], danger=None if change == "clone" else True)
        self._screen.app.push_screen(question, answered)

    def _do(self, act: Callable[[], None], what: str) -> None:
        def work() -> None:
            try:
                act()
            except BadInputError as error:
                self._changed(str(error))
            else:
                self._changed("")

        self._screen.run_worker(work, thread=True, group="queue", description=what)

    def _submit(self, job: Path, group: str) -> None:
        """A job script is a program: it runs in the process of the command, whose output is not the console's."""
        chosen = ["--sites", group] if group else []
        command = [sys.executable, "-P", "-m", "fltui", "queue", "submit", str(job), "--queue", str(self._queue.root)]
        try:
            done = subprocess.run(
                [*command, *chosen, "--json"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                start_new_session=True,
                timeout=_LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BadInputError(f"job {job} was not submitted: it took longer than {_LONGEST:g} s") from error
        except OSError as error:
            raise BadInputError(f"job {job} was not submitted: {error.strerror}") from error
        try:
            msgspec.json.decode(done.stdout, type=_Submitted)
        except MALFORMED as error:
            said = done.stderr.decode(errors="replace")
            raise BadInputError(last_sentence(said, f"job {job} was not submitted")) from error

    def _abort(self, line: QueueLine) -> None:
        if not abort(self._queue, line.folder.id, "asked for in the console") and not self._queue.is_served():
            raise BadInputError("the queue has no server on this machine: the entry is aborted as soon as it has one")

    def _clone(self, line: QueueLine) -> None:
        clone(self._queue, read_entry(line.folder, with_run=False))

    def _delete(self, line: QueueLine) -> None:
        delete(self._queue, line.folder.id)


def _words(change: Change, line: QueueLine) -> tuple[str, str, str, str]:
    """Title, text, and the two answers of a question."""
    name = line.folder.id
    if change == "clone":
        return f"Submit {line.job} once more?", f"With the options of {name}.", "Clone it", "Leave it"
    if change == "abort":
        runs = line.standing is Standing.RUNNING
        text = "Its run ends now; its sites are told." if runs else "It never starts."
        return f"Abort {name}?", text, "Abort it", "Let it run" if runs else "Let it wait"
    text = f"The entry goes, with its copy of the job.\n{line.folder.root}"
    if line.run is not None:
        text += f"\nIts run stays: {line.run.root}"
    elif line.standing is Standing.WAITING:
        text += "\nIt never starts."
    return f"Delete {name}?", text, "Delete the entry", "Keep it"
