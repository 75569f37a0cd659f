"""A line in which a person types."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App, ComposeResult

from fltui.console.widgets.entry import Entry


class EntryApp(App[None]):
    """One line."""

    def compose(self) -> ComposeResult:
        yield Entry(compact=True)

    @property
    def entry(self) -> Entry:
        return self.query_one(Entry)


@pytest.mark.parametrize(
    ("pasted", "shown"),
    [
        ("loss 0.5", "loss 0.5"),
        ("\x1b]52;c;YQ==\x07", r"\x1b]52;c;YQ==\x07"),
        ("\x9b2Ja\u202eb", r"\x9b2Ja\u202eb"),
        ("a\tb", "a    b"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ],
)
async def test_what_is_pasted_is_harmless(pasted: str, shown: str) -> None:
    app = EntryApp()
    async with app.run_test(size=(60, 3)) as pilot:
        app.entry.post_message(events.Paste(pasted))
        await pilot.pause()
        assert app.entry.value == shown
        assert app.entry.render_line(0).text.strip() == shown
        await pilot.press("!")
        assert app.entry.value == f"{shown}!"


async def test_so_is_what_comes_from_the_clipboard_of_the_app() -> None:
    app = EntryApp()
    async with app.run_test(size=(60, 3)) as pilot:
        app.copy_to_clipboard("\x1b[31m")
        await pilot.press("ctrl+v")
        assert app.entry.value == r"\x1b[31m"
