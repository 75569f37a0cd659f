"""A server that stays up, on the home screen: the queue, and the sites of the exchange that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message

from fltui.console.runs.presence import SiteLine
from fltui.console.runs.queued import QueueLine, QueueView
from fltui.console.safe import safe
from fltui.console.widgets.table import Cell, Column, Row, Table
from fltui.console.words import entry_words, site_words
from fltui.queue.entries import Standing

Change = Literal["abort", "clone", "delete"]


class QueueTable(Table):
    """The entries of a queue, and the keys that change them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "change('abort')", "Abort", id="queue.abort", tooltip="End the highlighted entry (asks)"),
        Binding("c", "change('clone')", "Clone", id="queue.clone", tooltip="Submit the entry's job once more (asks)"),
        Binding("d", "change('delete')", "Delete", id="queue.delete", tooltip="Delete an entry (asks); its run stays"),
    ]

    class Wanted(Message):
        """A person wants to change an entry."""

        def __init__(self, change: Change, key: str) -> None:
            super().__init__()
            self.change = change
            self.key = key

    def action_change(self, change: Change) -> None:
        """Say what is wanted of the highlighted entry."""
        if self.cursor_key is not None:
            self.post_message(self.Wanted(change, self.cursor_key))


class Service(Horizontal):
    """The queue on the left, the sites on the right; what there is none of is not shown."""

    DEFAULT_CSS = """
    Service {
        height: 1fr;
        max-height: 16;

        & > #queue { width: 2fr; }
        & > #sites { width: 1fr; min-width: 36; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="service")
        self.queue = QueueTable(_QUEUE_COLUMNS, id="queue")
        self.sites = Table(_SITE_COLUMNS, id="sites")
        self.queue.display = self.sites.display = False
        self._lines: dict[str, QueueLine] = {}

    def compose(self) -> ComposeResult:
        """Two tables."""
        yield self.queue
        yield self.sites

    def on_mount(self) -> None:
        """Name the sites; the queue's title counts."""
        self.sites.border_title = "Sites"

    @property
    def tables(self) -> list[Table]:
        """Those that are shown."""
        return [table for table in (self.queue, self.sites) if table.display]

    @property
    def summary(self) -> str:
        """What there is, in a few words."""
        sites = f"{self.sites.row_count} sites" if self.sites.display else ""
        return ", ".join(filter(None, ["queue" if self.queue.display else "", sites]))

    def show_queue(self, view: QueueView | None) -> None:
        """Show a queue as it is now; None where there is none."""
        self.queue.display = view is not None
        lines = view.lines if view is not None else []
        self._lines = {line.folder.id: line for line in lines}
        places = iter(range(1, len(lines) + 1))
        self.queue.set_rows([_queue_row(line, places) for line in lines])
        fault = view.fault if view is not None else ""
        self.queue.placeholder = fault or "the queue is empty; u submits the highlighted job"
        waiting = sum(line.standing is Standing.WAITING for line in lines)
        running = sum(line.standing is Standing.RUNNING for line in lines)
        self.queue.border_title = f"Queue · {running} running, {waiting} waiting" if lines else "Queue"

    def show_sites(self, sites: list[SiteLine]) -> None:
        """Show the sites of the exchange as they are now."""
        self.sites.display = bool(sites)
        self.sites.set_rows([_site_row(line) for line in sites])

    def line(self, key: str | None) -> QueueLine | None:
        """The entry of a row."""
        return self._lines.get(key or "")


_QUEUE_COLUMNS = [
    Column("place", "", width=3, align="right", rank=3),
    Column("state", "state", width=12),
    Column("job", "job", least=12, most=36),
    Column("id", "entry", width=5, rank=1),
    Column("sites", "sites", least=8, most=30, rank=2),
    Column("reason", "", least=10, rank=4),
]

_SITE_COLUMNS = [
    Column("site", "site", least=8, most=24),
    Column("state", "state", width=11),
    Column("heard", "heard", width=8, align="right", rank=1),
    Column("run", "run", width=5, rank=2),
    Column("reason", "", least=10, rank=3),
]


def _queue_row(line: QueueLine, places: Iterator[int]) -> Row:
    glyph, word, style = entry_words(line.standing, line.status)
    place = str(next(places)) if line.standing is Standing.WAITING else ""
    cells = (
        Cell(place, "muted"),
        Cell(f"{glyph} {word}", style),
        Cell(line.job or safe(line.folder.id)),
        Cell(f"#{safe(line.folder.id).rpartition('-')[2][:8]}" if line.job else "", "muted"),
        Cell(line.sites),
        Cell(line.reason, "muted"),
    )
    return Row(line.folder.id, cells)


def _site_row(line: SiteLine) -> Row:
    glyph, word, style = site_words(line.state, silent=line.silent)
    heard = "never" if line.heard is None else f"{int(line.heard)} s ago" if line.heard >= 2 else "now"
    cells = (
        Cell(safe(line.name)),
        Cell(f"{glyph} {word}", style),
        Cell(heard, "muted"),
        Cell(f"#{line.run.rpartition('-')[2][:8]}" if line.run else "", "muted"),
        Cell(line.reason, "muted"),
    )
    return Row(line.name, cells)
