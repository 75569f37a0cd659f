"""A line in which a person types."""

from __future__ import annotations

from textual.widgets import Input

from fltui.console.safe import safe


class Entry(Input):
    """An `Input` whose text is always harmless: what is pasted into it may come from anywhere."""

    def replace(self, text: str, start: int, end: int) -> None:
        """Put in text that is typed or pasted; what would act on the terminal becomes visible."""
        super().replace(safe(text), start, end)

    def validate_value(self, value: str) -> str:
        """Make harmless what is set as a whole, too."""
        return safe(value)
