"""What tells the scripts that the simulator is gone."""

from __future__ import annotations

import os


class Lifeline:
    """A pipe that nobody writes into: its end of file tells the scripts that the simulator is gone.

    Attributes:
        fd: the end for the scripts.
    """

    def __init__(self) -> None:
        self.fd, self._held = os.pipe()

    def close(self) -> None:
        """Tell them; a second call does nothing."""
        for fd in (self._held, self.fd):
            if fd >= 0:
                os.close(fd)
        self.fd = self._held = -1
