"""The run screen: everything about one run, live, ended or played back."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from fltui.console.host import Host
from fltui.console.pace import Pace
from fltui.console.runs.feed import Feed
from fltui.console.runs.invite import commands, invitation, missing_sites
from fltui.console.runs.view import RunView
from fltui.console.screens.cross_site import CrossSiteScreen
from fltui.console.screens.question import Question
from fltui.console.widgets.exchange import ExchangePanel
from fltui.console.widgets.header import Banner, RunHeader
from fltui.console.widgets.key_bar import KeyBar
from fltui.console.widgets.log import LogPanel
from fltui.console.widgets.metrics import MetricsPanel
from fltui.console.widgets.panel import Panel
from fltui.console.widgets.rounds import RoundsPanel
from fltui.console.widgets.sites import SitesPanel
from fltui.console.widgets.weights import WeightsPanel
from fltui.errors import BadInputError
from fltui.run import control
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder

_ORPHANED = "no server of this machine holds this run: its server died (r resumes it), or another machine has it"

_TICK = 1 / 20
_BUDGET = 0.012
"""Seconds of one tick that go into taking batches; the rest waits for the next."""

_PANELS = Binding.Group("panels", compact=True)
_ROUNDS = Binding.Group("round", compact=True)
_SPEED = Binding.Group("speed", compact=True)

_DECK = ("weights", "metrics", "rounds", "exchange")
_ALL = ("sites", *_DECK, "log")
"""The panels in the order in which ``tab`` walks through them."""


class RunScreen(Screen[None]):
    """Shows one run.

    Args:
        host: the application.
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
        Binding("x", "cross_site", "Cross-site", id="run.cross_site", tooltip="Every model on every site's data"),
        Binding("tab", "next_panel(1)", "Next panel", show=False, id="run.next_panel"),
        Binding("shift+tab", "next_panel(-1)", "Previous panel", show=False, id="run.previous_panel"),
        Binding("left", "walk(-1)", "Round before", id="run.round_before", group=_ROUNDS),
        Binding("right", "walk(1)", "Round after", id="run.round_after", group=_ROUNDS),
        Binding("l", "live", "Live", id="run.live", tooltip="Back to the newest round, or out of playback"),
        Binding("v", "view", "View", show=False, id="run.view", tooltip="Weights as numbers, colours or a histogram"),
        Binding("f", "filter", "Filter log", show=False, id="run.filter", tooltip="Type what lines of the log to show"),
        Binding("space", "pause", "Pause", id="run.pause", tooltip="Begin no new round"),
        Binding("space", "proceed", "Go on", id="run.proceed", tooltip="Go on after a pause"),
        Binding("space", "play", "Play back", id="run.play", tooltip="Play a run back that has ended"),
        Binding("space", "halt", "Halt/play", id="run.halt", tooltip="Halt the playback, or go on with it"),
        Binding("plus,equals_sign", "speed(1)", "Faster", id="run.faster", group=_SPEED),
        Binding("minus", "speed(-1)", "Slower", id="run.slower", group=_SPEED),
        Binding("a", "abort", "Abort", id="run.abort", tooltip="End the run now (asks)"),
        Binding(
            "d", "drop", "Drop site", show=False, id="run.drop", tooltip="Go on without the highlighted site (asks)"
        ),
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

    class Invited(Message):
        """How the missing sites of a served run are started."""

        def __init__(self, commands: dict[str, str]) -> None:
            super().__init__()
            self.commands = commands

    def __init__(self, host: Host, folder: RunFolder) -> None:
        super().__init__()
        self._host = host
        self._folder = folder
        self._feed = Feed(folder)
        self._pace = Pace()
        self._panel = self._deck = "weights"
        self._commands: dict[str, str] = {}
        self._wanted: list[str] = []
        self._doing = ""
        self._crossed = False

    @property
    def folder(self) -> RunFolder:
        """The run that is shown."""
        return self._folder

    @property
    def feed(self) -> Feed:
        """What is known of it."""
        return self._feed

    @property
    def view(self) -> RunView:
        """What is shown of it."""
        return self._feed.view

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
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin to show."""
        self._title_panels()
        self.action_panel(self._panel)
        self.set_interval(_TICK, self._tick)

    def on_unmount(self) -> None:
        """Stop reading."""
        self._feed.close()

    # Taking in what is new.

    def _tick(self) -> None:
        if not (self._pace.is_time or self.view.played):
            return
        news = self._feed.take(_BUDGET)
        if news.anew:
            self.query_one(LogPanel).clear()
        if news.lines:
            self.query_one(LogPanel).append(news.lines)
        crossed = bool(self.view.remarks.cross_site.models)
        if news.steered or crossed != self._crossed:
            self._crossed = crossed
            self.refresh_bindings()
        if news.steered and self.view.state.status is RunStatus.FAILED and not self.view.played:
            self.call_after_refresh(self._focus_reason)
        if news.something:
            if not news.anew:  # after the opening comes its log, at once
                self._pace.showing()
            self._show_all()
        elif self.view.alive:
            self._show_header()

    def _show_all(self) -> None:
        self._invite()
        self._show_header()
        self._show_banner()
        for panel in self.query(Panel):
            if panel.display:
                panel.show_run(self.view)

    def _show_header(self) -> None:
        note = "" if self.view.chosen is None else f" showing round {self.view.chosen} "
        if (playback := self._feed.playback) is not None:
            factor = f"{playback.speed:g}" if playback.speed >= 1 else f"1/{1 / playback.speed:g}"
            note += f" playback {factor}x{'' if playback.playing else ', paused'} "
        self.query_one(RunHeader).show_run(self.view, self._feed.elapsed, note)

    def show_doing(self, text: str) -> None:
        """Say what is being started; nothing for an empty text."""
        self._doing = text
        self._show_banner()

    def _show_banner(self) -> None:
        banner, state = self.query_one(Banner), self.view.state
        if self._doing:
            banner.show_text(self._doing, "hint")
        elif self._feed.error:
            banner.show_text(self._feed.error, "error")
        elif state.status in (RunStatus.FAILED, RunStatus.ABORTED) and state.reason:
            banner.show_text(f"{state.status.removeprefix('FINISHED:').lower()}: {state.reason}", "error")
        elif self._feed.is_orphaned:
            banner.show_text(_ORPHANED, "hint")
        elif state.status is RunStatus.PAUSED and state.reason:
            banner.show_text(f"paused: {state.reason}", "hint")
        elif state.status is RunStatus.COMPLETED and state.reason:
            banner.show_text(state.reason, "hint")
        else:
            banner.show_text(invitation(self._commands, len(self._wanted)), "hint")

    def _invite(self) -> None:
        """Find out, in a thread, how the sites that are missing now are started."""
        wanted = missing_sites(self.view)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._commands = {name: found for name, found in self._commands.items() if name in wanted}
        self.refresh_bindings()
        if set(wanted) - self._commands.keys():
            job, exchange = self._folder.job, self.view.exchange_folder

            def read() -> None:
                self.post_message(self.Invited(commands(wanted, job, exchange)))

            self.run_worker(read, thread=True, exclusive=True, group="invite")

    def on_run_screen_invited(self, event: Invited) -> None:
        """Show the commands of those that are still missing."""
        self._commands = {name: found for name, found in event.commands.items() if name in self._wanted}
        self._show_banner()

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

    def _arrange(self) -> None:
        """Let the panels be seen that have room in this layout. Classes would do it too, at the cost of all styles."""
        if self.has_class("-narrow") or self.has_class("-short"):
            seen = {self._panel}
        elif self.has_class("-wide"):
            seen = {"sites", "log", "weights", self._deck if self._deck != "weights" else "metrics"}
        else:
            seen = {"sites", "log", self._deck}
        for panel in self.query(Panel):
            panel.display = panel.id in seen
        self._show_all()

    def on_resize(self) -> None:
        """The layout may be another."""
        self.call_after_refresh(self._arrange)

    def action_panel(self, name: str) -> None:
        """Show a panel and put the focus there."""
        self._panel = name
        self._deck = name if name in _DECK else self._deck
        self._arrange()
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

    def action_cross_site(self) -> None:
        """Show the matrix of a cross-site evaluation."""
        self.app.push_screen(CrossSiteScreen(self._host, self.view))

    def _focus_in(self, panel: Widget) -> None:
        target = next((widget for widget in panel.walk_children(Widget) if widget.focusable), None)
        self.set_focus(target, scroll_visible=False)  # at once: the next key may be there already

    # Rounds and playback.

    def action_walk(self, step: int) -> None:
        """Look at the round before or after; after the last one, at the live one."""
        rounds, number = list(self.view.state.rounds), self.view.round
        if not rounds or number is None:
            return
        place = rounds.index(number) + step if number in self.view.state.rounds else 0
        place = max(0, place)
        self.choose_round(rounds[place] if place < len(rounds) - 1 else None)

    def choose_round(self, number: int | None) -> None:
        """Look at a round; None follows the newest."""
        self.view.chosen = number
        self.refresh_bindings()
        self._show_all()

    def on_rounds_panel_chosen(self, event: RoundsPanel.Chosen) -> None:
        """Look at the round chosen in the table."""
        self.choose_round(None if event.round == self.view.newest else event.round)

    def action_live(self) -> None:
        """Back to the newest round; out of a playback back to the run as it is."""
        if self._feed.playback is not None:
            self._feed.follow()
        self.choose_round(None)

    def action_pause(self) -> None:
        """Ask the engine to begin no new round."""
        self._ask(control.Pause("asked for in the console"))

    def action_proceed(self) -> None:
        """Ask the engine to go on after a pause."""
        self._ask(control.Resume())

    def action_play(self) -> None:
        """Play the run back from its beginning."""
        self._feed.play()
        self.refresh_bindings()

    def action_halt(self) -> None:
        """Halt the playback, go on with it, or begin it again after its end."""
        playback = self._feed.playback
        if playback is not None and not playback.over:
            playback.toggle()
        else:
            self.action_play()

    def action_speed(self, step: int) -> None:
        """Play faster or slower."""
        if (playback := self._feed.playback) is not None:
            if step > 0:
                playback.faster()
            else:
                playback.slower()
            self._show_header()

    # Asking the engine.

    def _ask(self, request: control.AnyRequest) -> None:
        try:
            control.ask(self._folder, request)
        except (OSError, BadInputError) as error:
            self._host.tell(f"the request cannot be laid into {self._folder.control}: {error}", severity="error")

    def _question(self, title: str, text: str, no: str, yes: str, then: Callable[[], None]) -> None:
        """Ask, and do `then` after a yes."""

        def answered(answer: bool | None) -> None:
            if answer:
                then()

        self.app.push_screen(Question(title, text, [(no, False), (yes, True)], danger=True), answered)

    def action_abort(self) -> None:
        """Ask whether to end the run, then ask the engine."""
        self._question(
            f"Abort {self._folder.run}?",
            "Its scripts are stopped and its state becomes ABORTED. Rounds that are finished stay; r can resume it.",
            "Let it run",
            "Abort the run",
            lambda: self._ask(control.Abort("asked for in the console")),
        )

    def action_drop(self) -> None:
        """Ask whether to go on without the highlighted site, then ask the engine."""
        site = self.query_one(SitesPanel).site
        if site and site in self.view.state.sites:
            self._question(
                f"Drop {site}?",
                "It is not asked any more in this run. If its answer is needed, the run fails.",
                "Keep it",
                "Drop the site",
                lambda: self._drop(site),
            )

    def _drop(self, site: str) -> None:
        try:
            request = control.Drop(site, "asked for in the console")
        except BadInputError as error:
            self._host.tell(str(error), severity="error")
        else:
            self._ask(request)

    def action_resume(self) -> None:
        """Ask whether to go on with a run that did not complete, then start a server for it."""
        text = f"It goes on from round {self.view.state.next_round}, with the scripts in {self._folder.job}."
        if self._feed.is_orphaned:
            text = "No server of this machine holds it. If one of another machine still does, two would write one run."
        self._question(
            f"Resume {self._folder.run}?", text, "Leave it", "Resume the run", lambda: self._host.resume(self._folder)
        )

    def action_copy_commands(self) -> None:
        """Copy the commands that start the missing sites of a served run."""
        self._host.copy("\n".join(self._commands.values()))

    def action_copy(self) -> None:
        """Copy the thing under the cursor; without one, the run's folder."""
        panel = next((node for node in self._focus_chain() if isinstance(node, Panel)), None)
        self._host.copy((panel.copied() if panel else "") or str(self._folder.root))

    def _focus_chain(self) -> list[object]:
        return list(self.focused.ancestors_with_self) if self.focused else []

    # Why it failed.

    def _focus_reason(self) -> None:
        if self.is_mounted and self.query_one(Banner).text:
            self.set_focus(self.query_one(Banner))

    def on_banner_opened(self) -> None:
        """What the banner is for: the traceback of a failed run, or the commands of an invitation."""
        if self.view.state.status is RunStatus.FAILED:
            self.action_reason()
        elif self._commands:
            self.action_copy_commands()

    def action_reason(self) -> None:
        """Go to the traceback of the site that failed; without one, to the last line of the log."""
        sites = self.view.state.sites
        lost = [name for name, site in sites.items() if site.state in ("lost", "rejected") and site.reason]
        named = [name for name in lost if name in self.view.state.reason]
        self.action_panel("log")
        log = self.query_one(LogPanel)
        for name in [*named, *lost, *sites]:
            if log.go_to(name, "Traceback (most recent call last)"):
                return
        log.go_to("server", "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """Which actions make sense now; the others are not in the footer."""
        state, played = self.view.state, self.view.played
        goes_on = self.view.alive and not played and not state.status.is_finished
        match action:
            case "abort" | "drop":
                return goes_on
            case "pause":
                return goes_on and not state.is_held
            case "proceed":
                return goes_on and state.is_held
            case "play":
                return self._feed.opened and not goes_on and not played
            case "halt":
                return played
            case "speed":
                return played
            case "cross_site":
                return bool(self.view.remarks.cross_site.models)
            case "live":
                return played or self.view.chosen is not None
            case "resume":
                ended = state.status in (RunStatus.FAILED, RunStatus.ABORTED)
                return not goes_on and not played and (ended or self._feed.is_orphaned)
            case "copy_commands":
                return bool(self._wanted)
            case "reason":
                return state.status is RunStatus.FAILED
        return True

    def action_leave(self) -> None:
        """Back to the home screen."""
        self._host.go_home()
