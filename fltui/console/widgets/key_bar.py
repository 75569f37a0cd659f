"""The bottom line: the keys that do something now.

Textual's `Footer` makes a widget for every key whenever the focus moves, which takes 20 to 60 ms with the keys there
are here; this is one line of text.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

_LAST = ("run.back", "app.help", "app.quit")
"""Ids of the keys that are never left out."""

_GAP = "  "


class _Part(NamedTuple):
    keys: str
    words: str
    pressed: str
    last: bool

    @property
    def content(self) -> Content:
        return Content.assemble((self.keys, "bold $footer-key-foreground"), " ", self.words)


class KeyBar(Widget):
    """Shows the keys that do something where the focus is, as many as fit; a click on one is as good as pressing it."""

    DEFAULT_CSS = """
    KeyBar {
        dock: bottom;
        height: 1;
        padding: 0 1;
        background: $footer-background;
        color: $footer-description-foreground;
    }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[range, str]] = []

    def on_mount(self) -> None:
        """Follow what can be done."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[Any]) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        """The keys in the order of the tables, then those that are never left out."""
        shown: list[_Part] = []
        room = self.size.width
        parts = self._parts()
        for part in [*filter(lambda part: part.last, parts), *filter(lambda part: not part.last, parts)]:
            needed = part.content.cell_length + (len(_GAP) if shown else 0)
            if needed <= room:
                room -= needed
                shown.append(part)
        shown.sort(key=lambda part: part.last)
        self._places = []
        at = 0
        for part in shown:
            length = part.content.cell_length
            self._places.append((range(at, at + length), part.pressed))
            at += length + len(_GAP)
        return Content(_GAP).join(part.content for part in shown)

    async def on_click(self, event: events.Click) -> None:
        """Press the key under the mouse."""
        where = event.get_content_offset(self)
        for place, key in self._places:
            if where is not None and where.x in place:
                await self.app.run_action(f"app.simulate_key({key!r})")

    def _parts(self) -> list[_Part]:
        found: dict[str, Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show and active.enabled:
                found.setdefault(active.binding.action, active.binding)
        parts = []
        for group, members in groupby(found.values(), lambda binding: binding.group):
            bindings = list(members)
            if group is None:
                parts += [self._part(binding) for binding in bindings]
            else:
                keys = [self.app.get_key_display(binding) for binding in bindings]
                text = f"{keys[0]}-{keys[-1]}" if len(keys) > 2 else "".join(keys)
                parts.append(_Part(text, group.description, bindings[0].key, last=False))
        palette = self.screen.active_bindings.get(self.app.COMMAND_PALETTE_BINDING)
        if palette is not None:
            parts.append(_Part(self.app.get_key_display(palette.binding), "commands", palette.binding.key, last=False))
        return parts

    def _part(self, binding: Binding) -> _Part:
        return _Part(self.app.get_key_display(binding), binding.description, binding.key, last=binding.id in _LAST)
