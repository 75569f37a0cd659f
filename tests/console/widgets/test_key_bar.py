"""The bottom line of keys."""

from __future__ import annotations

from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from fltui.console.widgets.key_bar import KeyBar

_GROUP = Binding.Group("panels", compact=True)


class Keys(App[None]):
    """An app with some keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "press('1')", "One", id="x.one", group=_GROUP),
        Binding("2", "press('2')", "Two", id="x.two", group=_GROUP),
        Binding("3", "press('3')", "Three", id="x.three", group=_GROUP),
        Binding("v", "press('v')", "View", id="x.view"),
        Binding("w", "press('w')", "[b]Wide[/b]", id="x.wide"),
        Binding("h", "press('h')", "Hidden", show=False, id="x.hidden"),
        Binding("o", "off", "Off", id="x.off"),
        Binding("question_mark", "press('?')", "Help", key_display="?", id="app.help"),
        Binding("x", "press('x')", "Quit", id="app.quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.pressed: list[str] = []
        self.on = False

    def compose(self) -> ComposeResult:
        """The bar alone."""
        yield Static("above")
        yield KeyBar()

    def action_press(self, key: str) -> None:
        """Note the key."""
        self.pressed.append(key)

    def action_off(self) -> None:
        """Nothing."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One key can be switched on."""
        return self.on if action == "off" else True


def _text(app: App[None]) -> str:
    return str(app.query_one(KeyBar).render())


async def test_what_can_be_done_is_shown_as_it_is_and_help_and_quit_at_the_end() -> None:
    app = Keys()
    async with app.run_test(size=(100, 5)):
        assert _text(app) == "1-3 panels  v View  w [b]Wide[/b]  ^p commands  ? Help  x Quit"


async def test_a_key_that_begins_to_do_something_appears() -> None:
    app = Keys()
    async with app.run_test(size=(100, 5)) as pilot:
        app.on = True
        app.screen.refresh_bindings()
        await pilot.pause()
        assert "o Off" in _text(app)


@pytest.mark.parametrize(
    ("width", "text"), [(40, "1-3 panels  v View  ? Help  x Quit"), (18, "? Help  x Quit"), (3, "")]
)
async def test_where_there_is_no_room_help_and_quit_stay(width: int, text: str) -> None:
    app = Keys()
    async with app.run_test(size=(width, 5)):
        assert _text(app) == text


async def test_a_click_presses_the_key() -> None:
    app = Keys()
    async with app.run_test(size=(100, 5)) as pilot:
        bar = _text(app)
        for words in ("View", "Help", "Quit"):
            await pilot.click(KeyBar, offset=(1 + bar.index(words), 0))
        await pilot.click(KeyBar, offset=(99, 0))
        assert app.pressed == ["v", "?", "x"]
