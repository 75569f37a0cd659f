"""The head of a run screen: job, state, progress, elapsed time, sites; and the banner below it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from fltui.console.runs.remarks import spent_text
from fltui.console.runs.view import RunView
from fltui.console.words import clock_text, short_id, state_words
from fltui.run.events import RunStatus

_SHORTEST_BAR = 8
_LONGEST_STAGES = 40
"""Cells of the names of workflows; of more, the one that runs is named with its number."""


class RunHeader(Widget):
    """One line about the run as a whole."""

    DEFAULT_CSS = """
    RunHeader { height: 1; padding: 0 1; background: $panel; color: $foreground; }
    """
    _STYLES: ClassVar[dict[str, str]] = {
        "muted": "$text-muted",
        "running": "$text-primary",
        "warning": "$text-warning",
        "success": "$text-success",
        "error": "$text-error",
    }

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._elapsed = 0.0
        self._note = ""

    def show_run(self, view: RunView, elapsed: float, note: str = "") -> None:
        """Show `view`.

        Args:
            view: the run.
            elapsed: seconds since its start.
            note: how it is shown, such as ``playback 2x``.
        """
        self._view, self._elapsed, self._note = view, elapsed, note
        self.refresh()

    def render(self) -> RenderResult:
        """The parts that fit, and a bar that fills what is left; what matters least is left out first."""
        view = self._view
        if view is None:
            return Content("")
        state = view.state
        glyph, word, style = state_words(state.status, alive=view.alive)
        parts = [
            (0, Content.styled(state.job or view.folder.run, "bold")),
            (4, Content.styled(short_id(view.folder), "$text-muted")),
            (0, Content.styled(f"{glyph} {word}", f"bold {self._STYLES[style]}")),
            (1, Content.styled(self._note, "reverse")),
            (4, Content(_stage(view))),
            (1, Content(_rounds(view))),
            (5, Content(f"{_fraction(view):.0%}" if state.total_rounds else "")),
            (3, Content(clock_text(self._elapsed))),
            (2, Content(_sites(view))),
            (3, Content(spent_text(state.spent) if state.spent else "")),
        ]
        parts = [(rank, part) for rank, part in parts if part.plain]
        room = self.size.width
        while len(parts) > 1 and _width(parts) > room:
            parts.remove(max(parts, key=lambda found: found[0]))
        spare = room - _width(parts) - 2
        if spare >= _SHORTEST_BAR and state.total_rounds:
            place = next((at for at, (rank, _) in enumerate(parts) if rank == 5), len(parts))
            parts.insert(place, (0, self._bar(view, spare)))
        return Content("  ").join(part for _, part in parts).truncate(max(0, room), ellipsis=True)

    @staticmethod
    def _bar(view: RunView, width: int) -> Content:
        full, half = divmod(round(_fraction(view) * width * 2), 2)
        done = "━" * full + ("╸" if half else "")
        return Content.assemble((done, "$primary"), ("━" * (width - len(done)), "$foreground 18%"))


def _width(parts: list[tuple[int, Content]]) -> int:
    return sum(part.cell_length for _, part in parts) + 2 * (len(parts) - 1)


def _rounds(view: RunView) -> str:
    state = view.state
    if not state.total_rounds:
        return ""
    if view.newest is None or state.status.is_finished:
        return f"{state.rounds_done} of {state.total_rounds} rounds"
    return f"round {view.newest} of {state.total_rounds}"


def _stage(view: RunView) -> str:
    """Which of several workflows runs, behind those that are over: ``FedAvg ✓ → CrossSiteEval``."""
    names, state = view.state.workflow.split(", "), view.state
    if len(names) < 2:
        return ""
    over = len(names) if state.status is RunStatus.COMPLETED else min(state.stages, len(names) - 1)
    words = [f"{name} ✓" for name in names[:over]] + names[over : over + 1]
    text = " → ".join(words)
    return text if len(text) <= _LONGEST_STAGES else f"{min(over + 1, len(names))}/{len(names)} {words[-1]}"


def _sites(view: RunView) -> str:
    found = view.state.rounds.get(view.newest) if view.newest is not None else None
    if found is None:
        present = sum(site.state not in ("expected", "lost") for site in view.state.sites.values())
        return f"{present}/{len(view.state.sites)} sites here" if view.state.sites else ""
    asked, all_sites = len(found.started.sites), len(view.state.sites)
    some = f" of {all_sites}" if asked < sum(site.state != "lost" for site in view.state.sites.values()) else ""
    return f"{len(found.accepted)}/{asked}{some} sites"


def _fraction(view: RunView) -> float:
    """How much of the run is done: whole rounds, and the answered part of the one that runs."""
    state = view.state
    done = float(state.rounds_done)
    newest = state.rounds.get(view.newest) if view.newest is not None else None
    if newest is not None and newest.finished is None and newest.started.sites:
        done += len(newest.accepted) / (len(newest.started.sites) + 1)
    return min(1.0, done / state.total_rounds) if state.total_rounds else 0.0


class Banner(Widget, can_focus=True):
    """One or more lines that a person must not miss: why a run failed, or how to start its sites."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Traceback", id="banner.open", tooltip="Go to the traceback in the log"),
    ]
    DEFAULT_CSS = """
    Banner { display: none; height: auto; max-height: 8; padding: 0 1; }
    Banner.-error { display: block; background: $error-muted; color: $text-error; }
    Banner.-hint { display: block; background: $primary-muted; color: $text-primary; }
    Banner:focus { text-style: bold; }
    """

    class Opened(Message):
        """A person wants to see more of what the banner says."""

    def __init__(self) -> None:
        super().__init__()
        self._text = self._kind = ""

    def show_text(self, text: str, kind: str = "") -> None:
        """Show harmless `text` as ``error`` or ``hint``; nothing without text."""
        kind = kind if text else ""
        if (text, kind) == (self._text, self._kind):
            return  # else each of many frames would arrange the whole screen anew
        self._text, self._kind = text, kind
        self.set_class(kind == "error", "-error")
        self.set_class(kind == "hint", "-hint")
        self.refresh(layout=True)

    @property
    def text(self) -> str:
        """What it says."""
        return self._text

    def render(self) -> RenderResult:
        """The text, plain."""
        return Content(self._text)

    def action_open(self) -> None:
        """Ask for more."""
        self.post_message(self.Opened())

    def on_click(self) -> None:
        """A click does what ``enter`` does."""
        self.action_open()
