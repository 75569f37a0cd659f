"""The log panel in a small app of its own, and lines for it."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from fltui.console.widgets.log import LogPanel
from fltui.console.widgets.log_view import LogView
from fltui.run.logs import LogLine

HOSTILE = "\x1b]0;owned\x07\x1b]52;c;YQ==\x07\x9b2J\u202eevil [@click=app.quit]x[/] [bold]b[/]"
FOREVER = "a" * 1500 + "!"


class Shown(App[None]):
    """A log panel with a border, as on the run screen."""

    CSS = "LogPanel { border: round $border; }"

    def compose(self) -> ComposeResult:
        yield LogPanel(id="log")

    @property
    def panel(self) -> LogPanel:
        return self.query_one(LogPanel)

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def rows(self) -> list[str]:
        """The lines that can be seen, without blanks at the end."""
        height = self.view.scrollable_content_region.height
        return [
            strip.text.rstrip()
            for strip in self.view.render_lines(self.view.size.region)[:height]
            if strip.text.strip()
        ]

    @property
    def texts(self) -> list[str]:
        """The last word of each of them."""
        return [row.split()[-1] for row in self.rows]

    @property
    def head(self) -> str:
        return self.panel.border_title or ""

    @property
    def foot(self) -> str:
        return self.panel.border_subtitle or ""


def line(text: str, source: str = "site-1", level: str = "INFO", second: int = 0) -> LogLine:
    return LogLine(f"2026-01-31T12:00:{second:02}.412Z", source, level, text)


def numbered(count: int, first: int = 0) -> list[LogLine]:
    return [line(f"n{number}") for number in range(first, first + count)]


async def start(app: Shown, pilot: Pilot[None], lines: list[LogLine]) -> None:
    app.view.focus()
    app.panel.append(lines)
    await settled(app, pilot)


async def settled(app: Shown, pilot: Pilot[None]) -> None:
    await app.workers.wait_for_complete()
    await pilot.pause()


def entries(app: Shown) -> list[str]:
    """What there is to choose from."""
    return [str(option.prompt) for option in app.screen.query_one(OptionList).options]


async def type_text(pilot: Pilot[None], text: str) -> None:
    pilot.app.query_one(Input).value = text
    await pilot.pause()


def mixed() -> list[LogLine]:
    return [
        line("a1", "server"),
        line("b1", "site-2"),
        line("a2", "site-10", "WARN"),
        line("b2", "site-2", "ERROR"),
    ]
