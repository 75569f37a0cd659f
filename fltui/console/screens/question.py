"""Questions: small screens above another that say what will happen and take one answer."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from fltui.console.safe import safe

_A = TypeVar("_A")


class Question(ModalScreen[_A | None], Generic[_A]):
    """A question with a button for every answer; ``escape`` gives None.

    Args:
        title: what it is about.
        text: what will happen.
        answers: label and value of every answer; the first one has the focus.
        danger: the value whose button looks dangerous.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="question.cancel"),
        Binding("left", "app.focus_previous", "Previous answer", show=False, id="question.previous"),
        Binding("right", "app.focus_next", "Next answer", show=False, id="question.next"),
    ]

    def __init__(self, title: str, text: str, answers: list[tuple[str, _A]], danger: _A | None = None) -> None:
        super().__init__()
        self._title = safe(title)
        self._text = "\n".join(map(safe, text.splitlines()))
        self._answers = answers
        self._danger = danger

    def compose(self) -> ComposeResult:
        """Title, text, buttons."""
        with Vertical(classes="dialog"):
            yield Static(self._title, markup=False, classes="dialog-title")
            yield Static(self._text, markup=False, classes="dialog-text")
            with Horizontal(classes="dialog-answers"):
                for number, (label, value) in enumerate(self._answers):
                    yield Button(label, variant="error" if value == self._danger else "default", id=f"answer-{number}")

    def on_mount(self) -> None:
        """The first answer is the one that ``enter`` gives."""
        self.query_one("#answer-0", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Take the answer."""
        number = int((event.button.id or "answer-0").removeprefix("answer-"))
        self.dismiss(self._answers[number][1])

    def action_leave(self) -> None:
        """No answer."""
        self.dismiss(None)
