"""How a console in a browser reads and draws: through the pipes to the web server that has started it."""

from __future__ import annotations

import os
from typing import Any

from textual import messages
from textual.drivers.web_driver import WebDriver


class BrowserDriver(WebDriver):
    """Textual's own driver for this, which ends with the server: without an end of its input it would wait for ever."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._write = self._write_whole  # type: ignore[assignment]

    def run_input_thread(self) -> None:
        """Read until there is no more, then leave."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.post_message(messages.ExitApp())

    def _write_whole(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[os.write(self.fileno, left) :]
        return len(data)
