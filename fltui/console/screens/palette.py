"""The command palette: Textual's, kept from breaking under keys that come before its list is laid out."""

from __future__ import annotations

import contextlib

from textual.command import CommandPalette


class Palette(CommandPalette):
    """Textual's palette (8.2.8), whose list raises `KeyError` at a page key before its first layout."""

    def _action_command_list(self, action: str) -> None:
        with contextlib.suppress(KeyError):
            super()._action_command_list(action)
