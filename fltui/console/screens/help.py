"""The help screen: every key that does something on the screen below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from fltui.console.keys import AREAS, Key


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below.

    Args:
        keys: see `keys_of`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "leave", "Close", id="help.close"),
    ]

    def __init__(self, keys: list[Key]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """One block an area."""
        with VerticalScroll(classes="dialog help") as box:
            box.border_title = "Keys"
            yield Static(self._content(self.app), markup=False)

    def _content(self, app: App[Any]) -> Content:
        lines: list[Content] = []
        areas: dict[str, list[Key]] = {}
        for key in self._keys:
            areas.setdefault(key.area, []).append(key)
        for area in dict.fromkeys(AREAS.values()):
            rows = list(_rows(app, areas.get(area, [])))
            if rows:
                lines += [Content.styled(area, "bold $text-accent"), *rows, Content("")]
        return Content("\n").join(lines)

    def action_leave(self) -> None:
        """Back to the screen below."""
        self.dismiss(None)


def _rows(app: App[Any], keys: list[Key]) -> Iterator[Content]:
    """A line for every action of an area; keys that do the same stand together."""
    actions: dict[tuple[str, str], list[Binding]] = {}
    for key in keys:
        actions.setdefault((key.binding.action, key.binding.description), []).append(key.binding)
    for (_, description), bindings in actions.items():
        single = [one for binding in bindings for one in Binding.make_bindings([binding])]
        shown = " ".join(dict.fromkeys(app.get_key_display(one) for one in single))
        text = next((binding.tooltip for binding in bindings if binding.tooltip), "") or description
        yield Content.assemble((f"{shown:>16}", "bold $text-primary"), "  ", text)
