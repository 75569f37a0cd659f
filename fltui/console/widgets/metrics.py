"""The metrics of a run: a plot for each, tiled as there is room."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fltui.console.plots.plot import MARKS, MOST_LINES, Ink, Plot, Row, Values, draw
from fltui.console.runs.series import GLOBAL, MOST_METRICS, Line
from fltui.console.runs.view import RunView
from fltui.console.widgets.columns import cut
from fltui.console.widgets.panel import Panel
from fltui.console.widgets.sentence import sentence_line

EMPTY = "no metrics yet: scripts send them with FLModel(metrics=...) or flare.log()"

_HEAD = 2
"""Lines of a tile above its plot: what it is, and what its lines are."""

_GAP = 2
"""Cells between two tiles; one line is empty below each but the last."""

_LEAST_WIDTH = 34
_LEAST_HEIGHT, _GOOD_HEIGHT = 9, 14
_MOST_COLUMNS = 3
_COLOURS = 4
"""Colours that the lines of sites share; their marks tell them apart."""


@dataclass
class _Tile:
    """One plot.

    Attributes:
        unit: what its values are counted by, ``round`` or ``step``.
        metric: what is plotted.
        drawn: what the rows show, to be compared with what they should show.
        rows: the plot.
        values: what is said on its first line: one value, or the lowest and the highest of the sites'.
        note: the round or the step of these values.
        legend: mark, text and ink of each kind of line, for its second line.
    """

    unit: str
    metric: str
    drawn: object = None
    rows: list[Row] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    note: str = ""
    legend: list[tuple[str, str, int]] = field(default_factory=list)


_Wanted = tuple[_Tile, object, Line | None, dict[int, Line], float | None, Size]


class PlotGrid(ScrollView, can_focus=True, inherit_bindings=False):
    """The plots. Only those that can be seen are drawn, in a thread, and again when their values changed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "metrics--metric",
        "metrics--value",
        "metrics--note",
        "metrics--axis",
        "metrics--band",
        "metrics--chosen",
        "metrics--global",
        *(f"metrics--site-{number + 1}" for number in range(_COLOURS)),
    }
    DEFAULT_CSS = """
    PlotGrid {
        height: 1fr;
        padding: 0 1;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;

        & > .metrics--metric { color: $foreground; text-style: bold; }
        & > .metrics--value { color: $text-primary; text-style: bold; }
        & > .metrics--note { color: $text-muted; }
        & > .metrics--axis { color: $foreground 40%; }
        & > .metrics--band { color: $foreground 30%; }
        & > .metrics--chosen { color: $foreground 40%; }
        & > .metrics--global { color: $text-primary; text-style: bold; }
        & > .metrics--site-1 { color: $text-accent 70%; }
        & > .metrics--site-2 { color: $text-success 70%; }
        & > .metrics--site-3 { color: $text-error 70%; }
        & > .metrics--site-4 { color: $text-secondary 70%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Scroll up", show=False, id="metrics.up"),
        Binding("down,j", "scroll_down", "Scroll down", show=False, id="metrics.down"),
        Binding("pageup", "page_up", "Page up", show=False, id="metrics.page_up"),
        Binding("pagedown", "page_down", "Page down", show=False, id="metrics.page_down"),
        Binding("home", "scroll_home", "First plot", show=False, id="metrics.home"),
        Binding("end", "scroll_end", "Last plot", show=False, id="metrics.end"),
    ]

    PAUSE: ClassVar[float] = 0.2
    """Seconds between two drawings at least."""

    class Drawn(Message):
        """Plots that a thread has drawn."""

        def __init__(self, plots: list[tuple[_Tile, object, list[Row]]]) -> None:
            super().__init__()
            self.plots = plots

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._tiles: list[_Tile] = []
        self._seen: object = None
        self._columns = 1
        self._tile_height = _LEAST_HEIGHT
        self._busy = False
        self._styles: dict[str, Style] = {}

    # What is shown.

    def show_run(self, view: RunView) -> None:
        """Show `view`; nothing is done if it has not changed."""
        seen = (id(view.series), view.state.events, view.chosen)
        if seen == self._seen:
            return
        self._view, self._seen = view, seen
        found = [("round", metric) for metric in view.series.by_round]
        found += [("step", metric) for metric in view.series.by_step]
        if found != [(tile.unit, tile.metric) for tile in self._tiles]:
            known = {(tile.unit, tile.metric): tile for tile in self._tiles}
            self._tiles = [known.get(name) or _Tile(*name) for name in found]
            self._arrange()
        self._plan()

    @property
    def is_drawing(self) -> bool:
        """Whether plots are being drawn, or were a moment ago."""
        return self._busy

    def values(self) -> str:
        """A line ``metric value`` for every metric of rounds; empty without any."""
        tiles = [tile for tile in self._tiles if tile.unit == "round"]
        for tile in tiles:
            self._tell(tile)
        return "\n".join(f"{tile.metric} {_values_text(tile.values, 6)}" for tile in tiles)

    def _lines(self, tile: _Tile) -> dict[str, Line]:
        if self._view is None:
            return {}
        series = self._view.series
        return (series.by_round if tile.unit == "round" else series.by_step).get(tile.metric, {})

    def _numbers(self, sites: Iterable[str]) -> dict[str, int]:
        """The number that gives a site its mark: the same in all plots, unless there are more sites than marks."""
        known = list(self._view.state.sites) if self._view is not None else []
        if len(known) <= len(MARKS) and set(sites) <= set(known):
            return {site: known.index(site) for site in sites}
        return {site: number for number, site in enumerate(sites)}

    def _tell(self, tile: _Tile) -> None:
        """Put the tile's value and its legend into words."""
        lines = self._lines(tile)
        sites = [site for site in lines if site != GLOBAL]
        main = [lines[GLOBAL]] if GLOBAL in lines else [lines[site] for site in sites]
        chosen = self._view.chosen if self._view is not None and tile.unit == "round" else None
        at = max((line.xs[-1] for line in main if line.xs), default=None) if chosen is None else float(chosen)
        found = [value for line in main if (value := _value_at(line, at, exact=tile.unit == "round")) is not None]
        finite = [value for value in found if math.isfinite(value)]
        tile.values = sorted({min(finite), max(finite)}) if finite else found[:1]
        tile.note = "" if at is None else f"{tile.unit} {at:.12g}"
        tile.legend = [("━", "global", int(Ink.GLOBAL))] if GLOBAL in lines else []
        if len(sites) > MOST_LINES:
            tile.legend.append(("⣿", f"lowest to highest of {len(sites)} sites", int(Ink.BAND)))
        else:
            numbered = sorted((number, site) for site, number in self._numbers(sites).items())
            tile.legend += [(MARKS[number], site, Ink.SITE + number) for number, site in numbered]

    # Drawing.

    def _arrange(self) -> None:
        """Choose how many plots stand side by side: few, as lines want to be wide, but not so few that all are flat."""
        width, height = self.size
        most = max(1, min(_MOST_COLUMNS, width // _LEAST_WIDTH, len(self._tiles)))
        fitting = [
            columns
            for least in (_GOOD_HEIGHT, _LEAST_HEIGHT)
            for columns in range(1, most + 1)
            if self._rows_of(columns) * least <= height + 1
        ]
        self._columns = fitting[0] if fitting else most
        rows = self._rows_of(self._columns)
        most_height = max(_GOOD_HEIGHT, self._tile_width // 2)  # a square, as cells are
        self._tile_height = max(_LEAST_HEIGHT, min(most_height, (height + 1) // max(1, rows)))
        self.virtual_size = Size(width, max(0, rows * self._tile_height - 1))
        self.refresh()

    def _rows_of(self, columns: int) -> int:
        return -(-len(self._tiles) // columns)

    @property
    def _tile_width(self) -> int:
        return max(1, (self.size.width - _GAP * (self._columns - 1)) // self._columns)

    def _plan(self) -> None:
        """Have the plots drawn that can be seen and are not as they should be."""
        if self._busy or self._view is None or not self.size:
            return
        first = self.scroll_offset.y // self._tile_height * self._columns
        last = -(-(self.scroll_offset.y + self.size.height) // self._tile_height) * self._columns
        wanted = list(filter(None, map(self._wanted, self._tiles[first:last])))
        if wanted:
            self._busy = True
            # The description is not for people: without one Textual makes it out of all values, which takes seconds.
            self.run_worker(partial(self._draw, wanted), thread=True, group="plots", description="draws plots")
            self.refresh()

    def _wanted(self, tile: _Tile) -> _Wanted | None:
        self._tell(tile)
        size = Size(self._tile_width, self._tile_height - _HEAD - 1)
        lines = {site: line for site, line in self._lines(tile).items() if line.xs}
        chosen = self._view.chosen if self._view is not None and tile.unit == "round" else None
        numbers = self._numbers([site for site in lines if site != GLOBAL])
        ends = [(site, len(line.xs), line.xs[-1], line.ys[-1]) for site, line in lines.items()]
        key = (size, chosen, tuple(numbers.values()), repr(ends))  # as text: NaN is not equal to itself
        if key == tile.drawn:
            return None
        return tile, key, lines.get(GLOBAL), {number: lines[site] for site, number in numbers.items()}, chosen, size

    def _draw(self, wanted: list[_Wanted]) -> None:
        """In a thread: a plot takes 2 to 40 ms, and the first one loads plotext. Lines may grow meanwhile."""
        drawn = []
        for tile, key, overall, sites, chosen, size in wanted:
            values = {number: _copy(line) for number, line in sites.items()}
            plot = Plot(None if overall is None else _copy(overall), values, chosen)
            drawn.append((tile, key, draw(plot, *size)))
        self.post_message(self.Drawn(drawn))

    def on_plot_grid_drawn(self, event: Drawn) -> None:
        """Show new plots, then rest for a moment."""
        event.stop()
        for tile, key, rows in event.plots:
            tile.drawn, tile.rows = key, rows
        self.refresh()
        self.set_timer(self.PAUSE, self._rested)

    def _rested(self) -> None:
        self._busy = False
        self._plan()

    def on_resize(self) -> None:
        """Tile anew."""
        self._arrange()
        self._plan()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other plots are seen now."""
        super().watch_scroll_y(old_value, new_value)
        self._plan()

    # Rendering.

    def render_line(self, y: int) -> Strip:
        """One line across all tiles that stand side by side."""
        width = self.size.width
        if not self._tiles:
            return sentence_line(EMPTY, y, width, self._style("note"), margin=0)
        row, inner = divmod(y + self.scroll_offset.y, self._tile_height)
        tiles = self._tiles[row * self._columns : (row + 1) * self._columns]
        gap = Strip.blank(_GAP, self.rich_style)
        strips: list[Strip] = []
        for tile in tiles:
            strips += [gap] if strips else []
            line = Strip(self._tile_line(tile, inner))
            strips.append(line.adjust_cell_length(self._tile_width, self.rich_style))
        return Strip.join(strips).adjust_cell_length(width, self.rich_style)

    def _tile_line(self, tile: _Tile, inner: int) -> list[Segment]:
        if inner == 0:
            return self._title(tile)
        if inner == 1:
            return self._legend(tile)
        if inner - _HEAD < len(tile.rows):
            return [Segment(text, self._ink(ink)) for text, ink in tile.rows[inner - _HEAD]]
        return []

    def _title(self, tile: _Tile) -> list[Segment]:
        """Metric, values, round; where there is no room the round is left out first, then the metric is cut."""
        values = f" {_values_text(tile.values, 4)}"
        note = f" · {tile.note}" if tile.note else ""
        if cell_len(tile.metric + values + note) > self._tile_width:
            note = ""
        return [
            Segment(
                cut(tile.metric, max(4, self._tile_width - cell_len(values))),
                self._style("metric"),
            ),
            Segment(values, self._style("value")),
            Segment(note, self._style("note")),
        ]

    def _legend(self, tile: _Tile) -> list[Segment]:
        """As many entries as fit, and how many do not."""
        style, width = self._style("note"), self._tile_width
        entries = [(mark, f" {cut(text, max(4, width - 8))}", ink) for mark, text, ink in tile.legend]
        lengths = [1 + cell_len(text) for _, text, _ in entries]
        gap = 2 if sum(lengths) + 2 * (len(entries) - 1) <= width else 1
        count = _fitting(lengths, gap, width)
        segments: list[Segment] = []
        for mark, text, ink in entries[:count]:
            segments += [Segment(mark, self._ink(ink)), Segment(text + " " * gap, style)]
        return [*segments, Segment(f"+{len(entries) - count}", style)] if count < len(entries) else segments

    def _style(self, name: str) -> Style:
        """The style of a component class, looked up once as long as styles do not change."""
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(f"metrics--{name}")
        return self._styles[name]

    def notify_style_update(self) -> None:
        """Another theme, or the like."""
        super().notify_style_update()
        self._styles.clear()

    def _ink(self, ink: int) -> Style:
        if ink >= Ink.SITE:
            return self._style(f"site-{(ink - Ink.SITE) % _COLOURS + 1}")
        if not ink:
            return self.rich_style
        return self._style(f"{Ink(ink).name.lower()}")


class MetricsPanel(Panel):
    """A plot for every metric: the model as a whole, and every site. Its border says what is left out."""

    _view: RunView | None = None
    _left_out = 0

    def compose(self) -> ComposeResult:
        """The plots."""
        yield PlotGrid()

    def show_run(self, view: RunView) -> None:
        """Show the metrics of `view`; see `Panel.show_run`."""
        self._view = view
        self.query_one(PlotGrid).show_run(view)
        if view.series.left_out != self._left_out:
            self._left_out = view.series.left_out
            most = f"the first {MOST_METRICS} metrics are shown"
            self.border_subtitle = f"{most}, not {self._left_out:,} values of others" if self._left_out else ""

    def copied(self) -> str:
        """The values that are shown; without any, where all of them are kept."""
        return self.query_one(PlotGrid).values() or (str(self._view.folder.metrics) if self._view else "")


def _fitting(lengths: list[int], gap: int, width: int) -> int:
    """How many entries fit beside one another, with the number of the others behind them."""
    for count in range(len(lengths), 0, -1):
        rest = gap + len(f"+{len(lengths) - count}") if count < len(lengths) else 0
        if sum(lengths[:count]) + gap * (count - 1) + rest <= width:
            return count
    return 0


def _copy(line: Line) -> Values:
    """The values so far of a line to which another thread may add: each copy is made in one step."""
    xs, ys = line.xs[:], line.ys[:]
    return xs[: len(ys)], ys[: len(xs)]


def _values_text(values: list[float], digits: int) -> str:
    return " to ".join(f"{value:.{digits}g}" for value in values) or "-"


def _value_at(line: Line, x: float | None, *, exact: bool) -> float | None:
    """The value at `x`, or the last one where it need not be there; the end is looked at first."""
    if not line.xs or x is None:
        return None
    if not exact or line.xs[-1] == x:
        return line.ys[-1]
    try:
        return line.ys[line.xs.index(x)]
    except ValueError:
        return None
