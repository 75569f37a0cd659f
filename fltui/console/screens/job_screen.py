"""A job's page: what it is, its script, and the keys to run or serve it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from fltui.console.runs.listing import JobEntry
from fltui.console.safe import safe
from fltui.console.widgets.key_bar import KeyBar

_MOST_LINES = 400
_MOST_BYTES = 64 << 10


class JobScreen(ModalScreen[str]):
    """Shows a job; gives ``run`` or ``server`` if it is to be started.

    Args:
        job: which.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "begin('run')", "Run", id="job.run", tooltip="Run the job in the simulator"),
        Binding("s", "begin('server')", "Serve", id="job.serve", tooltip="Serve the job to clients in other shells"),
        Binding("escape,q", "leave", "Back", id="job.back"),
    ]

    def __init__(self, job: JobEntry) -> None:
        super().__init__()
        self._job = job

    def compose(self) -> ComposeResult:
        """Name, path, text."""
        with Vertical(classes="dialog page"):
            yield Static(self._job.name, markup=False, classes="dialog-title")
            yield Static(safe(str(self._job.path)), markup=False, classes="muted")
            with VerticalScroll():
                yield Static(_text_of(self._job.path), markup=False)
        yield KeyBar()

    def action_begin(self, command: str) -> None:
        """Start the job."""
        self.dismiss(command)

    def action_leave(self) -> None:
        """Back to the list."""
        self.dismiss(None)


def _text_of(path: Path) -> str:
    """The job script, or the configuration of the server in a job folder."""
    file = path if path.is_file() else next(iter(sorted(path.glob("app*/config/config_fed_server.json"))), path)
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES).decode("utf-8", "backslashreplace")
    except OSError as error:
        return f"{safe(str(file))} cannot be read: {error.strerror}"
    return "\n".join(safe(line) for line in text.splitlines()[:_MOST_LINES])
