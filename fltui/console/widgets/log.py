"""The log panel: what server and sites say, in one list, filtered as a person types."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from fltui.console.logs.lines import LogFilter, LogLines
from fltui.console.logs.patterns import Pattern, TooSlowError
from fltui.console.natural import natural
from fltui.console.runs.view import RunView
from fltui.console.safe import safe
from fltui.console.widgets.chooser import choose
from fltui.console.widgets.entry import Entry
from fltui.console.widgets.log_view import LogView
from fltui.console.widgets.panel import Panel
from fltui.errors import BadInputError
from fltui.run.logs import LEVELS, LogLine

_SLICE = 0.01
"""Seconds of matching after which the app goes on with something else, and of the break then."""

_NAME = "Log"
_SERVER = "server"
_INFO = LEVELS.index("INFO")
_AT_FIRST = LogFilter(level=_INFO)
"""What is shown unless a person wants something else: the server tells of every file in lines of DEBUG."""

_LEVEL_WORDS = ("debug", "info", "warnings", "errors")
_LEVEL_TEXTS = ("everything", "info and above", "warnings and errors", "errors only")
_ALL_SITES = "all sites"


class PatternInput(Entry):
    """Where a pattern is typed; ``enter`` keeps it, ``escape`` takes it back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep", id="log.keep", tooltip="Keep filter or search, and go back to the lines"),
        Binding("escape", "take_back", "Take back", id="log.take_back", tooltip="Leave filter or search as it was"),
    ]

    class TakenBack(Message):
        """Nothing is to change."""

    def action_take_back(self) -> None:
        """See `TakenBack`."""
        self.post_message(self.TakenBack())


