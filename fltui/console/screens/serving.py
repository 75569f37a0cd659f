"""The queue and the sites on the home screen, from when there are any. What is done to the queue: see `queueing`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from fltui.console.host import Host, Places
from fltui.console.runs.listing import JobEntry, RunEntry
from fltui.console.runs.presence import SiteLine, SiteList
from fltui.console.runs.queued import QueueList, QueueView
from fltui.console.screens.looking import Look
from fltui.console.widgets.service import QueueTable, Service
from fltui.console.widgets.table import Table

if TYPE_CHECKING:
    from fltui.console.screens.queueing import Queueing


class QueueRead(Message):
    """The queue was read; None where there is none."""

    def __init__(self, view: QueueView | None) -> None:
        super().__init__()
        self.view = view


class SitesRead(Message):
    """The sites were looked at."""

    def __init__(self, sites: list[SiteLine]) -> None:
        super().__init__()
        self.sites = sites


class QueueChanged(Message):
    """Something was done to the queue, or was not."""

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem


class Serving:
    """See the module.

    Args:
        screen: the home screen, which is told of what was read.
        host: the application.
        places: where to look.
    """

    def __init__(self, screen: Screen[None], host: Host, places: Places) -> None:
        self._screen = screen
        self._host = host
        self._list = QueueList(places.queue, places.runs)
        self._widget: Service | None = None
        self._acts: Queueing | None = None
        self._runs: Mapping[Path, RunEntry] = {}
        sites = SiteList(places.exchange)
        self._queue = Look(screen, lambda: QueueRead(self._list.read(self._runs)), "read-queue")
        self._sites = Look(screen, lambda: SitesRead(sites.read()), "read-sites")

    def look(self, runs: Mapping[Path, RunEntry] | None) -> None:
        """Look anew. The queue waits for the runs, which tell how its entries stand; None before they were read."""
        self._sites.start()
        if runs is not None:
            self._runs = runs
            self._queue.start()

    def show_queue(self, view: QueueView | None) -> None:
        """Show the queue as it is now."""
        if view is None and self._widget is None:
            return
        widget, had_one = self._shown(), self.has_queue
        widget.show_queue(view)
        if self.has_queue is not had_one:
            self._screen.refresh_bindings()
        self._tell_of_it(widget)

    def show_sites(self, sites: list[SiteLine]) -> None:
        """Show the sites as they are now."""
        if sites or self._widget is not None:
            widget = self._shown()
            widget.show_sites(sites)
            self._tell_of_it(widget)

    def _shown(self) -> Service:
        if self._widget is None:
            self._widget = Service()
            self._screen.mount(self._widget, after="#lists")
            self._screen.add_class("-service")
        return self._widget

    def _tell_of_it(self, widget: Service) -> None:
        """Where there is no room for it, say what tab leads to."""
        hidden = widget.summary if self._screen.has_class("-narrow") else ""
        self._screen.query_one("#runs").border_subtitle = f"tab: {hidden}" if hidden else ""

    @property
    def tables(self) -> list[Table]:
        """Those that are shown."""
        return self._widget.tables if self._widget is not None else []

    @property
    def has_queue(self) -> bool:
        """Whether there is a queue."""
        return self._widget is not None and self._widget.queue.display

    def path_at(self, focused: Widget | None) -> str | None:
        """The path of the highlighted entry; None where the focus is not on the queue."""
        if self._widget is None or focused is not self._widget.queue:
            return None
        line = self._widget.line(self._widget.queue.cursor_key)
        return str(line.folder.root) if line is not None else ""

    def submit(self, job: JobEntry | None) -> None:
        """Submit a job to the queue."""
        if self._queueing is not None and job is not None:
            self._queueing.submit(job)

    def change(self, event: QueueTable.Wanted) -> None:
        """Abort, clone or delete an entry."""
        line = self._widget.line(event.key) if self._widget is not None else None
        if self._queueing is not None and line is not None:
            self._queueing.change(event.change, line)

    def open(self, event: Table.Selected) -> None:
        """Show the run of an entry."""
        if self._queueing is not None and self._widget is not None and event.table is self._widget.queue:
            self._queueing.open(self._widget.line(event.key))

    @property
    def _queueing(self) -> Queueing | None:
        """What is done to the queue; None where there is none."""
        queue = self._list.queue
        if self._acts is None and queue is not None and self.has_queue:
            from fltui.console.screens.queueing import Queueing  # here: few have a queue

            def changed(problem: str) -> None:
                self._screen.post_message(QueueChanged(problem))

            self._acts = Queueing(self._screen, self._host, queue, changed)
        return self._acts if self.has_queue else None
