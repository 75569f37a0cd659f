"""The sites of a run: what each is doing, or what it did in a round a person looks at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from fltui.console.amounts import duration_text, value_text
from fltui.console.natural import natural
from fltui.console.pace import LONGEST
from fltui.console.runs.view import RunView
from fltui.console.widgets.columns import Column
from fltui.console.widgets.panel import Panel
from fltui.console.widgets.table import Cell, Row, Table
from fltui.run.state import RoundState, SiteState

_STATES = {
    "expected": ("·", "expected", "muted"),
    "ready": ("○", "ready", ""),
    "training": ("◐", "training", "running"),
    "sent": ("✓", "sent", "success"),
    "rejected": ("✗", "rejected", "error"),
    "lost": ("⊘", "lost", "error"),
}
_DROPPED = ("⊘", "dropped", "warning")
_ANSWERED = ("✓", "answered", "success")
_SILENT = ("◌", "no answer", "warning")
_NOT_ASKED = ("–", "not asked", "muted")  # noqa: RUF001 - a dash

_STALE = "~"
"""Stands before a metric of an earlier round."""

_METRICS = 8
"""Metrics that get a column at most; a site may report any number."""

_TICK = 0.2
"""Seconds between two looks at the clock while sites train."""

_STANDS = LONGEST + 0.1
"""Seconds after which the clock goes on in what is shown. Where rounds pour, it is shown anew before that: the table is
not drawn twice, and a round that is long over does not count on."""


@dataclass(frozen=True)
class SiteLine:
    """What is shown of one site.

    Attributes:
        name: of the site.
        glyph, word, style: its state.
        round: the round that the line is about; None before the first.
        seconds: from the round's start until its answer, or until now; None if unknown.
        metrics: by name.
        fresh: whether the metrics are of that round.
        count: results that counted; of a past round, the weight in its model.
        reason: why it is lost or rejected.
    """

    name: str
    glyph: str
    word: str
    style: str
    round: int | None = None
    seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    fresh: bool = True
    count: str = ""
    reason: str = ""


def line_of(view: RunView, name: str) -> SiteLine:
    """The line of a site: as it is now, or as it was in the past round that `view` shows."""
    site = view.state.sites.get(name, SiteState())
    if _is_past(view) and view.round_state is not None:
        return _past_line(view.round_state, name)
    return _live_line(view, name, site)


def _is_past(view: RunView) -> bool:
    return view.chosen is not None and view.chosen != view.newest


def _live_line(view: RunView, name: str, site: SiteState) -> SiteLine:
    found = view.state.rounds.get(site.round) if site.round is not None else None
    state = _STATES.get(site.state, ("?", site.state, ""))
    training = site.state == "training"
    if training and view.state.status.is_finished:
        state, training = _SILENT, False
    elif training and found is not None and found.finished is not None:
        state, training = _SILENT, False  # it may train on, but nobody waits for it
    elif site.state == "lost" and site.dropped:
        state = _DROPPED
    passed = site.state in ("ready", "sent", "rejected") and _is_passed_over(view, name)
    if passed:
        return SiteLine(name, *_NOT_ASKED, site.round, None, site.metrics, fresh=False, count=str(site.results))
    seconds = _seconds(found, name)
    if training and found is not None:
        seconds = _waiting(view, found)
    return SiteLine(
        name,
        *state,
        round=site.round,
        seconds=seconds,
        metrics=site.metrics,
        fresh=found is not None and name in found.accepted,
        count=str(site.results),
        reason=site.reason if site.state in ("rejected", "lost") else "",
    )


def _is_passed_over(view: RunView, name: str) -> bool:
    """Whether the newest round asks others, and not this site."""
    newest = view.state.rounds.get(view.newest) if view.newest is not None else None
    return newest is not None and name not in newest.started.sites


def _past_line(found: RoundState, name: str) -> SiteLine:
    number = found.started.round
    if (accepted := found.accepted.get(name)) is not None:
        weights = found.finished.weights if found.finished is not None else {}
        count = f"{weights.get(name, accepted.weight):.6g}"
        return SiteLine(name, *_ANSWERED, number, _seconds(found, name), accepted.metrics, count=count)
    if (rejected := found.rejected.get(name)) is not None:
        return SiteLine(name, *_STATES["rejected"], number, _seconds(found, name), reason=rejected.reason)
    return SiteLine(name, *(_SILENT if name in found.started.sites else _NOT_ASKED), number)


def _seconds(found: RoundState | None, name: str) -> float | None:
    """From the round's start until the site's answer; None without one, or if the clock began anew in between."""
    if found is None:
        return None
    answer = found.accepted.get(name) or found.rejected.get(name)
    seconds = answer.monotonic - found.started.monotonic if answer else -1.0
    return seconds if seconds >= 0 else None


def _waiting(view: RunView, found: RoundState) -> float:
    """From the round's start until now; of a run that nobody here holds, until its last event."""
    state = view.state
    seconds = state.monotonic_start + state.seconds - found.started.monotonic
    if view.alive and not view.played and found.started.time:
        seconds = max(seconds, time.time() - found.started.time)
    return max(0.0, seconds)


