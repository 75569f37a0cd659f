"""The weights of a run: the global model, what the sites made of it, and the differences, as they lie on disk."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input
from textual.worker import get_current_worker

from fltui.console.arrays.files import Array
from fltui.console.arrays.heat import ColourScale
from fltui.console.arrays.numerals import Numerals
from fltui.console.arrays.slices import Index, first_slice, fits, next_slice, parse_slice, slice_text
from fltui.console.arrays.sources import GLOBAL_MODEL, Gap, Loaded, Plan, Shown, load, plan, sources_of
from fltui.console.arrays.statistics import CHUNK, Findings, Remembered, Statistics, Watch, find_out, sample_of
from fltui.console.runs.view import RunView
from fltui.console.widgets.chooser import choose
from fltui.console.widgets.entry import Entry
from fltui.console.widgets.figures import legend, statistics_parts
from fltui.console.widgets.histogram import HistogramView
from fltui.console.widgets.matrix import MatrixView
from fltui.console.widgets.panel import Panel
from fltui.console.widgets.parts import Part, PartsLine, choice, value
from fltui.errors import BadInputError, FltuiError

View = Literal["values", "heat", "histogram"]
VIEWS: tuple[View, ...] = ("values", "heat", "histogram")

_TELL = 0.2
"""Seconds between two reports on how far the counting is."""


class SliceInput(Entry):
    """The text of a slice."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Leave the slice", id="slice.leave"),
    ]
    DEFAULT_CSS = """
    SliceInput, SliceInput:focus { max-width: 50%; height: 1; border: none; padding: 0 1; }
    SliceInput.-wrong { color: $text-error; }
    """

    class Left(Message):
        """A person does not want another slice after all."""

    def action_give_up(self) -> None:
        """Leave it as it was."""
        self.post_message(self.Left())


