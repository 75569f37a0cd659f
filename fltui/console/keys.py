"""The keys of the console: one register, filled from the tables that make them work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

AREAS = {
    "app": "Everywhere",
    "home": "Home",
    "queue": "Queue",
    "run": "Run",
    "banner": "Reason",
    "table": "Lists",
    "weights": "Weights",
    "matrix": "Weights",
    "slice": "Weights",
    "metrics": "Metrics",
    "exchange": "Exchange",
    "preview": "Exchange",
    "log": "Log",
    "cross": "Cross-site",
}
"""The first part of a binding's id, and what it is called."""

_MOVEMENTS = {"up", "down", "left", "right", "page_up", "page_down", "page_left", "page_right", "first", "last", "home"}
"""The last part of the ids of movements, which are no commands."""


@dataclass(frozen=True)
class Key:
    """A binding of the console.

    Attributes:
        binding: as it stands in the table.
        node: whose table it is; its action is run there.
    """

    binding: Binding
    node: DOMNode

    @property
    def area(self) -> str:
        """What it belongs to."""
        return AREAS[(self.binding.id or "").partition(".")[0]]

    @property
    def title(self) -> str:
        """Its name in the command palette."""
        return f"{self.area}: {self.binding.description}"

    @property
    def text(self) -> str:
        """What it does."""
        return self.binding.tooltip or self.binding.description

    @property
    def in_palette(self) -> bool:
        """Whether it is a command and not a movement of a cursor."""
        area, _, name = (self.binding.id or "").partition(".")
        return name not in _MOVEMENTS and area not in ("table", "matrix", "preview", "slice")

    async def run(self) -> None:
        """Do it, as its key would."""
        await self.node.app.run_action(self.binding.action, self.node)


def keys_of(screen: Screen[Any], overrides: Mapping[str, str] | None = None) -> list[Key]:
    """Every binding with an id in the console's areas: of the app, of `screen` and of all widgets on it.

    Args:
        screen: where.
        overrides: a person's own keys by binding id.
    """
    found: dict[str, Key] = {}
    for node in (screen.app, screen, *screen.walk_children()):
        for binding in bindings_of(type(node)):
            if binding.id and binding.id not in found and binding.id.partition(".")[0] in AREAS:
                keys = (overrides or {}).get(binding.id)
                found[binding.id] = Key(binding.with_key(keys) if keys else binding, node)
    return list(found.values())


def bindings_of(kind: type[DOMNode]) -> Iterator[Binding]:
    """The bindings in the tables of a class and of those it is made from."""
    for base in kind.__mro__:
        for binding in vars(base).get("BINDINGS", ()):
            if isinstance(binding, Binding):
                yield binding


def all_bindings() -> list[Binding]:
    """Every binding of the console, by area and as they stand in the tables; each once."""
    found: dict[str, Binding] = {}
    kinds: list[type[DOMNode]] = [DOMNode]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("fltui.console"):
            found.update((binding.id, binding) for binding in bindings_of(kind) if binding.id)
    places = list(AREAS)

    def place(binding: Binding) -> tuple[int, str]:
        area = (binding.id or "").partition(".")[0]
        return (places.index(area), "") if area in AREAS else (len(places), area)

    return sorted(found.values(), key=place)


def binding_ids() -> set[str]:
    """The ids of all bindings: what a person's own keys may name."""
    return {binding.id for binding in all_bindings() if binding.id}
