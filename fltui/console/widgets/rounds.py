"""The rounds of a run: who answered, how long it took, what it moved, what came out."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from fltui.console.amounts import duration_text, value_text
from fltui.console.runs.remarks import spent_text
from fltui.console.runs.series import GLOBAL
from fltui.console.runs.view import RunView
from fltui.console.widgets.columns import Column
from fltui.console.widgets.panel import Panel
from fltui.console.widgets.table import Cell, Row, Table
from fltui.exchange.sizes import size_text
from fltui.run.state import RoundState, RunState

_METRICS = 6
"""Metrics that get a column at most."""

_DIGEST = 8
"""Characters of a digest that are shown."""


class RoundsPanel(Panel):
    """A row per round; the one that the other panels show is marked with ``▸``, the best model's with ``★``.

    What is said of the highlighted round stands below the table.
    """

    DEFAULT_CSS = """
    RoundsPanel { layout: vertical; }
    RoundsPanel > Table { height: 1fr; }
    RoundsPanel > Static { display: none; height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    """

    class Chosen(Message):
        """A person wants to look at a round."""

        def __init__(self, round: int) -> None:  # noqa: A002 - the field's word
            super().__init__()
            self.round = round

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._view: RunView | None = None
        self._shown: tuple[object, ...] = ()
        self._state: RunState | None = None
        self._numbers: list[int] = []
        self._keys: list[str] = []
        self._metrics: list[str] = []
        self._varied = self._judged = False
        self._table = Table(_columns([]), placeholder="no round has begun yet", select_on_click=True)
        self._said = Static(markup=False)

    def compose(self) -> ComposeResult:
        """The table, and what is said of the highlighted round."""
        yield self._table
        yield self._said

    def copied(self) -> str:
        """The whole digest of the model that the highlighted round made, or began with."""
        found = self._round_at(self._table.cursor)
        if found is None:
            return ""
        return found.finished.model if found.finished else found.started.model

    def show_run(self, view: RunView) -> None:
        """See `Panel.show_run`."""
        state = view.state
        shown = (state, state.events, view.chosen, view.alive)
        if self._shown and shown[0] is self._shown[0] and shown[1:] == self._shown[1:]:
            return
        walked = not self._shown or self._shown[2] != view.chosen
        self._view, self._shown = view, shown
        follows = self._table.cursor >= len(self._keys) - 1
        self._learn_rounds(state)
        self._metrics = _metrics_of(view)
        self._varied, self._judged = view.remarks.varied, view.remarks.judged
        self._table.set_columns(_columns(self._metrics, varied=self._varied, judged=self._judged))
        self._table.set_keys(self._keys, self._row)
        if walked and view.chosen is not None:
            self._table.go_to_key(str(view.chosen))
        elif walked or follows:
            self._table.go_to(len(self._keys) - 1)
        self._show_best()
        self._show_said()

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Say what there is to say of the round."""
        event.stop()
        self._show_said()

    def on_table_selected(self, event: Table.Selected) -> None:
        """Ask for the round to be shown everywhere."""
        event.stop()
        self.post_message(self.Chosen(int(event.key)))

    def _learn_rounds(self, state: RunState) -> None:
        """Append the numbers of new rounds; those of 10,000 are not made into text 20 times a second."""
        if state is not self._state or len(state.rounds) < len(self._numbers):
            self._state, self._numbers, self._keys = state, [], []
        if len(state.rounds) > len(self._numbers):
            self._numbers = list(state.rounds)
            self._keys.extend(map(str, self._numbers[len(self._keys) :]))

    def _round_at(self, place: int) -> RoundState | None:
        if self._state is None or place >= len(self._numbers):
            return None
        return self._state.rounds.get(self._numbers[place])

    def _row(self, place: int) -> Row:
        view, found = self._view, self._round_at(place)
        if view is None or found is None:
            return Row(self._keys[place], ())
        number = self._numbers[place]
        here, best = number == view.round, view.state.best
        star = "★" if best is not None and best.round == number else " "
        head = Cell(f"{'▸' if here else ' '}{star}{number}", "strong" if here else "")
        task = [_task(found)] if self._varied else []
        counted = [_counted(found)] if self._judged else []
        cells = (head, *task, *_answers(found), *counted, *_outcome(view, found), *self._values(found))
        return Row(self._keys[place], cells)

    def _show_best(self) -> None:
        """Explain the mark, and tell how much privacy the run has spent."""
        state = self._state
        parts = []
        if state is not None and state.best is not None:
            parts.append(f"★ best model entered round {state.best.round}: {state.best.metric} {state.best.value:.4g}")
        if state is not None and state.spent is not None:
            parts.append(spent_text(state.spent))
        self.border_subtitle = Content(" · ".join(parts)).markup

    def _show_said(self) -> None:
        view, found = self._view, self._round_at(self._table.cursor)
        said = []
        if view is not None and found is not None:
            number = found.started.round
            note, spent = view.remarks.notes.get(number, ""), view.remarks.spent.get(number)
            said = [note] if note else []
            if spent is not None and spent != view.state.spent:  # that of the whole run stands in the border
                said.append(f"{spent_text(spent)} spent by then")
            if said:
                said[0] = f"round {number}: {said[0]}"
        text = "; ".join(said)
        self._said.display = bool(text)
        if text:
            self._said.update(Content(text))

    def _values(self, found: RoundState) -> list[Cell]:
        done = found.finished
        values = [done.metrics.get(name) if done else None for name in self._metrics]
        return [
            *(Cell("" if value is None else value_text(value)) for value in values),
            Cell(done.model[:_DIGEST] if done else "", "muted"),
        ]


def _task(found: RoundState) -> Cell:
    """What the sites were asked, and with whose model if it is not the global one."""
    started = found.started
    text = f"{started.task_name} {started.part}" if started.part else started.task_name
    return Cell(text, "" if text == "train" else "accent")


def _counted(found: RoundState) -> Cell:
    """How many of the accepted results have a weight in the new model, where not all have."""
    done = found.finished
    weights = done.weights.values() if done is not None else ()
    counted = sum(1 for weight in weights if weight)
    return Cell("" if counted == len(weights) else str(counted), "warning")


def _answers(found: RoundState) -> list[Cell]:
    asked, answered, rejected = len(found.started.sites), len(found.accepted), len(found.rejected)
    short = found.finished is not None and answered < asked
    return [
        Cell(f"{answered}/{asked}", "warning" if short else ""),
        Cell(f"✗ {rejected}" if rejected else "", "error"),
    ]


def _outcome(view: RunView, found: RoundState) -> list[Cell]:
    """Times, sizes and the norm; of a round that runs, what is known so far."""
    done = found.finished
    if done is None:
        first = min((result.monotonic for result in found.accepted.values()), default=None)
        word = ("unfinished", "warning") if _is_left(view, found) else ("◐ running", "running")
        return [
            Cell("" if first is None else duration_text(max(0.0, first - found.started.monotonic))),
            Cell(""),
            Cell(""),
            Cell(*word),
            Cell(""),
            Cell(""),
            Cell(""),
        ]
    return [
        Cell(duration_text(done.first_result)),
        Cell(duration_text(done.last_result)),
        Cell(duration_text(done.aggregation)),
        Cell(duration_text(done.seconds)),
        Cell(size_text(done.bytes_out)),
        Cell(size_text(done.bytes_in)),
        Cell(value_text(done.update_norm) if done.update_norm or found.started.task_name == "train" else ""),
    ]


def _is_left(view: RunView, found: RoundState) -> bool:
    """Whether an unfinished round will not go on."""
    return view.state.status.is_finished or found.started.round != view.newest


def _metrics_of(view: RunView) -> list[str]:
    """The metrics of finished rounds, in the order in which they came up."""
    return [name for name in view.metrics if GLOBAL in view.series.by_round.get(name, (GLOBAL,))][:_METRICS]


def _columns(metrics: list[str], *, varied: bool = False, judged: bool = False) -> list[Column]:
    task = [Column("task", "task", least=15, most=20, rank=2)] if varied else []
    counted = [Column("counted", "counted", 7, "right", rank=2)] if judged else []
    return [
        Column("round", "  round", 7),
        *task,
        Column("answered", "sites", 7, "right"),
        Column("rejected", "rejected", 8, "right", rank=4),
        *counted,
        Column("first", "first", 7, "right", rank=5),
        Column("last", "last", 7, "right", rank=5),
        Column("aggregation", "aggr", 7, "right", rank=7),
        Column("total", "total", 10, "right", rank=1),
        Column("out", "out", 10, "right", rank=9),
        Column("in", "in", 10, "right", rank=8),
        Column("norm", "‖Δ‖", 9, "right", rank=3),
        *(
            Column(f"metric {name}", name, max(8, min(len(name), 12)), "right", rank=2 if place == 0 else 6 + place)
            for place, name in enumerate(metrics)
        ),
        Column("model", "model", _DIGEST, rank=6),
    ]
