"""The home screen: jobs to run on the left, runs to look at on the right, and below the queue and the sites, if any."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

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
from fltui.console.runs.presence import SiteLine, SiteList
from fltui.console.runs.queued import QueueLine, QueueList
from fltui.console.safe import safe
from fltui.console.screens.job_screen import JobScreen
from fltui.console.screens.question import Question
from fltui.console.widgets.entry import Entry
from fltui.console.widgets.key_bar import KeyBar
from fltui.console.widgets.service import QueueTable, Service
from fltui.console.widgets.table import Cell, Column, Row, Table
from fltui.console.words import date_text, short_id, state_words

if TYPE_CHECKING:
    from fltui.console.screens.queueing import Queueing

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
        """The lists were read."""

        def __init__(
            self, jobs: list[JobEntry], runs: list[RunEntry], queue: list[QueueLine] | None, sites: list[SiteLine]
        ) -> None:
            super().__init__()
            self.jobs = jobs
            self.runs = runs
            self.queue = queue
            self.sites = sites

    class Deleted(Message):
        """A run was deleted, or was not."""

        def __init__(self, run: str, problem: str) -> None:
            super().__init__()
            self.run = run
            self.problem = problem

    class QueueChanged(Message):
        """Something was done to the queue, or was not."""

        def __init__(self, problem: str) -> None:
            super().__init__()
            self.problem = problem

    def __init__(self, host: Host, places: Places) -> None:
        super().__init__()
        self._host = host
        self._places = places
        self._job_list = JobList(places.jobs)
        self._run_list = RunList(places.runs)
        self._queue_list = QueueList(places.queue)
        self._site_list = SiteList(places.exchange)
        self._service: Service | None = None
        self._jobs: list[JobEntry] = []
        self._runs: list[RunEntry] = []
        self._reading = False

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
        """Read the lists in a thread, one look at a time: a slow disk or a long journal takes what it takes."""
        if not self._reading and self.is_attached and (self.is_active or isinstance(self.app.screen, ModalScreen)):
            self._reading = True
            self.run_worker(self._read, thread=True, group="read")

    def _read(self) -> None:
        jobs, runs = self._job_list.read(), self._run_list.read()
        self.post_message(self.Read(jobs, runs, self._queue_list.read(), self._site_list.read()))

    def on_home_screen_read(self, event: Read) -> None:
        """Show the lists."""
        self._reading = False
        if (event.jobs, event.runs) != (self._jobs, self._runs) or not (event.jobs and event.runs):
            self._jobs, self._runs = event.jobs, event.runs
            self._show()
        if event.queue is not None or event.sites or self._service is not None:
            self._show_service(event.queue, event.sites)

    def _show_service(self, queue: list[QueueLine] | None, sites: list[SiteLine]) -> None:
        """Show a queue and sites, from when there are any."""
        if self._service is None:
            self._service = Service()
            self.mount(self._service, after="#lists")
            self.add_class("-service")
            self.refresh_bindings()
        self._service.show(queue, sites)
        hidden = self._service.summary if self.has_class("-narrow") else ""
        self._tables[1].border_subtitle = f"tab: {hidden}" if hidden else ""

    def _show(self) -> None:
        wanted = self.query_one("#filter", Input).value.casefold()
        jobs, runs = self._tables
        jobs.set_rows([_job_row(entry) for entry in self._jobs if wanted in entry.name.casefold()])
        runs.set_rows([_run_row(entry) for entry in self._runs if wanted in entry.folder.run.casefold()])
        looked = ", ".join(safe(str(folder)) for folder in self._places.jobs)
        jobs.placeholder = (
            "no job has that in its name" if wanted else f"no jobs in {looked}; fltui --jobs DIR looks elsewhere"
        )
        runs.placeholder = (
            "no run has that in its name" if wanted else f"no runs yet in {safe(str(self._places.runs))}; r runs a job"
        )

    @property
    def _tables(self) -> tuple[Table, Table]:
        return self.query_one("#jobs", Table), self.query_one("#runs", Table)

    @property
    def _job(self) -> JobEntry | None:
        key = self._tables[0].cursor_key
        return next((entry for entry in self._jobs if str(entry.path) == key), None)

    @property
    def _run(self) -> RunEntry | None:
        key = self._tables[1].cursor_key
        return next((entry for entry in self._runs if entry.folder.run == key), None)

    def show_doing(self, text: str) -> None:
        """Say what is being started; nothing for an empty text."""
        line = self.query_one("#doing", Static)
        line.update(text)
        line.display = bool(text)

    def on_table_selected(self, event: Table.Selected) -> None:
        """Open a job's page, or a run."""
        if self._service is not None and event.table in self._service.tables:
            line = self._service.line(event.key) if event.table is self._service.tables[0] else None
            if line is not None and line.run is not None and line.run.journal.is_file():
                self._host.open_run(line.run)
            elif line is not None:
                self._host.tell(line.reason or "it has no run yet")
        elif event.table is self._tables[0]:
            if self._job is not None:
                self.app.push_screen(JobScreen(self._job), self._begin)
        elif self._run is not None and self._run.status is not None:
            self._host.open_run(self._run.folder)
        elif self._run is not None:
            self._host.tell(self._run.reason, severity="error")

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
        job, run = self._job, self._run
        queued = self._service.tables[0] if self._service is not None else None
        if queued is not None and self.focused is queued:
            line = self._service.line(queued.cursor_key) if self._service is not None else None
            self._host.copy(str(line.folder.root) if line is not None else "")
        elif self.focused is self._tables[0] and job is not None:
            self._host.copy(str(job.path))
        elif run is not None:
            self._host.copy(str(run.folder.root))

    def action_other(self) -> None:
        """Go to the next list."""
        tables: list[Table] = [*self._tables, *(self._service.tables if self._service is not None else ())]
        shown = [table for table in tables if table.display]
        at = shown.index(self.focused) if isinstance(self.focused, Table) and self.focused in shown else 0
        self.set_class(shown[(at + 1) % len(shown)] not in self._tables, "-at-service")
        self.set_focus(shown[(at + 1) % len(shown)])  # at once: the next key may be there already

    def action_other_back(self) -> None:
        """Go to the list before."""
        for _ in range(sum(table.display for table in self.query(Table)) - 1):
            self.action_other()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """On a small screen there is room for two lists: those that one of them has the focus."""
        within = self._service is not None and event.widget in self._service.tables
        self.set_class(within, "-at-service")

    # The queue.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to submit to where there is no queue."""
        return self._queueing is not None if action == "submit" else super().check_action(action, parameters)

    @property
    def _queueing(self) -> Queueing | None:
        queue = self._queue_list.queue
        if queue is None or self._service is None or not self._service.tables[0].display:
            return None
        from fltui.console.screens.queueing import Queueing  # here: few have one

        return Queueing(self, self._host, queue, lambda problem: self.post_message(self.QueueChanged(problem)))

    def action_submit(self) -> None:
        """Submit the highlighted job to the queue."""
        if self._queueing is not None and self._job is not None:
            self._queueing.submit(self._job)

    def on_queue_table_wanted(self, event: QueueTable.Wanted) -> None:
        """Abort, clone or delete an entry."""
        line = self._service.line(event.key) if self._service is not None else None
        if self._queueing is not None and line is not None:
            self._queueing.change(event.change, line)

    def on_home_screen_queue_changed(self, event: QueueChanged) -> None:
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
        jobs, runs = self._tables
        self.set_focus(runs if runs.row_count else jobs)

    def action_stop(self) -> None:
        """Stop what is being started; else end the filter."""
        line = self.query_one("#filter", Input)
        if not self._host.stop_launching() and line.display:
            line.value = ""
            line.display = False
            self.set_focus(self._tables[0])


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
