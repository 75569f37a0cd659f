"""The run screen: everything about one run, live, ended or played back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from fltui.console.dialogs import Question
from fltui.console.follow import Batch, Follower, Source
from fltui.console.invite import missing_sites
from fltui.console.playback import Playback
from fltui.console.view import RunView
from fltui.console.widgets.exchange import ExchangePanel
from fltui.console.widgets.header import Banner, RunHeader
from fltui.console.widgets.log import LogPanel
from fltui.console.widgets.metrics import MetricsPanel
from fltui.console.widgets.panel import Panel
from fltui.console.widgets.rounds import RoundsPanel
from fltui.console.widgets.sites import SitesPanel
from fltui.console.widgets.weights import WeightsPanel
from fltui.run import control
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder
from fltui.run.state import apply

if TYPE_CHECKING:
    from fltui.console.app import ConsoleApp

_TICK = 1 / 20
_BUDGET = 0.012
"""Seconds of one tick that go into taking batches; the rest waits for the next."""

_ROOMY = 100
"""Columns from which the footer has room for blanks and for the palette's key."""

_PANELS = Binding.Group("panels", compact=True)
_ROUNDS = Binding.Group("round", compact=True)
_SPEED = Binding.Group("speed", compact=True)

_DECK = ("weights", "metrics", "rounds", "exchange")
_ALL = ("sites", *_DECK, "log")
"""The panels in the order in which ``tab`` walks through them."""


