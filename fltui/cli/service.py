"""What commands share that stay up: how they end, how they print, and which options they refuse."""

from __future__ import annotations

import os
import signal
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from fltui.cli.options import say, say_json
from fltui.errors import BadInputError


def stop_on_signals(loop: AbstractEventLoop, stop: Callable[[signal.Signals], None]) -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP call `stop` in a loop; what is ignored, as under ``nohup``, stays so."""
    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sent) is not signal.SIG_IGN:
            loop.add_signal_handler(sent, stop, sent)


def printer() -> Callable[[str | msgspec.Struct], None]:
    """What prints a sentence, or an object as JSON, at once, and as long as somebody takes it.

    A reader that goes away, or a full disk, does not stop what stays up.
    """
    lost = False

    def show(told: str | msgspec.Struct) -> None:
        nonlocal lost
        if lost:
            return
        try:
            if isinstance(told, str):
                say(told)
            else:
                say_json(told)
            sys.stdout.flush()
        except OSError:
            lost = True
            _print_nowhere()

    return show


def _print_nowhere() -> None:
    """What is not written yet must not fail once more at the end of the process."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def refuse_given(given: Mapping[str, bool], sentence: Callable[[str], str]) -> None:
    """Make sure that nothing was given that means nothing here.

    Args:
        given: option, and whether it was given.
        sentence: why the option is refused.

    Raises:
        BadInputError: something was.
    """
    for name, is_given in given.items():
        if is_given:
            raise BadInputError(sentence(name))
