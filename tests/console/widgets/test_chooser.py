"""A list to choose from."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import Input, OptionList

from fltui.console.widgets.chooser import Chooser, choose

HOSTILE = r"\x1b[31m [@click=app.quit]x[/] [bold]b[/]"


class ChooserApp(App[None]):
    """Something for which one can choose."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[int] = []

    def compose(self) -> ComposeResult:
        yield Widget(id="asker")

    def ask(self, texts: list[str], chosen: int = 0, title: str = "Letter") -> None:
        choose(self.query_one("#asker"), title, texts, chosen, self.taken.append)

    @property
    def options(self) -> list[str]:
        return [str(option.prompt) for option in self.screen.query_one(OptionList).options]


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        (["enter"], [1]),
        (["down", "enter"], [2]),
        (["up", "enter"], [0]),
        (["pagedown", "enter"], [3]),
        (["pagedown", "pageup", "enter"], [0]),
        (["tab", "shift+tab", "enter"], [1]),
        ([*"DEL", "enter"], [3]),
        (["x", "enter"], []),
        (["x", "backspace", "enter"], [0]),
        (["down", "escape"], []),
    ],
)
async def test_keys_choose(keys: list[str], taken: list[int]) -> None:
    app = ChooserApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.ask(["alpha", "beta", "gamma", "delta"], 1)
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        assert app.taken == taken
        assert not isinstance(app.screen, Chooser)


async def test_a_click_chooses() -> None:
    app = ChooserApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.ask(["alpha", "beta"])
        await pilot.pause()
        await pilot.click(OptionList, offset=(2, 1))
        await pilot.pause()
        assert app.taken == [1]


async def test_what_is_asked_for_something_that_is_gone_is_dropped() -> None:
    app = ChooserApp()
    async with app.run_test(size=(80, 24)) as pilot:
        asker = app.query_one("#asker")
        app.ask(["alpha", "beta"])
        await pilot.pause()
        await asker.remove()
        await pilot.press("enter")
        await pilot.pause()
        assert app.taken == []


async def test_of_a_long_list_those_around_the_chosen_one_are_listed_and_the_filter_finds_the_others() -> None:
    app = ChooserApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.ask([f"site-{number}" for number in range(2000)], 1500)
        await pilot.pause()
        assert len(app.options) == 500
        assert "site-1500" in app.options
        await pilot.press(*"-7", "enter")
        await pilot.pause()
        assert app.taken == [7]


async def test_texts_are_never_markup_and_what_is_pasted_does_not_act_on_the_terminal() -> None:
    app = ChooserApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.ask([HOSTILE], title=HOSTILE)
        await pilot.pause()
        assert app.options == [HOSTILE]
        line = app.screen.query_one(Input)
        line.post_message(events.Paste("\x1b]52;c;YQ==\x07"))
        await pilot.pause()
        assert line.value == r"\x1b]52;c;YQ==\x07"


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (20, 5)])
async def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    app = ChooserApp()
    async with app.run_test(size=size) as pilot:
        app.ask(["alpha", "beta"])
        await pilot.pause()
        await pilot.press("down", "enter")
        await pilot.pause()
        assert app.taken == [1]
