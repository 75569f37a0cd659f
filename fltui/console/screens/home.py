"""The home screen: jobs to run on the left, runs to look at on the right, and below the queue and the sites, if any."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from fltui.console.amounts import duration_text, metric_text
from fltui.console.host import Host, Places
from fltui.console.runs.listing import JobEntry, JobList, RunEntry, RunList
from fltui.console.safe import safe
from fltui.console.screens.job_screen import JobScreen
from fltui.console.screens.looking import Look
from fltui.console.screens.question import Question
from fltui.console.screens.serving import QueueChanged, QueueRead, Serving, SitesRead
from fltui.console.widgets.entry import Entry
from fltui.console.widgets.key_bar import KeyBar
from fltui.console.widgets.service import QueueTable
from fltui.console.widgets.table import Cell, Column, Row, Table
from fltui.console.words import date_text, short_id, state_words

_LOOK = 1.0
"""Seconds between two looks at the folders: other processes make runs too."""


class NameFilter(Entry):
    """Takes a part of a name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep the filter", show=False, id="home.keep_filter"),
    ]


class HomeScreen(Screen[None]):
    """Jobs and runs.

    Args:
        host: the application.
        places: where to look for them.
    """

    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (180, "-wide")]  # noqa: RUF012 - Textual declares it for instances
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "Run", id="home.run", tooltip="Run the job in the simulator"),
        Binding("s", "serve", "Serve", id="home.serve", tooltip="Serve the job to clients started in other shells"),
        Binding("u", "submit", "Queue", id="home.submit", tooltip="Submit the job to the queue (asks)"),
        Binding("d", "delete", "Delete run", id="home.delete", tooltip="Delete a run that is over (asks)"),
        Binding("y", "copy", "Copy path", show=False, id="home.copy"),
        Binding(
            "slash", "filter", "Filter", key_display="/", id="home.filter", tooltip="Show what has this in its name"
        ),
        Binding("tab", "other", "Other list", show=False, id="home.other"),
        Binding("shift+tab", "other_back", "Other list", show=False, id="home.other_back"),
        Binding("escape", "stop", "Clear", show=False, id="home.stop", tooltip="Stop a start, or end the filter"),
    ]

    class Read(Message):
        """Jobs and runs were read."""

        def __init__(self, jobs: list[JobEntry], runs: list[RunEntry]) -> None:
            super().__init__()
            self.jobs = jobs
            self.runs = runs

    class Deleted(Message):
        """A run was deleted, or was not."""

        def __init__(self, run: str, problem: str) -> None:
            super().__init__()
            self.run = run
            self.problem = problem

    def __init__(self, host: Host, places: Places) -> None:
        super().__init__()
        self._host = host
        self._places = places
        self._serving = Serving(self, host, places)
        self._jobs: list[JobEntry] = []
        self._runs: list[RunEntry] = []
        self._by_folder: dict[Path, RunEntry] | None = None
        jobs, runs = JobList(places.jobs), RunList(places.runs)
        self._lists = Look(self, lambda: self.Read(jobs.read(), runs.read()), "read")

    def compose(self) -> ComposeResult:
        """Two lists, a filter, a line about what is being done, the footer."""
        with Horizontal(id="lists"):
            yield Table(_JOB_COLUMNS, placeholder="looking for jobs …", id="jobs")
            yield Table(_RUN_COLUMNS, placeholder="looking for runs …", id="runs")
        yield NameFilter(placeholder="part of a name", id="filter")
        yield Static(markup=False, id="doing")
        yield KeyBar()

    def on_mount(self) -> None:
        """Read the lists now and again."""
        self.query_one("#jobs").border_title = "Jobs"
        self.query_one("#runs").border_title = "Runs"
        self.set_focus(self.query_one("#jobs"))
        self._look()
        self.set_interval(_LOOK, self._look)

    def on_screen_resume(self) -> None:
        """Back from a run: it has moved on."""
        self._look()

    def _look(self) -> None:
        """Look at everything anew."""
        if self.is_attached and (self.is_active or isinstance(self.app.screen, ModalScreen)):
            self._lists.start()
            self._serving.look(self._by_folder)

    def on_home_screen_read(self, event: Read) -> None:
        """Show the lists."""
        if (event.jobs, event.runs) != (self._jobs, self._runs) or not (event.jobs and event.runs):
            self._jobs, self._runs = event.jobs, event.runs
            self._show()
        is_first, self._by_folder = self._by_folder is None, {entry.folder.root: entry for entry in event.runs}
        if is_first:
            self._serving.look(self._by_folder)

    def on_queue_read(self, event: QueueRead) -> None:
        """Show the queue."""
        self._serving.show_queue(event.view)

    def on_sites_read(self, event: SitesRead) -> None:
        """Show the sites."""
        self._serving.show_sites(event.sites)

    def _show(self) -> None:
        wanted = self.query_one("#filter", Input).value.casefold()
        jobs, runs = self._job_table, self._run_table
        jobs.set_rows([_job_row(entry) for entry in self._jobs if wanted in entry.name.casefold()])
        runs.set_rows([_run_row(entry) for entry in self._runs if wanted in entry.folder.run.casefold()])
        looked = ", ".join(safe(str(folder)) for folder in self._places.jobs) or "sample_jobs, which is not here"
        jobs.placeholder = (
            "no job has that in its name" if wanted else f"no jobs in {looked}; fltui --jobs DIR looks elsewhere"
        )
        runs.placeholder = (
            "no run has that in its name" if wanted else f"no runs yet in {safe(str(self._places.runs))}; r runs a job"
        )

    @property
    def _job_table(self) -> Table:
        return self.query_one("#jobs", Table)

    @property
    def _run_table(self) -> Table:
        return self.query_one("#runs", Table)

    @property
    def _job(self) -> JobEntry | None:
        key = self._job_table.cursor_key
        return next((entry for entry in self._jobs if str(entry.path) == key), None)

    @property
    def _run(self) -> RunEntry | None:
        key = self._run_table.cursor_key
        return next((entry for entry in self._runs if entry.folder.run == key), None)

    def show_doing(self, text: str) -> None:
        """Say what is being started; nothing for an empty text."""
        line = self.query_one("#doing", Static)
        line.update(text)
        line.display = bool(text)

    def on_table_selected(self, event: Table.Selected) -> None:
        """Open a job's page, or a run."""
        if event.table is self._job_table:
            if self._job is not None:
                self.app.push_screen(JobScreen(self._job), self._begin)
        elif event.table is self._run_table:
            self._open(self._run)
        else:
            self._serving.open(event)

    def _open(self, run: RunEntry | None) -> None:
        if run is not None and run.status is not None:
            self._host.open_run(run.folder)
        elif run is not None:
            self._host.tell(run.reason, severity="error")

    def _begin(self, command: str | None) -> None:
        if command is not None and self._job is not None:
            doing = "starting" if command == "run" else "serving"
            self._host.launch(command, self._job.path, f"{doing} {self._job.name}")

    def action_run(self) -> None:
        """Run the highlighted job in the simulator."""
        self._begin("run")

    def action_serve(self) -> None:
        """Serve the highlighted job."""
        self._begin("server")

    def action_delete(self) -> None:
        """Ask whether to delete the highlighted run."""
        entry = self._run
        if entry is None:
            return
        if entry.alive:
            self._host.tell("only a run that is over can be deleted; abort it first")
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self.run_worker(lambda: self._delete(entry), thread=True, group="delete", description="delete a run")

        text = f"Its folder and everything in it goes: journal, models, logs.\n{entry.folder.root}"
        if not entry.is_over:
            text += "\nIt has not ended. No server of this machine holds it; one of another machine may."
        answers = [("Keep it", False), ("Delete the run", True)]
        self.app.push_screen(Question(f"Delete {entry.folder.run}?", text, answers, danger=True), answered)

    def _delete(self, entry: RunEntry) -> None:
        problem = "it was resumed meanwhile" if entry.folder.is_alive() else _removed(entry.folder.root)
        self.post_message(self.Deleted(entry.folder.run, problem))

    def on_home_screen_deleted(self, event: Deleted) -> None:
        """Read the list again, and say what could not be removed."""
        if event.problem:
            self._host.tell(f"run {event.run} is not deleted: {event.problem}", severity="error")
        self._look()

    def action_copy(self) -> None:
        """Copy the path of the highlighted job, run or entry."""
        job, run, entry = self._job, self._run, self._serving.path_at(self.focused)
        if entry is not None:
            self._host.copy(entry)
        elif self.focused is self._job_table and job is not None:
            self._host.copy(str(job.path))
        elif run is not None:
            self._host.copy(str(run.folder.root))

    def action_other(self) -> None:
        """Go to the next list."""
        self._go(1)

    def action_other_back(self) -> None:
        """Go to the list before."""
        self._go(-1)

    def _go(self, step: int) -> None:
        tables = [self._job_table, self._run_table, *self._serving.tables]
        at = tables.index(self.focused) if isinstance(self.focused, Table) and self.focused in tables else 0
        wanted = tables[(at + step) % len(tables)]
        self.set_class(wanted in self._serving.tables, "-at-service")
        self.set_focus(wanted)  # at once: the next key may be there already

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """On a small screen there is room for two lists: those that one of them has the focus."""
        self.set_class(event.widget in self._serving.tables, "-at-service")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to submit to where there is no queue."""
        return self._serving.has_queue if action == "submit" else super().check_action(action, parameters)

    def action_submit(self) -> None:
        """Submit the highlighted job to the queue."""
        self._serving.submit(self._job)

    def on_queue_table_wanted(self, event: QueueTable.Wanted) -> None:
        """Abort, clone or delete an entry."""
        self._serving.change(event)

    def on_queue_changed(self, event: QueueChanged) -> None:
        """Read the queue again, and say what could not be done."""
        if event.problem:
            self._host.tell(event.problem, severity="error")
        self._look()

    def action_filter(self) -> None:
        """Type a part of a name."""
        line = self.query_one("#filter", Input)
        line.display = True
        self.set_focus(line)

    def on_input_changed(self) -> None:
        """Show what has it in its name."""
        self._show()

    def on_input_submitted(self) -> None:
        """Back to the list, with the filter on."""
        self.set_focus(self._run_table if self._run_table.row_count else self._job_table)

    def action_stop(self) -> None:
        """Stop what is being started; else end the filter."""
        line = self.query_one("#filter", Input)
        if not self._host.stop_launching() and line.display:
            line.value = ""
            line.display = False
            self.set_focus(self._job_table)


def _removed(folder: Path) -> str:
    """Remove a folder with everything in it; what kept it from being removed, empty if nothing did."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return f"{error.filename or folder}: {error.strerror}"
    return ""


_JOB_COLUMNS = [
    Column("name", "job"),
    Column("kind", "", width=6, rank=1),
]

_RUN_COLUMNS = [
    Column("state", "state", width=12),
    Column("job", "job", least=12, most=40),
    Column("id", "run", width=5, rank=1),
    Column("rounds", "rounds", width=7, align="right", rank=2),
    Column("time", "time", width=10, align="right", rank=3),
    Column("metric", "metric", width=14, rank=4),
    Column("started", "started", width=16, rank=5),
]


def _job_row(entry: JobEntry) -> Row:
    return Row(str(entry.path), (Cell(entry.name), Cell(entry.kind, "muted")))


def _run_row(entry: RunEntry) -> Row:
    glyph, word, style = state_words(entry.status, alive=entry.alive)
    cells = (
        Cell(f"{glyph} {word}", style),
        Cell(entry.job or safe(entry.folder.run)),
        Cell(safe(short_id(entry.folder)), "muted"),
        Cell(f"{entry.rounds}/{entry.total}"),
        Cell(duration_text(entry.seconds)),
        Cell(metric_text(entry.metrics)),
        Cell(date_text(entry.started), "muted"),
    )
    return Row(entry.folder.run, cells)