class RunScreen(Screen[None]):
    """Shows one run.

    Args:
        folder: the run.
    """

    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (180, "-wide")]  # noqa: RUF012 - Textual declares it for instances
    VERTICAL_BREAKPOINTS = [(0, "-short"), (28, "-tall")]  # noqa: RUF012 - Textual declares it for instances
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "panel('weights')", "Weights", id="run.weights", group=_PANELS),
        Binding("2", "panel('metrics')", "Metrics", id="run.metrics", group=_PANELS),
        Binding("3", "panel('rounds')", "Rounds", id="run.rounds", group=_PANELS),
        Binding("4", "panel('exchange')", "Exchange", id="run.exchange", group=_PANELS),
        Binding("5", "panel('log')", "Log", id="run.log", group=_PANELS),
        Binding("6", "panel('sites')", "Sites", id="run.sites", group=_PANELS),
        Binding("tab", "next_panel(1)", "Next panel", show=False, id="run.next_panel"),
        Binding("shift+tab", "next_panel(-1)", "Previous panel", show=False, id="run.previous_panel"),
        Binding("left", "walk(-1)", "Round before", id="run.round_before", group=_ROUNDS),
        Binding("right", "walk(1)", "Round after", id="run.round_after", group=_ROUNDS),
        Binding("l", "live", "Live", id="run.live", tooltip="Back to the newest round, or out of playback"),
        Binding("v", "view", "View", show=False, id="run.view", tooltip="Weights as numbers, colours or a histogram"),
        Binding("f", "filter", "Filter log", show=False, id="run.filter", tooltip="Type what lines of the log to show"),
        Binding("space", "pause", "Pause", id="run.pause", tooltip="Pause a live run; play an ended one back"),
        Binding("plus,equals_sign", "speed(1)", "Faster", id="run.faster", group=_SPEED),
        Binding("minus", "speed(-1)", "Slower", id="run.slower", group=_SPEED),
        Binding("a", "abort", "Abort", id="run.abort", tooltip="End the run now (asks)"),
        Binding("d", "drop", "Drop site", id="run.drop", tooltip="Go on without the highlighted site (asks)"),
        Binding("r", "resume", "Resume", id="run.resume", tooltip="Go on with a failed, aborted or orphaned run"),
        Binding(
            "c",
            "copy_commands",
            "Copy commands",
            id="run.copy_commands",
            tooltip="Copy the commands that start the missing sites",
        ),
        Binding("y", "copy", "Copy", show=False, id="run.copy", tooltip="Copy the thing under the cursor"),
        Binding("enter", "reason", "Traceback", show=False, id="run.reason", tooltip="Why the run failed, in the log"),
        Binding("escape", "leave", "Back", id="run.back"),
    ]

    app: ConsoleApp

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder
        self._view = RunView(folder)
        self._source: Source = Follower(folder)
        self._panel = "weights"
        self._seen_at = time.monotonic()
        self._opened = False
        self._error = ""
        self._doing = ""

    @property
    def folder(self) -> RunFolder:
        """The run that is shown."""
        return self._folder

    @property
    def view(self) -> RunView:
        """What is shown of it."""
        return self._view

    def compose(self) -> ComposeResult:
        """Head, panels, footer."""
        yield RunHeader()
        yield Banner()
        with Container(id="panels"):
            yield SitesPanel(id="sites")
            yield WeightsPanel(id="weights")
            yield MetricsPanel(id="metrics")
            yield RoundsPanel(id="rounds")
            yield ExchangePanel(id="exchange")
            yield LogPanel(id="log")
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        """Begin to show."""
        self._title_panels()
        self.action_panel(self._panel)
        self.set_interval(_TICK, self._tick)

    def on_unmount(self) -> None:
        """Stop reading."""
        self._source.close()

    # Taking in what is new.

    def _tick(self) -> None:
        until = time.monotonic() + _BUDGET
        changed = False
        while time.monotonic() < until and (batch := self._source.take()) is not None:
            self._take(batch)
            changed = True
        if changed:
            self._show_all()
        elif self._view.alive or isinstance(self._source, Playback):
            self._show_header()

    def _take(self, batch: Batch) -> None:
        view = self._view
        status = view.state.status
        if batch.alive is not None:
            view.alive = batch.alive
            self.refresh_bindings()
        if batch.opening is not None:
            view.state, view.series = batch.opening
            self._opened = True
        try:
            for event in batch.events:
                view.state = apply(view.state, event)
                view.series.add(event)
        except KeyError as error:
            self._error = f"the journal is not of one run: round {error} does not start before it goes on"
        if batch.opening or batch.events:
            self._seen_at = time.monotonic()
        if batch.lines:
            self.query_one(LogPanel).append(batch.lines)
        if batch.error:
            self._error = batch.error
        if view.state.status is not status or batch.opening:
            self.refresh_bindings()
            if view.state.status is RunStatus.FAILED:
                self.call_after_refresh(self._focus_reason)

    @property
    def _elapsed(self) -> float:
        """Seconds since the run's start, of a live run until now."""
        state = self._view.state
        if isinstance(self._source, Playback):
            return min(self._source.seconds, state.seconds) if self._source.over else self._source.seconds
        if state.status.is_finished or not self._view.alive:
            return state.seconds
        return max(state.seconds, time.time() - state.since) if state.since else 0.0

    def _show_all(self) -> None:
        self._show_header()
        self._show_banner()
        for panel in self.query(Panel):
            if panel.display:
                panel.show_run(self._view)

    def _show_header(self) -> None:
        note = "" if self._view.chosen is None else f" showing round {self._view.chosen} "
        if isinstance(self._source, Playback):
            speed = self._source.speed
            factor = f"{speed:g}" if speed >= 1 else f"1/{1 / speed:g}"
            note += f" playback {factor}x{'' if self._source.playing else ', paused'} "
        self.query_one(RunHeader).show_run(self._view, self._elapsed, note)

    def show_doing(self, text: str) -> None:
        """Say what is being started; nothing for an empty text."""
        self._doing = text
        self._show_banner()

    def _show_banner(self) -> None:
        banner, state = self.query_one(Banner), self._view.state
        if self._doing:
            banner.show_text(self._doing, "hint")
        elif self._error:
            banner.show_text(self._error, "error")
        elif state.status in (RunStatus.FAILED, RunStatus.ABORTED) and state.reason:
            banner.show_text(f"{state.status.removeprefix('FINISHED:').lower()}: {state.reason}", "error")
        elif self._missing:
            banner.show_text(self._invitation, "hint")
        elif self._opened and not self._view.alive and not state.status.is_finished and self._follows:
            text = "no server of this machine holds this run: it died (r resumes the run), or another machine writes it"
            banner.show_text(text, "hint")
        else:
            banner.show_text("")

    @property
    def _follows(self) -> bool:
        return isinstance(self._source, Follower)

    @property
    def _missing(self) -> dict[str, str]:
        """The sites that a served run still waits for, with the command that starts each."""
        return missing_sites(self._view) if self._view.alive else {}

    @property
    def _invitation(self) -> str:
        commands = "\n".join(f"  {command}" for command in self._missing.values())
        return f"waiting for sites; start each in a shell of its own (c copies):\n{commands}"

    # Panels.

    def _title_panels(self) -> None:
        """The border of every panel of the deck names all four; a click on a name shows that panel."""
        for name in _DECK:
            titles = [
                f"[b $text-accent]{other.capitalize()}[/]"
                if other == name
                else f"[not bold $text-muted @click=screen.panel('{other}')]{other.capitalize()}[/]"
                for other in _DECK
            ]
            self.query_one(f"#{name}").border_title = "[$text-muted] · [/]".join(titles)
        for name in ("sites", "log"):
            self.query_one(f"#{name}").border_title = name.capitalize()

    def _show_panel(self, name: str) -> None:
        self._panel = name
        self.query_one("#panels").set_classes([f"show-{name}", f"deck-{name if name in _DECK else self._deck}"])
        self._show_all()

    @property
    def _deck(self) -> str:
        """The panel of the deck that was shown last."""
        found = [name for name in _DECK if self.query_one("#panels").has_class(f"deck-{name}")]
        return found[0] if found else _DECK[0]

    def on_resize(self, event: Resize) -> None:
        """A panel may have come into sight."""
        footer = self.query_one(Footer)
        footer.compact = event.size.width < _ROOMY
        footer.show_command_palette = event.size.width >= _ROOMY
        self.call_after_refresh(self._show_all)

    def action_panel(self, name: str) -> None:
        """Show a panel and put the focus there."""
        self._show_panel(name)
        self._focus_in(self.query_one(f"#{name}"))

    def action_next_panel(self, step: int) -> None:
        """Walk through the panels."""
        place = _ALL.index(self._panel) + step
        self.action_panel(_ALL[place % len(_ALL)])

    def action_view(self) -> None:
        """Show the weights in another way, from wherever the focus is."""
        self.action_panel("weights")
        self.query_one(WeightsPanel).action_next_view()

    def action_filter(self) -> None:
        """Filter the log, from wherever the focus is."""
        self.action_panel("log")
        self.query_one(LogPanel).action_filter()

    def _focus_in(self, panel: Widget) -> None:
        target = next((widget for widget in panel.walk_children(Widget) if widget.focusable), None)
        self.set_focus(target, scroll_visible=False)  # at once: the next key may be there already

    # Rounds and playback.

    def action_walk(self, step: int) -> None:
        """Look at the round before or after; after the last one, at the live one."""
        rounds = list(self._view.state.rounds)
        if not rounds or self._view.round is None:
            return
        place = rounds.index(self._view.round) + step if self._view.round in self._view.state.rounds else 0
        place = max(0, place)
        self.choose_round(rounds[place] if place < len(rounds) - 1 else None)

    def choose_round(self, number: int | None) -> None:
        """Look at a round; None follows the newest."""
        self._view.chosen = number
        self._show_all()

    def on_rounds_panel_chosen(self, event: RoundsPanel.Chosen) -> None:
        """Look at the round chosen in the table."""
        self.choose_round(None if event.round == self._view.newest else event.round)

    def action_live(self) -> None:
        """Back to the newest round; out of a playback back to the run as it is."""
        if isinstance(self._source, Playback):
            self._take_from(Follower(self._folder))
        self.choose_round(None)

    def _take_from(self, source: Source) -> None:
        self._source.close()
        self._source = source
        self._view.state, self._view.chosen = type(self._view.state)(), None
        self.query_one(LogPanel).clear()
        self.refresh_bindings()

    def action_pause(self) -> None:
        """Pause or resume a live run; play an ended one back, or halt the playback."""
        if isinstance(self._source, Playback):
            if self._source.over:
                self._take_from(Playback(self._folder))
            else:
                self._source.toggle()
        elif not self._view.alive:
            self._take_from(Playback(self._folder))
        elif self._view.state.status is RunStatus.PAUSED:
            control.ask(self._folder, control.Resume())
        else:
            control.ask(self._folder, control.Pause("asked for in the console"))

    def action_speed(self, step: int) -> None:
        """Play faster or slower."""
        if isinstance(self._source, Playback):
            if step > 0:
                self._source.faster()
            else:
                self._source.slower()
            self._show_header()

    # Asking the engine.

    def action_abort(self) -> None:
        """Ask whether to end the run, then ask the engine."""

        def answered(answer: bool | None) -> None:
            if answer:
                control.ask(self._folder, control.Abort("asked for in the console"))

        text = "Its scripts are stopped and its state becomes ABORTED. Rounds that are finished stay; r can resume it."
        answers = [("Let it run", False), ("Abort the run", True)]
        self.app.push_screen(Question(f"Abort {self._folder.run}?", text, answers, danger=True), answered)

    def action_drop(self) -> None:
        """Ask whether to go on without the highlighted site, then ask the engine."""
        site = self.query_one(SitesPanel).site
        if not site:
            return

        def answered(answer: bool | None) -> None:
            if answer:
                control.ask(self._folder, control.Drop(site, "asked for in the console"))

        text = "It is not asked any more in this run. If its answer is needed, the run fails."
        answers = [("Keep it", False), ("Drop the site", True)]
        self.app.push_screen(Question(f"Drop {site}?", text, answers, danger=True), answered)

    def action_resume(self) -> None:
        """Go on with a run that is over but not completed, or whose server died; resume one that is paused."""
        if self._view.alive:
            control.ask(self._folder, control.Resume())
        else:
            self.app.resume(self._folder)

    def action_copy_commands(self) -> None:
        """Copy the commands that start the sites of a served run."""
        self.app.copy("\n".join(self._missing.values()))

    def action_copy(self) -> None:
        """Copy the thing under the cursor; without one, the run's folder."""
        panel = next((node for node in self._focus_chain() if isinstance(node, Panel)), None)
        self.app.copy((panel.copied() if panel else "") or str(self._folder.root))

    def _focus_chain(self) -> list[object]:
        return list(self.focused.ancestors_with_self) if self.focused else []

    # Why it failed.

    def _focus_reason(self) -> None:
        if self.is_mounted and self.query_one(Banner).text:
            self.set_focus(self.query_one(Banner))

    def on_banner_opened(self) -> None:
        """See `action_reason`."""
        self.action_reason()

    def action_reason(self) -> None:
        """Go to the traceback of the site that failed; without one, to the last line of the log."""
        sites = self._view.state.sites
        lost = [name for name, site in sites.items() if site.state in ("lost", "rejected") and site.reason]
        named = [name for name in lost if name in self._view.state.reason]
        self.action_panel("log")
        log = self.query_one(LogPanel)
        for name in [*named, *lost, *sites]:
            if log.go_to(name, "Traceback (most recent call last)"):
                return
        log.go_to("server", "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """Which actions make sense now; the others are not in the footer."""
        state, alive = self._view.state, self._view.alive
        playing = isinstance(self._source, Playback)
        match action:
            case "abort" | "drop":
                return alive
            case "pause":
                return alive or playing or state.status.is_finished
            case "speed":
                return playing
            case "live":
                return playing or self._view.chosen is not None
            case "resume":
                over = state.status in (RunStatus.FAILED, RunStatus.ABORTED)
                orphaned = not state.status.is_finished and self._opened
                return not playing and (state.status is RunStatus.PAUSED if alive else over or orphaned)
            case "copy_commands":
                return bool(self._missing)
            case "reason":
                return state.status is RunStatus.FAILED
        return True

    def action_leave(self) -> None:
        """Back to the home screen."""
        self.app.go_home()
