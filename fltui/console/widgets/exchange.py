"""The exchange folder of a run as a tree that follows the disk, and a look into the chosen file."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.worker import get_current_worker

from fltui.console.exchange.preview import Preview, preview
from fltui.console.exchange.tree import Hints, Kind, Node, Tree, Wanted, scan
from fltui.console.runs.view import RunView
from fltui.console.safe import safe
from fltui.console.widgets.columns import Column
from fltui.console.widgets.panel import Panel
from fltui.console.widgets.preview import PreviewView
from fltui.console.widgets.table import Cell, Row, Table
from fltui.exchange.sizes import size_text

_TICK = 0.1
"""Seconds between two looks at what the file system's events said."""

_RESCAN = 2.0
"""Seconds after which the disk is looked at without any event, too."""

_FOREIGN = "~ "
"""Stands before the name of what is not of the run that is shown."""

_BESIDE = 100
"""Columns from which the preview stands beside the tree, and those where there are too few lines for both."""
_BESIDE_WHEN_LOW, _LOW = 60, 14


class ExchangePanel(Panel):
    """The tree on the left or on top, the preview on the right or below."""

    DEFAULT_CSS = """
    ExchangePanel {
        layout: vertical;

        & > Table { width: 1fr; height: 1fr; }
        & > PreviewView { width: 1fr; height: 1fr; border-top: solid $panel; }
        & > PreviewView:focus { border-top: solid $border; }
        &.-beside { layout: horizontal; }
        &.-beside > Table { width: 3fr; }
        &.-beside > PreviewView { width: 4fr; border-top: none; border-left: solid $panel; }
        &.-beside > PreviewView:focus { border-left: solid $border; }
        &.-tree-only > PreviewView { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "others", "Other runs", id="exchange.others", tooltip="Show or hide what is not of this run"),
        Binding(
            "h", "parent", "Close folder", show=False, id="exchange.parent", tooltip="Close it, or go to its folder"
        ),
    ]

    class Scanned(Message):
        """The open folders were looked at."""

        def __init__(self, tree: Tree) -> None:
            super().__init__()
            self.tree = tree

    class Read(Message):
        """A file was looked into; `node` is as it was before."""

        def __init__(self, root: Path, node: Node, found: Preview) -> None:
            super().__init__()
            self.root = root
            self.node = node
            self.found = found

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._wanted: Wanted | None = None
        self._tree: Tree | None = None
        self._found: list[Node] = []
        self._chosen: tuple[Path, Node] | None = None
        self._scanning = self._reading = False
        self._scanned_at = -_RESCAN
        self._stirred = True
        self._hints = Hints(self._stir)
        self._table = Table(_COLUMNS, placeholder="the exchange folder is not known yet")
        self._preview = PreviewView()

    def compose(self) -> ComposeResult:
        """Tree and preview."""
        yield self._table
        yield self._preview

    def on_mount(self) -> None:
        """Look at the disk as long as the panel can be seen."""
        self.set_interval(_TICK, self._look)

    async def on_unmount(self) -> None:
        """Stop watching."""
        await asyncio.to_thread(self._hints.close)

    def on_resize(self, event: events.Resize) -> None:
        """Beside each other or one above the other, as there is room."""
        width, height = event.size
        beside = width >= _BESIDE or (height < _LOW and width >= _BESIDE_WHEN_LOW)
        self.set_class(beside, "-beside")
        self.set_class(height < (3 if beside else 9) or width < 20, "-tree-only")

    def show_run(self, view: RunView) -> None:
        """See `Panel.show_run`."""
        state, before = view.state, self._wanted
        if not state.exchange:
            return
        known = before is not None and (before.run, before.root) == (state.run, view.exchange_folder)
        if before is not None and known and len(before.sites) == len(state.sites):
            return
        sites = frozenset(state.sites)
        if before is not None and known:
            self._want(replace(before, sites=sites))
        else:
            self._want(Wanted(view.exchange_folder, state.run, sites))

    def copied(self) -> str:
        """The path under the cursor, as harmless text."""
        found, wanted = self._node, self._wanted
        return safe(str(wanted.root.joinpath(*found.parts))) if found is not None and wanted is not None else ""

    # Looking at the disk.

    def _stir(self) -> None:
        """Called from the observer's thread, for every event of a folder: a flag, nothing more."""
        self._stirred = True

    def _want(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._stirred = True
        self._look()

    def _look(self) -> None:
        due = self._stirred or time.monotonic() - self._scanned_at >= _RESCAN
        if self._wanted is None or self._scanning or not due or not self.is_on_screen:
            return
        self._scanning, self._stirred = True, False
        wanted = self._wanted
        self.run_worker(lambda: self._scan(wanted), thread=True, group="scan")

    def _scan(self, wanted: Wanted) -> None:
        worker = get_current_worker()
        tree = scan(wanted, lambda: worker.is_cancelled)
        self._hints.watch(tree)
        self.post_message(self.Scanned(tree))

    def on_exchange_panel_scanned(self, event: Scanned) -> None:
        """Show what was found, unless something else is wanted by now."""
        event.stop()
        self._scanning = False
        self._scanned_at = time.monotonic()
        if event.tree.wanted != self._wanted:
            self._look()
        elif event.tree != self._tree:
            self._show_tree(event.tree)

    def _show_tree(self, tree: Tree) -> None:
        self._tree, self._found = tree, tree.nodes
        self._table.placeholder = tree.problem
        self._table.set_keys([node.key for node in tree.nodes], self._row)
        self._look_into()

    # The tree.

    @property
    def _node(self) -> Node | None:
        place = self._table.cursor
        return self._found[place] if place < len(self._found) else None

    def _row(self, place: int) -> Row:
        node = self._found[place]
        mark = {Kind.FOLDER: "▾ " if node.opened else "▸ ", Kind.MORE: ""}.get(node.kind, "  ")
        style = "" if node.own else "muted"
        if not node.own and node.kind is not Kind.MORE:
            mark += _FOREIGN
        match node.kind:
            case Kind.FOLDER:
                about = f"+{node.hidden:,} other" if node.hidden else ""
            case Kind.FILE:
                about = size_text(node.size)
            case Kind.MORE:
                about = ""
            case Kind.LINK:
                style, about = "warning", "link"
            case kind:
                style, about = "warning", str(kind)
        return Row(node.key, (Cell(f"{'  ' * node.depth}{mark}{node.name}", style), Cell(about, "muted")))

    def _toggle(self, node: Node) -> None:
        wanted = self._wanted
        if wanted is None or node.kind not in (Kind.FOLDER, Kind.UNREADABLE):
            return
        opened, closed = set(wanted.opened), set(wanted.closed)
        (closed if node.opened else opened).add(node.key)
        (opened if node.opened else closed).discard(node.key)
        self._want(replace(wanted, opened=frozenset(opened), closed=frozenset(closed)))

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Look into the file under the cursor."""
        event.stop()
        self._look_into()

    def on_table_selected(self, event: Table.Selected) -> None:
        """Open or close a folder; go to the preview of a file."""
        event.stop()
        node = self._node
        if node is not None and node.kind is Kind.FOLDER:
            self._toggle(node)
        elif node is not None and self._preview.display:
            self._preview.focus(scroll_visible=False)

    def on_preview_view_left(self, event: PreviewView.Left) -> None:
        """Back to the tree."""
        event.stop()
        self._table.focus(scroll_visible=False)

    def action_parent(self) -> None:
        """Close the folder under the cursor; else go to the folder that it lies in."""
        node = self._node
        if node is None:
            return
        if node.opened:
            self._toggle(node)
        elif node.kind is Kind.MORE or len(node.parts) > 1:
            self._table.go_to_key("/".join(node.parts if node.kind is Kind.MORE else node.parts[:-1]))

    def action_others(self) -> None:
        """Show or hide what is not of this run."""
        if self._wanted is not None:
            self._want(replace(self._wanted, others=not self._wanted.others))

    # The preview.

    def _look_into(self) -> None:
        """Read the file under the cursor, unless it is being read or shown as it is now."""
        node, wanted = self._node, self._wanted
        if node is None or wanted is None:
            self._chosen = None
            self._preview.show(Preview("", ""))
        elif self._chosen != (wanted.root, node):
            self._chosen = (wanted.root, node)
            self._read_next()

    def _read_next(self) -> None:
        """One thread reads at a time: whoever runs through the tree waits for one file, not for each."""
        if self._reading or self._chosen is None:
            return
        self._reading = True
        root, node = self._chosen
        self.run_worker(lambda: self._read(root, node), thread=True, group="preview")

    def _read(self, root: Path, node: Node) -> None:
        self.post_message(self.Read(root, node, preview(root, node)))

    def on_exchange_panel_read(self, event: Read) -> None:
        """Show it, if the cursor is still there."""
        event.stop()
        self._reading = False
        if (event.root, event.node) == self._chosen:
            self._preview.show(event.found)
        else:
            self._read_next()


_COLUMNS = [Column("name", "name", least=12), Column("about", "size", 10, "right", rank=1)]