class SitesPanel(Panel):
    """A row per site."""

    DEFAULT_CSS = """
    SitesPanel { layout: vertical; }
    SitesPanel > Table { height: 1fr; }
    SitesPanel > Static { display: none; height: auto; max-height: 3; padding: 0 1; color: $text-error; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._view: RunView | None = None
        self._shown: tuple[object, ...] = ()
        self._since = 0.0
        self._known: list[str] = []
        self._names: list[str] = []
        self._metrics: list[str] = []
        self._table = Table(_columns([], past=False, longest=4), placeholder="no sites yet")
        self._reason = Static(markup=False)

    def compose(self) -> ComposeResult:
        """The table, and why the highlighted site is out."""
        yield self._table
        yield self._reason

    def on_mount(self) -> None:
        """Count the seconds of sites that train."""
        self.set_interval(_TICK, self._tick)

    @property
    def site(self) -> str:
        """The highlighted site; empty without one."""
        return self._table.cursor_key or ""

    def copied(self) -> str:
        """Why the highlighted site is out; else its name."""
        return self._why or self.site

    def show_run(self, view: RunView) -> None:
        """See `Panel.show_run`."""
        state = view.state
        shown = (state, state.events, view.chosen, view.alive)
        if self._shown and shown[0] is self._shown[0] and shown[1:] == self._shown[1:]:
            return
        self._view, self._shown, self._since = view, shown, time.monotonic()
        known = list(state.sites)
        if known != self._known:
            self._known, self._names = known, sorted(known, key=natural)
        self._metrics = view.metrics[:_METRICS]
        longest = max(map(len, self._names), default=4)
        self._table.set_columns(_columns(self._metrics, past=_is_past(view), longest=longest))
        self._table.set_keys(self._names, self._row)
        self._show_reason()

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Say why the site is out, if it is."""
        event.stop()
        self._show_reason()

    def on_table_selected(self, event: Table.Selected) -> None:
        """There is nothing to open."""
        event.stop()

    @property
    def _why(self) -> str:
        return line_of(self._view, self.site).reason if self._view is not None and self.site else ""

    def _show_reason(self) -> None:
        reason = self._why
        self._reason.display = bool(reason)
        if reason:
            self._reason.update(Content(f"{self.site}: {reason}"))

    def _tick(self) -> None:
        view = self._view
        if view is None or not view.alive or view.state.status.is_finished:
            return
        if self.is_on_screen and time.monotonic() - self._since >= _STANDS:
            self._table.refresh()

    def _row(self, place: int) -> Row:
        view = self._view
        if view is None:  # only between two runs
            return Row(self._names[place], ())
        line = line_of(view, self._names[place])
        cells = [
            Cell(f"{line.glyph} {line.name}", line.style if line.style in ("error", "muted") else ""),
            Cell(line.word, line.style),
            Cell("" if line.round is None else str(line.round)),
            Cell("" if line.seconds is None else duration_text(line.seconds)),
        ]
        for name in self._metrics:
            text = value_text(line.metrics[name]) if name in line.metrics else ""
            cells.append(Cell(text) if line.fresh or not text else Cell(f"{_STALE}{text}", "muted"))
        return Row(line.name, [*cells, Cell(line.count, "muted")])


def _columns(metrics: list[str], *, past: bool, longest: int) -> list[Column]:
    return [
        Column("site", "site", least=min(longest + 2, 12), most=min(longest + 2, 34)),
        Column("state", "state", 9),
        Column("round", "round", 5, "right", rank=3),
        Column("time", "time", 7, "right", rank=1),
        *(
            Column(f"metric {name}", name, max(8, min(len(name), 12)), "right", rank=2 if place == 0 else 4 + place)
            for place, name in enumerate(metrics)
        ),
        Column("count", "weight" if past else "results", 7, "right", rank=4),
    ]
