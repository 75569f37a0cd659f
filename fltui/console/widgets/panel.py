"""A panel: one subject of a run, shown anew whenever the run or the chosen round changes."""

from __future__ import annotations

from textual.widget import Widget

from fltui.console.runs.view import RunView


class Panel(Widget):
    """Base of the panels."""

    def show_run(self, view: RunView) -> None:
        """Show `view`; called at most 20 times a second, in the app's thread, only while the panel can be seen."""
        raise NotImplementedError

    def copied(self) -> str:
        """What the key ``y`` copies: the text of the thing under the cursor; empty for none."""
        return ""