class WeightsPanel(Panel):
    """An array of the run as numbers, colours or a histogram, with what its elements amount to."""

    DEFAULT_CSS = """
    WeightsPanel {
        layout: vertical;

        & > #weights-top { dock: top; height: 1; }
        & > #weights-top > PartsLine { width: 1fr; }
        & > #weights-bottom { dock: bottom; height: auto; max-height: 50%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "next_view", "View", id="weights.view", tooltip="Numbers, colours or a histogram"),
        Binding("s", "next_source(1)", "Source", id="weights.source", tooltip="The model, a result, or a change"),
        Binding("S", "next_source(-1)", "Source before", show=False, id="weights.source_before"),
        Binding("O", "choose('source')", "Sources", show=False, id="weights.sources", tooltip="Choose from a list"),
        Binding(
            "p", "next_parameter(1)", "Parameter", show=False, id="weights.parameter", tooltip="Next array of the model"
        ),
        Binding("P", "next_parameter(-1)", "Parameter before", show=False, id="weights.parameter_before"),
        Binding("o", "choose('parameter')", "Parameters", show=False, id="weights.parameters"),
        Binding(
            "i", "edit_slice", "Slice", show=False, id="weights.slice", tooltip="Type which part of the array is shown"
        ),
        Binding("right_square_bracket", "next_slice(1)", "Next slice", show=False, id="weights.slice_after"),
        Binding("left_square_bracket", "next_slice(-1)", "Slice before", show=False, id="weights.slice_before"),
    ]

    class Ready(Message):
        """A thread has looked at the disk."""

        def __init__(self, asked: str, loaded: Loaded, sample: Statistics, known: Findings) -> None:
            super().__init__()
            self.asked = asked
            self.loaded = loaded
            self.sample = sample
            self.known = known

    class Progress(Message):
        """A thread has counted something."""

        def __init__(self, array: Array, known: Findings) -> None:
            super().__init__()
            self.array = array
            self.known = known

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._view: RunView | None = None
        self._source = GLOBAL_MODEL
        self._parameter = ""
        self._index: Index = ()
        self._shown_as: View = "values"
        self._wanted: tuple[Plan | Gap, str] | None = None
        self._loading = False
        self._loaded: Loaded | None = None
        self._groups: dict[str, None] = {}
        self._gap = Gap(GLOBAL_MODEL, "no round has begun yet: there is no model to show")
        self._known = Findings()
        self._remembered = Remembered()
        self._matrix = MatrixView()
        self._histogram = HistogramView()
        self._selectors = PartsLine(id="weights-selectors")
        self._slice = SliceInput(compact=True, select_on_focus=False)
        self._cursor_line = PartsLine(id="weights-cursor")
        self._statistics_line = PartsLine(id="weights-statistics")

    def compose(self) -> ComposeResult:
        """The matrix first: it is what gets the focus."""
        yield self._matrix
        yield self._histogram
        with Horizontal(id="weights-top"):
            yield self._selectors
            yield self._slice
        with Vertical(id="weights-bottom"):
            yield self._cursor_line
            yield self._statistics_line

    def on_mount(self) -> None:
        """Nothing is known yet."""
        self._slice.display = False
        self._show_gap(self._gap)
        self._show_view()

    # What is shown.

    def show_run(self, view: RunView) -> None:
        """See `Panel.show_run`."""
        self._view = view
        self._want()

    def copied(self) -> str:
        """The number under the cursor with its name and index; of a histogram, the line of statistics."""
        if self._loaded is None or self._loaded.array is None:
            return ""
        if self._shown_as == "histogram":
            return self._statistics_line.text
        index, text = self._matrix.cursor, self._matrix.cursor_text()
        return f"{self._loaded.parameter}{list(index)} = {text}" if index is not None and text else ""

    @property
    def source(self) -> Shown:
        """What a person wants to see."""
        return self._source

    @property
    def parameter(self) -> str:
        """The parameter that is shown; empty without one."""
        return self._loaded.parameter if self._loaded is not None else ""

    def _want(self) -> None:
        """Have shown what should be, unless it is."""
        if self._view is None or not self.is_mounted:
            return
        wanted = (plan(self._view, self._source), self._parameter)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if isinstance(wanted[0], Gap):
            self._show_gap(wanted[0])
        elif not self._loading:
            self._load(*wanted)

    def _load(self, what: Plan | Gap, parameter: str) -> None:
        if isinstance(what, Plan):
            self._loading = True
            self.run_worker(partial(self._look, what, parameter), thread=True, group="load")

    def _look(self, what: Plan, parameter: str) -> None:
        """In a thread: open the array; of a small one, count everything, so that nothing flickers."""
        loaded = load(what, parameter)
        sample, known = Statistics(), Findings()
        try:
            if loaded.array is not None:
                sample = sample_of(loaded.array)
                if loaded.array.size <= CHUNK:
                    known = find_out(loaded.array, loaded.base, known, histogram=True)
        except FltuiError as error:
            loaded.array, loaded.problem = None, str(error)
        self.post_message(self.Ready(parameter, loaded, sample, known))

    def on_weights_panel_ready(self, event: Ready) -> None:
        """Show what was found; if something else is wanted by now, look again.

        An older round of the same source is shown all the same: rounds may come faster than a slow disk is read.
        """
        event.stop()
        self._loading = False
        wanted, parameter = self._wanted or (None, "")
        if isinstance(wanted, Plan):
            if wanted.source == event.loaded.plan.source and parameter == event.asked:
                self._show_loaded(event)
            if (event.loaded.plan, event.asked) != self._wanted:
                self._load(wanted, parameter)

    def _show_loaded(self, event: Ready) -> None:
        loaded, array = event.loaded, event.loaded.array
        another = self._loaded is not None and self._loaded.parameter not in ("", loaded.parameter)
        self.workers.cancel_group(self, "count")
        self._loaded, self._known = loaded, event.known
        self._groups.update(dict.fromkeys(loaded.groups))
        if array is None:
            self._say(loaded.problem)
        else:
            if not fits(self._index, array.shape):
                self._index = first_slice(array.shape)
            if event.known.statistics is None:
                self._known = self._remembered.of(array, loaded.base)
            if another:
                self._matrix.begin()
            known = self._known.statistics or event.sample
            self._matrix.show(array, self._index, Numerals.of(array.dtype, event.sample), self._scale_of(known))
            self._show_known()
            self._count_rest()
        self._show_slice()
        self._show_selectors()

    def _scale_of(self, known: Statistics) -> ColourScale:
        return ColourScale.over(known.minimum, known.maximum, signed=self._is_signed)

    def _show_gap(self, gap: Gap) -> None:
        self._gap = gap
        self._loaded = None
        self._known = Findings()
        self.workers.cancel_group(self, "count")
        self._say(gap.why)
        self._show_slice()
        self._show_selectors()

    def _say(self, sentence: str) -> None:
        self._matrix.say(sentence)
        self._histogram.say(sentence)
        self._cursor_line.show([])
        self._statistics_line.show([])

    # Counting.

    def _count_rest(self) -> None:
        """Count in a thread what is not known yet."""
        loaded, known = self._loaded, self._known
        if loaded is None or loaded.array is None or known.problem:
            return
        histogram = self._shown_as == "histogram"
        missing = known.statistics is None or (histogram and known.histogram is None)
        if missing or (loaded.base is not None and known.distance is None):
            work = partial(self._count, loaded.array, loaded.base, known, histogram=histogram)
            self.run_worker(work, thread=True, group="count", exclusive=True)

    def _count(self, array: Array, base: Array | None, known: Findings, *, histogram: bool) -> None:
        """In a thread: first what the line of statistics needs, then the rest."""
        worker, told = get_current_worker(), time.monotonic()

        def tell_done(done: float) -> None:
            nonlocal told
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                self.post_message(self.Progress(array, replace(known, done=done)))

        watch = Watch(lambda: worker.is_cancelled, tell_done)
        try:
            for away, spread in ((None, False), (None, histogram), (base, histogram)):
                known = find_out(array, away, known, histogram=spread, watch=watch)
                if worker.is_cancelled:
                    return
                self.post_message(self.Progress(array, known))
        except FltuiError as error:
            self.post_message(self.Progress(array, replace(known, problem=str(error))))

    def on_weights_panel_progress(self, event: Progress) -> None:
        """Show what was counted, unless another array is shown by now."""
        event.stop()
        loaded, known = self._loaded, event.known
        if loaded is not None and event.array is loaded.array:
            self._known = known
            if known.statistics is not None:
                self._matrix.rescale(self._scale_of(known.statistics))
                if not known.problem:
                    self._remembered.keep(event.array, loaded.base, known)
            self._show_known()

    def _show_known(self) -> None:
        known = self._known
        if known.problem:
            self._statistics_line.show([Part(((known.problem, "error"),))])
            self._histogram.say(known.problem)
            return
        reading = f"reading … {known.done:.0%}" if known.done else "reading …"
        if known.histogram is not None:
            self._histogram.show(known.histogram)
        else:
            self._histogram.say(reading)
        if known.statistics is None:
            self._statistics_line.show([Part(((reading, "label"),))])
        else:
            self._statistics_line.show(statistics_parts(known, signed=self._is_signed, whole=self._is_whole))
        self._show_cursor()

    # The lines around it.

    def _show_selectors(self) -> None:
        loaded = self._loaded
        waits = loaded is not None and loaded.plan.source != self._source
        parts = [choice(f"{self._source} …" if waits else str(self._source), "source")]
        if loaded is not None:
            if loaded.parameter:
                parts.append(choice(loaded.parameter, "parameter"))
            if loaded.dtype:
                parts.append(Part(((f"{loaded.shape} {loaded.dtype}", "label"),), rank=2))
            parts.append(Part(((loaded.plan.when, "value"),), rank=1))
        elif self._gap.when:
            parts.append(Part(((self._gap.when, "value"),), rank=1))
        parts.append(choice(self._shown_as, "view"))
        self._selectors.show(parts)

    def _show_slice(self) -> None:
        array = self._loaded.array if self._loaded is not None else None
        shown = array is not None and len(array.shape) > 2 and self._shown_as != "histogram"
        if shown != self._slice.display:
            if self._slice.has_focus:
                self._focus_body()
            self._slice.display = shown
            self.refresh_bindings()
        if shown and not self._slice.has_focus:
            self._write_slice()

    def _show_cursor(self) -> None:
        index = self._matrix.cursor
        if self._shown_as == "histogram" or index is None:
            self._cursor_line.show([])
            return
        parts = [value(f"[{', '.join(map(str, index))}]", self._matrix.cursor_text())]
        if self._shown_as == "heat":
            plain, dark = self.app.no_color, self.app.current_theme.dark
            parts.append(legend(self._matrix.scale, plain=plain, dark=dark, whole=self._is_whole))
        self._cursor_line.show(parts)

    @property
    def _is_signed(self) -> bool:
        """Whether the array is a difference."""
        return self._loaded is not None and self._loaded.plan.signed

    @property
    def _is_whole(self) -> bool:
        """Whether the array holds whole numbers."""
        array = self._loaded.array if self._loaded is not None else None
        return array is not None and array.dtype[1] != "f"

    def on_matrix_view_moved(self, event: MatrixView.Moved) -> None:
        """Tell the number under the cursor."""
        event.stop()
        self._show_cursor()

    # Choosing.

    def action_next_view(self) -> None:
        """Numbers, colours, histogram."""
        self._set_view(VIEWS[(VIEWS.index(self._shown_as) + 1) % len(VIEWS)])

    def _set_view(self, view: View) -> None:
        self._shown_as = view
        self._show_view()
        self._show_slice()
        self._show_selectors()
        self._show_cursor()
        self._count_rest()

    def _show_view(self) -> None:
        """Only what can be seen can have the focus."""
        histogram = self._shown_as == "histogram"
        focused = self._matrix.has_focus or self._histogram.has_focus
        self._matrix.can_focus, self._histogram.can_focus = not histogram, histogram
        self._matrix.display, self._histogram.display = not histogram, histogram
        if not histogram:
            self._matrix.mode = "heat" if self._shown_as == "heat" else "values"
        if focused:
            self._focus_body()

    def _focus_body(self) -> None:
        (self._histogram if self._shown_as == "histogram" else self._matrix).focus(scroll_visible=False)

    def action_next_source(self, step: int) -> None:
        """The source after or before, around at both ends."""
        if self._view is not None:
            found = sources_of(self._view, self._groups)
            place = found.index(self._source) if self._source in found else 0
            self._set_source(found[(place + step) % len(found)])

    def _set_source(self, source: Shown) -> None:
        self._source = source
        self._want()
        self._show_selectors()

    def action_next_parameter(self, step: int) -> None:
        """The parameter after or before, around at both ends."""
        if self._loaded is not None and self._loaded.parameter:
            names = self._loaded.names
            self._set_parameter(names[(names.index(self._loaded.parameter) + step) % len(names)])

    def _set_parameter(self, name: str) -> None:
        self._parameter = name
        self._want()

    def action_choose(self, what: str) -> None:
        """Show a list of everything there is to choose from."""
        if what == "view":
            choose(self, "View", list(VIEWS), VIEWS.index(self._shown_as), lambda place: self._set_view(VIEWS[place]))
        elif what == "source" and self._view is not None:
            found = sources_of(self._view, self._groups)
            place = found.index(self._source) if self._source in found else 0
            choose(self, "Source", list(map(str, found)), place, lambda place: self._set_source(found[place]))
        elif what == "parameter" and self._loaded is not None and self._loaded.parameter:
            names = self._loaded.names
            place = names.index(self._loaded.parameter)
            choose(self, "Parameter", names, place, lambda place: self._set_parameter(names[place]))

    def on_parts_line_opened(self, event: PartsLine.Opened) -> None:
        """A click on a selector opens its list."""
        event.stop()
        self.action_choose(event.name)

    # The slice.

    def action_edit_slice(self) -> None:
        """Put the focus into the text of the slice."""
        self._slice.focus()

    def action_next_slice(self, step: int) -> None:
        """The slice after or before."""
        if self._loaded is not None and self._loaded.array is not None:
            self._set_slice(next_slice(self._index, self._loaded.array.shape, step))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show another slice, or say why there is none."""
        event.stop()
        if self._loaded is None or self._loaded.array is None:
            return
        try:
            index = parse_slice(event.value, self._loaded.array.shape)
        except BadInputError as error:
            self._slice.add_class("-wrong")
            self._cursor_line.show([Part(((str(error), "error"),))])
            return
        self._focus_body()
        self._set_slice(index)

    def _set_slice(self, index: Index) -> None:
        loaded = self._loaded
        if loaded is not None and loaded.array is not None and fits(index, loaded.array.shape):
            self._index = index
            self._matrix.reslice(index)
            self._write_slice()

    def _write_slice(self) -> None:
        text = slice_text(self._index)
        self._slice.value = text
        self._slice.styles.width = len(text) + 5
        self._slice.remove_class("-wrong")

    def on_slice_input_left(self, event: SliceInput.Left) -> None:
        """Back to the matrix, with the slice as it was."""
        event.stop()
        self._focus_body()
        self._set_slice(self._index)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """Slices are of arrays with more than two axes."""
        return action not in ("edit_slice", "next_slice") or bool(self._slice.display)
