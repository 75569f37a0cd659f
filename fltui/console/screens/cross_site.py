"""The cross-site screen: how well every model does on every site's data, while the rounds come in and afterwards."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from fltui.console.host import Host
from fltui.console.natural import natural
from fltui.console.runs.cross_site import GLOBAL, CrossSite, Sheet
from fltui.console.runs.view import RunView
from fltui.console.widgets.chooser import choose
from fltui.console.widgets.cross_site import BEST, CrossSiteView, Grid, model_name
from fltui.console.widgets.key_bar import KeyBar
from fltui.console.widgets.parts import Part, PartsLine, choice, value

_LOOK = 0.1
"""Seconds between two looks for something new."""

_FRAME = (8, 8)
"""Columns and lines of the box around the matrix: border, padding, and the lines above and below it."""

_LEAST_WIDTH = 56


class CrossSiteScreen(ModalScreen[None]):
    """Shows the matrix of a run.

    Args:
        host: the application.
        view: the run as the screen below shows it, which goes on to be filled.
    """

    AUTO_FOCUS = "CrossSiteView"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "next_metric(1)", "Metric", id="cross.metric", tooltip="Next metric"),
        Binding("M", "next_metric(-1)", "Metric before", show=False, id="cross.metric_before"),
        Binding("o", "choose('metric')", "Metrics", show=False, id="cross.metrics", tooltip="Choose a metric"),
        Binding("b", "turn", "Best", id="cross.best", tooltip="Mark the highest or the lowest of every site"),
        Binding("y", "copy", "Copy", id="cross.copy", tooltip="Copy the matrix, with tabs between the columns"),
        Binding("escape,q,x", "leave", "Back", id="cross.back", tooltip="Back to the run"),
    ]
    DEFAULT_CSS = """
    CrossSiteScreen > Vertical {
        width: 96%;
        height: 90%;
        border-title-color: $text-accent;
    }
    CrossSiteScreen PartsLine { padding: 0; }
    CrossSiteScreen #cross-top { margin: 0 0 1 0; }
    CrossSiteScreen #cross-bottom { margin: 1 0 0 0; }
    """

    def __init__(self, host: Host, view: RunView) -> None:
        super().__init__()
        self._host = host
        self._view = view
        self._metric = ""
        self._turned: set[str] = set()
        self._shown: object = None
        self._top = PartsLine(id="cross-top")
        self._matrix = CrossSiteView()
        self._bottom = PartsLine(id="cross-bottom")

    def compose(self) -> ComposeResult:
        """Metric, matrix, the value under the cursor."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Cross-site evaluation"
            yield self._top
            yield self._matrix
            yield self._bottom
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin to show."""
        self._look()
        self.set_interval(_LOOK, self._look)

    # What is shown.

    @property
    def view(self) -> RunView:
        """The run as the screen below shows it."""
        return self._view

    @property
    def _found(self) -> CrossSite:
        return self._view.remarks.cross_site

    @property
    def metric(self) -> str:
        """The metric that is shown; empty without any."""
        return self._metric if self._metric in self._found.sheets else next(iter(self._found.sheets), "")

    @property
    def _lowest(self) -> bool:
        return self._found.is_low_best(self.metric) != (self.metric in self._turned)

    def _look(self) -> None:
        """Show what is new, if there is anything."""
        found = self._found
        shown = (id(found), found.version, self.metric, self._lowest)
        if shown == self._shown:
            return
        self._shown = shown
        sheet = found.sheets.get(self.metric, Sheet())
        sites = sorted(found.sites, key=natural)
        models = sorted(found.models, key=lambda model: (model == GLOBAL, natural(model)))
        has_mean = any(GLOBAL in row for row in sheet.rows.values())
        self._matrix.show(Grid(sheet, models, [*sites, GLOBAL] if has_mean else sites, self._lowest))
        self._show_top()
        self._fit_box()

    def _show_top(self) -> None:
        found = self._found
        parts = [choice(self.metric or "no metric yet", "metric"), choice(self._best_words, "best")]
        count = len(found.models)
        parts.append(Part(((f"{count} model{'s' if count != 1 else ''}", "label"),), rank=2))
        if found.running is not None:
            name = model_name(found.running)
            parts.append(Part(((f"◐ {name} is being evaluated", "value"),), rank=1, right=True))
        self._top.show(parts)

    @property
    def _best_words(self) -> str:
        return f"{BEST} {'lowest' if self._lowest else 'highest'}"

    def _fit_box(self) -> None:
        """As large as the matrix needs, as far as there is room."""
        box, wanted = self.query_one(Vertical), self._matrix.wanted
        box.styles.width = max(_LEAST_WIDTH, wanted.width + _FRAME[0])
        bar = wanted.width + _FRAME[0] > self.size.width * 0.96
        box.styles.height = wanted.height + _FRAME[1] + bar

    def on_resize(self) -> None:
        """There may be more room, or less."""
        self.call_after_refresh(self._fit_box)

    def on_cross_site_view_moved(self, event: CrossSiteView.Moved) -> None:
        """Tell the value under the cursor, exactly."""
        event.stop()
        at = self._matrix.cursor
        if at is None:
            self._bottom.show([])
            return
        model, site = at
        found = self._found.sheets.get(self.metric, Sheet()).value(model, site)
        number = self._found.models.get(model)
        on = "on average" if site == GLOBAL else f"on {site}"
        whose = "global model" if model == GLOBAL else f"model of {model}"
        parts = [value(f"{whose} {on}:", "not evaluated" if found is None else f"{found:.6g}")]
        if number is not None:
            parts.append(value("round", str(number), rank=1))
        self._bottom.show(parts)

    # Choosing.

    def action_next_metric(self, step: int) -> None:
        """The metric after or before, around at both ends."""
        names = list(self._found.sheets)
        if names:
            self._set_metric(names[(names.index(self.metric) + step) % len(names)])

    def _set_metric(self, name: str) -> None:
        self._metric = name
        self._look()

    def action_choose(self, what: str) -> None:
        """Show a list of everything there is to choose from."""
        names = list(self._found.sheets)
        if what == "best":
            self.action_turn()
        elif names:
            choose(self, "Metric", names, names.index(self.metric), lambda place: self._set_metric(names[place]))

    def action_turn(self) -> None:
        """Take the other end of the values for the best."""
        self._turned ^= {self.metric}
        self._look()

    def on_parts_line_opened(self, event: PartsLine.Opened) -> None:
        """A click on a selector does what its key does."""
        event.stop()
        self.action_choose(event.name)

    def action_copy(self) -> None:
        """Copy the matrix as it would stand in a spreadsheet."""
        found, sheet = self._found, self._found.sheets.get(self.metric, Sheet())
        sites = sorted(found.sites, key=natural)
        lines = ["\t".join([self.metric, *sites])]
        for model in sorted(found.models, key=lambda name: (name == GLOBAL, natural(name))):
            values = (sheet.value(model, site) for site in sites)
            lines.append("\t".join([model_name(model), *("" if value is None else repr(value) for value in values)]))
        self._host.copy("\n".join(lines) if sheet.rows else "")

    def action_leave(self) -> None:
        """Back to the run."""
        self.dismiss(None)