class LogPanel(Panel):
    """The newest lines of a run, with a filter by source, level and text, and a search.

    Lines come in batches through `append`; they are shown in the order in which they come. A line at the top takes what
    is typed: the filter works while it is, the search goes to a match with ``enter``. ``escape`` there takes back what
    was typed since it was opened.
    """

    DEFAULT_CSS = """
    LogPanel {
        border-subtitle-color: $text-muted;

        & > LogView { height: 1fr; }
        & > .log--bar { dock: top; height: 1; display: none; }
        & > .log--bar.-open { display: block; }
        .log--prompt { width: auto; padding: 0 1; color: $text-accent; }
        .log--problem { width: auto; max-width: 60%; padding: 0 1; color: $text-warning; }
        PatternInput { width: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "filter", "Filter", id="log.filter", tooltip="Show only lines with a text or regular expression"),
        Binding("slash", "search", "Search", key_display="/", id="log.search", tooltip="Go to a line with a text"),
        Binding("n", "find(1)", "Next match", show=False, id="log.next_match"),
        Binding("N", "find(-1)", "Match before", show=False, id="log.match_before"),
        Binding(
            "L",
            "level",
            "Level",
            show=False,
            id="log.level",
            tooltip="Info and above; then warnings, errors, and everything with debug lines",
        ),
        Binding("w", "source(1)", "Next source", show=False, id="log.source", tooltip="Show only the next site"),
        Binding("W", "source(-1)", "Source before", show=False, id="log.source_before"),
        Binding(
            "O", "choose('source')", "Sources", show=False, id="log.sources", tooltip="Choose a source from a list"
        ),
        Binding(
            "o", "only", "This source", show=False, id="log.only", tooltip="Only the source of this line, or all again"
        ),
        Binding("F", "all", "End filter", show=False, id="log.all", tooltip="End filter and search"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._lines = LogLines(_AT_FIRST)
        self._view = LogView(self._lines)
        self._prompt = Static("", classes="log--prompt", markup=False)
        self._input = PatternInput(compact=True, max_length=200)
        self._problem = Static("", classes="log--problem", markup=False)
        self._bar = Horizontal(self._prompt, self._input, self._problem, classes="log--bar")
        self._searching = False
        self._search: Pattern | None = None
        self._before: Pattern | None = None
        self._sites: list[str] = []
        self._due = False
        self._said: tuple[LogFilter, str] | None = None

    def compose(self) -> ComposeResult:
        """The lines come first: they get the focus of the panel."""
        yield self._view
        yield self._bar

    def on_mount(self) -> None:
        """Show what came before there was a screen."""
        self._due = True
        self.call_next(self._update)

    # What others call.

    def show_run(self, view: RunView) -> None:
        """Know the sites; lines come through `append`."""
        if len(view.state.sites) != len(self._sites):
            self._sites = sorted(view.state.sites, key=natural)
        if self.border_title in (None, _NAME):
            self._said = None
        if not self._due:
            self._show_state()

    def append(self, lines: Sequence[LogLine]) -> None:
        """Add lines whose texts are harmless; many calls in a row are shown at once."""
        if lines:
            dropped = self._lines.dropped
            self._lines.append(lines)
            self._update_later()
            if self.is_mounted and self._lines.dropped != dropped:
                self._view.settle()  # before anybody counts from the first line

    def clear(self) -> None:
        """Forget all lines, and begin to follow; filter and search stay."""
        self.workers.cancel_group(self, "seek")
        self._lines.clear()
        if self.is_mounted:
            self._view.follow()
            self._update_later()

    def go_to(self, source: str, text_start: str) -> bool:
        """End filter and search and put the cursor on the last line of `source` whose text starts with `text_start`.

        Lines of DEBUG are looked for, and shown, only where there is no other.

        Returns:
            Whether there is one; otherwise nothing changes.
        """
        number, wanted = self._lines.last(source, text_start, _INFO), _AT_FIRST
        if number is None:
            number, wanted = self._lines.last(source, text_start), LogFilter()
        if number is None:
            return False
        self._end_filter(wanted)
        self._view.go_to(number, on_top=True)
        return True

    def copied(self) -> str:
        """The line under the cursor, the last one while following."""
        number = self._view.cursor
        if number is None:
            return ""
        line = self._lines[number]
        return " ".join(filter(None, [line.time, line.source, line.level, line.text]))

    # Keeping what is shown in step.

    def _update_later(self) -> None:
        if self.is_mounted and not self._due:
            self._due = True
            self.call_next(self._update)

    def _update(self) -> None:
        """Match for a moment and show how far that has come."""
        self._due = False
        switched = False
        if self._lines.untested:
            try:
                switched = self._lines.work(_SLICE)
            except TooSlowError:
                self._mark()
                self._tell("this takes too long on a line of the log, so it is not used")
        if self._lines.untested:
            self.set_timer(_SLICE, self._update_later)
        self._view.settle(hold_cursor=switched)
        self._show_state()

    def _refilter(self, wanted: LogFilter) -> None:
        self._lines.show(wanted)
        self._mark()
        self._update_later()

    def _mark(self) -> None:
        self._view.pattern = self._search or self._lines.filter.pattern

    def _show_state(self) -> None:
        """The filter on the border above, what it leaves and what is new below."""
        lines, wanted = self._lines, self._lines.filter
        shown = len(lines.shown)
        if lines.kept and wanted == _AT_FIRST:
            self._view.placeholder = "only debug lines so far; L chooses the level"
        elif lines.kept:
            self._view.placeholder = "no line passes the filter; F ends it"
        else:
            self._view.placeholder = "nothing was logged yet"
        state = "following" if self._view.following else f"{self._view.new:,} new" if self._view.new else "nothing new"
        amounts = [] if wanted in (LogFilter(), _AT_FIRST) else [f"{shown:,} of {lines.kept:,} lines"]
        if lines.untested:
            amounts = [f"{lines.untested:,} lines to look through"]
        if lines.dropped:
            amounts.append(f"{lines.dropped:,} older in the files")
        said = (wanted, " · ".join([*amounts, state]))
        if said != self._said:
            self._said = said
            self.border_title = _title(wanted)
            self.border_subtitle = Content.from_markup("[@click=follow]$said[/]", said=said[1])

    def on_log_view_changed(self, event: LogView.Changed) -> None:
        """Say whether it follows."""
        event.stop()
        self._show_state()
        self.refresh_bindings()

    def on_log_view_too_slow(self, event: LogView.TooSlow) -> None:
        """Say that matches are not marked any more."""
        event.stop()
        self._search = None
        self._tell("this takes too long on a line of the log, so it is not marked")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """What the keys of letters mean where a person does not type."""
        return not (action in ("filter", "search") and self._input.has_focus)

    # The line at the top.

    def action_filter(self) -> None:
        """Type a filter."""
        self._open(searching=False)

    def action_search(self) -> None:
        """Type what to search."""
        self._open(searching=True)

    @property
    def _pattern(self) -> Pattern | None:
        return self._search if self._searching else self._lines.filter.pattern

    def _open(self, *, searching: bool) -> None:
        self._searching = searching
        self._before = self._pattern
        self._prompt.update("search" if searching else "filter")
        self._problem.update("")
        self._input.value = self._before.text if self._before else ""
        self._bar.add_class("-open")
        self._input.focus(scroll_visible=False)

    def _close(self) -> None:
        if self._bar.has_class("-open"):
            self._bar.remove_class("-open")
            self._view.focus(scroll_visible=False)

    def _tell(self, text: str) -> None:
        """Say harmless text where a person types, or for a moment."""
        if self._bar.has_class("-open"):
            self._problem.update(text)
        elif text:
            self.notify(text, severity="warning", markup=False)

    def _set_pattern(self, pattern: Pattern | None) -> None:
        if self._searching:
            self._search = pattern
            self._mark()
        else:
            self._refilter(replace(self._lines.filter, pattern=pattern))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter, or mark what is searched; what is no pattern changes nothing."""
        event.stop()
        before = self._pattern
        if event.value == (before.text if before else ""):
            self._tell("")
            return
        try:
            pattern = Pattern(event.value) if event.value else None
        except BadInputError as error:
            self._tell(str(error))
            return
        self._tell("")
        self._set_pattern(pattern)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep it; a search goes to the nearest match, upwards from the end while following."""
        event.stop()
        pattern = self._pattern
        if event.value != (pattern.text if pattern else ""):
            return
        self._close()
        if self._searching and pattern is not None:
            self._find(pattern, -1 if self._view.following else 1, from_here=True)

    def on_pattern_input_taken_back(self, event: PatternInput.TakenBack) -> None:
        """Leave filter or search as it was."""
        event.stop()
        self._set_pattern(self._before)
        self._close()

    # Filter and search.

    def action_level(self) -> None:
        """Show less; after the errors everything, then less again."""
        self._set_level((self._lines.filter.level + 1) % len(LEVELS))

    def _set_level(self, level: int) -> None:
        self._refilter(replace(self._lines.filter, level=level))

    def action_source(self, step: int) -> None:
        """Show the next source only, and after the last one all."""
        sources = self._sources
        self._set_source(sources[(sources.index(self._lines.filter.source) + step) % len(sources)])

    @property
    def _sources(self) -> list[str]:
        """Everything there is to choose from; the empty one stands for all."""
        others = {*self._sites, *self._lines.sources, self._lines.filter.source} - {"", _SERVER}
        return ["", _SERVER, *sorted(others, key=natural)]

    def _set_source(self, source: str) -> None:
        self._refilter(replace(self._lines.filter, source=source))

    def action_choose(self, what: str) -> None:
        """Show a list of everything there is to choose from."""
        wanted = self._lines.filter
        if what == "source":
            found = self._sources
            texts = [source or _ALL_SITES for source in found]
            choose(self, "Source", texts, found.index(wanted.source), lambda place: self._set_source(found[place]))
        elif what == "level":
            choose(self, "Level", _LEVEL_TEXTS, wanted.level, self._set_level)

    def action_only(self) -> None:
        """Show only the source of the line under the cursor, or all again."""
        wanted, number = self._lines.filter, self._view.cursor
        if wanted.source:
            self._set_source("")
        elif number is not None:
            self._set_source(self._lines[number].source)

    def action_all(self) -> None:
        """End filter and search."""
        self._end_filter(_AT_FIRST)

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self._view.follow()

    def action_find(self, step: int) -> None:
        """Go to the next match of the search, without one of the filter."""
        pattern = self._search or self._lines.filter.pattern
        if pattern is not None:
            self._find(pattern, step)

    def _end_filter(self, wanted: LogFilter) -> None:
        self._search = None
        self._lines.show(wanted)
        self._mark()
        self._close()
        self._update()

    def _find(self, pattern: Pattern, step: int, *, from_here: bool = False) -> None:
        number = self._view.cursor
        if number is not None:
            begin = number - step if from_here else number
            self.run_worker(self._seek(pattern, begin, step), group="seek", exclusive=True)

    async def _seek(self, pattern: Pattern, number: int, step: int) -> None:
        try:
            for found in self._lines.seek(pattern, number, step, _SLICE):
                if found is not None:
                    self._view.go_to(found)
                    return
                await asyncio.sleep(0)
        except TooSlowError:
            self._search = None
            self._mark()
            self._tell(f"{safe(pattern.text)!r} takes too long on a line of this log")
            return
        self._tell(f"{safe(pattern.text)!r} is in no line that is shown")


def _title(wanted: LogFilter) -> Content:
    """The panel's name and its filter; every part can be clicked."""
    source = wanted.source or _ALL_SITES
    pattern = f"/{safe(wanted.pattern.text)}" if wanted.pattern else "filter"
    parts = [
        (bool(wanted.source), "choose('source')", f"{source} ▾"),
        (wanted.level != _AT_FIRST.level, "choose('level')", f"{_LEVEL_WORDS[wanted.level]} ▾"),
        (wanted.pattern is not None, "filter", pattern),
    ]
    title = Content(_NAME)
    for active, action, text in parts:
        style = "bold" if active else "$foreground-muted not bold"
        title += Content.from_markup(f"   [{style} @click={action}]$text[/]", text=text)
    return title
