"""Starts the fork server before this process loads what it needs itself, so that both load at the same time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fltui.errors import BadInputError
from fltui.simulator.lifeline import Lifeline


class ForkServer:
    """The process of a fork server that loads what it needs, see `fltui.simulator.forkserver`.

    Attributes:
        process: the process.
        control: the socket to it.
        lifeline: held for its scripts.
        environment: the variables that it has.
    """

    def __init__(self) -> None:
        self.lifeline = Lifeline()
        self.control, theirs = socket.socketpair()
        self.environment = dict(os.environ)
        with theirs:
            fds = (theirs.fileno(), self.lifeline.fd)
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "fltui.simulator.forkserver", *map(str, fds)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=fds,
                # In a session of its own: Ctrl-C is for the simulator, which then ends everything in good order.
                start_new_session=True,
            )

    def fate(self) -> str:
        """How it ended, which it has done or is about to."""
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"the fork server that starts and ends the scripts (process {self.process.pid}) {how}"

    def kill(self) -> None:
        """End it at once, and the scripts that follow the lifeline; a second call does nothing."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.lifeline.close()


_ahead: list[ForkServer] = []


@contextmanager
def started_ahead() -> Iterator[None]:
    """Have a fork server, where there can be one, for `fork_server` to give; if nobody asks, it ends with this."""
    if sys.platform == "linux":
        with suppress(OSError):  # whoever needs it tries once more, and says why it cannot be
            _ahead.append(ForkServer())
    try:
        yield
    finally:
        while _ahead:  # it came to nothing
            server = _ahead.pop()
            server.control.close()
            server.kill()


def fork_server() -> ForkServer:
    """The one that was started ahead, or a new one; who calls it has to end it.

    Raises:
        BadInputError: there can be none.
    """
    if _ahead:
        return _ahead.pop()
    try:
        return ForkServer()
    except OSError as error:
        raise BadInputError(f"the process that starts the scripts cannot be started: {error.strerror}") from error
