"""What ties processes to the one that has started them."""

from __future__ import annotations

import ctypes
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(sent: int) -> None:
    """Get a signal when the process that has forked this one dies; 0 for none. On Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, sent)


def adopt_orphans() -> None:
    """Become the parent of what this process's children leave behind, whatever sessions it is in. On Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


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
