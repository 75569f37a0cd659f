"""A list to choose from, with a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from fltui.console.widgets.entry import Entry

_MOST = 500
"""Entries that are listed; the filter finds the others."""


class Chooser(ModalScreen[int | None]):
    """Gives the place of the entry that was chosen; ``escape`` gives None.

    Args:
        title: harmless words for what is chosen.
        texts: the entries, harmless.
        chosen: place of the entry with the cursor.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="chooser.cancel"),
        Binding("up", "move(-1)", "Entry above", show=False, id="chooser.up"),
        Binding("down", "move(1)", "Entry below", show=False, id="chooser.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="chooser.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="chooser.page_down"),
        Binding("tab,shift+tab", "move(0)", "Stay", show=False, id="chooser.stay"),
    ]
    DEFAULT_CSS = """
    Chooser {
        align: center middle;

        & > Vertical {
            width: auto;
            min-width: 24;
            max-width: 90%;
            height: auto;
            max-height: 80%;
            padding: 0 1;
            border: round $border;
            border-title-color: $text-accent;
            background: $surface;
        }
        & Input { width: 100%; margin: 0 0 1 0; background: $surface; }
        & OptionList {
            width: auto;
            min-width: 22;
            max-width: 100%;
            height: auto;
            max-height: 24;
            border: none;
            padding: 0;
            background: $surface;
            scrollbar-size-vertical: 1;
        }
        & OptionList:focus { border: none; }
    }
    """

    def __init__(self, title: str, texts: Sequence[str], chosen: int = 0) -> None:
        super().__init__()
        self._title = title
        self._texts = list(texts)
        self._chosen = chosen
        self._found: list[int] = []

    def compose(self) -> ComposeResult:
        """Filter and list."""
        with Vertical() as box:
            box.border_title = Content(self._title).markup
            yield Entry(placeholder="filter", compact=True)
            options = OptionList(compact=True)
            options.can_focus = False  # what is typed goes to the filter, whatever was clicked
            yield options

    def on_mount(self) -> None:
        """List everything; an application that is being left does not make the list any more."""
        if not self.query(OptionList):
            return
        self._list("")
        if self._chosen in self._found:
            self._options.highlighted = self._found.index(self._chosen)
        self.query_one(Input).focus()

    @property
    def _options(self) -> OptionList:
        return self.query_one(OptionList)

    def _list(self, text: str) -> None:
        needle = text.casefold()
        found = [place for place, name in enumerate(self._texts) if needle in name.casefold()]
        if len(found) > _MOST:
            start = max(0, min(self._chosen - _MOST // 2, len(found) - _MOST)) if not needle else 0
            found = found[start : start + _MOST]
        self._found = found
        self._options.clear_options()
        self._options.add_options(Option(Content(self._texts[place])) for place in found)
        self._options.highlighted = 0 if found else None

    def on_input_changed(self, event: Input.Changed) -> None:
        """List what contains the text."""
        event.stop()
        self._list(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Choose the entry with the cursor."""
        event.stop()
        place = self._options.highlighted
        self.dismiss(None if place is None else self._found[place])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Choose the entry that was clicked."""
        event.stop()
        self.dismiss(self._found[event.option_index])

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        if step:
            (self._options.action_cursor_down if step > 0 else self._options.action_cursor_up)()

    def action_page(self, step: int) -> None:
        """Move the cursor by a page."""
        self._options.call_later(self._options.action_page_down if step > 0 else self._options.action_page_up)

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)


def choose(asker: Widget, title: str, texts: Sequence[str], chosen: int, take: Callable[[int], None]) -> None:
    """Have a person choose from a list.

    Args:
        asker: for whom; if it is gone by then, nothing happens.
        title: harmless words for what is chosen.
        texts: the entries, harmless.
        chosen: place of the entry with the cursor.
        take: is given the place of the entry that was chosen, if one was.
    """

    def answered(place: int | None) -> None:
        if place is not None and asker.is_attached:
            take(place)

    asker.app.push_screen(Chooser(title, texts, chosen), answered)
