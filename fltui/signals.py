"""Being told to stop: quietly as long as nothing has begun, as an exception afterwards. Loads next to nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn


class StoppedError(BaseException):
    """The process was told to stop; as with `KeyboardInterrupt`, no `except Exception` holds it.

    Attributes:
        exit_code: what a shell would call it, 128 and the signal's number.
    """

    def __init__(self, sent: signal.Signals) -> None:
        super().__init__(f"stopped by {sent.name}")
        self.exit_code = 128 + sent


@contextmanager
def loading() -> Iterator[None]:
    """Let Ctrl-C end the process at once: it would come out of the midst of some import, with a long traceback."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def raise_when_stopped() -> None:
    """Let SIGTERM and SIGHUP raise `StoppedError` in this process, unless they are ignored, as under ``nohup``.

    Whoever is told twice ends at once.
    """
    for name in ("SIGTERM", "SIGHUP"):
        sent = getattr(signal, name, None)
        if sent is not None and signal.getsignal(sent) is signal.SIG_DFL:
            signal.signal(sent, _stop)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=partial(_let_end, sent))


def _stop(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise StoppedError(signal.Signals(number))


def _let_end(sent: signal.Signals) -> None:
    """A copy of the process that a script made ends as it would without us."""
    if signal.getsignal(sent) is _stop:
        signal.signal(sent, signal.SIG_DFL)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    os._exit(128 + number)
