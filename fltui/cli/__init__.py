"""The command ``fltui``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from fltui.errors import BadInputError, ClientError, FltuiError, RunAbortedError
from fltui.signals import StoppedError, loading, raise_when_stopped

FAILED, BAD_INPUT, ABORTED, INTERRUPTED = 1, 2, 3, 130


def main() -> None:
    """Run a command; the exit code is 0 completed, 1 failed, 2 bad input, 3 aborted, 130 interrupted."""
    with ExitStack() as ahead:
        with loading():
            if sys.argv[1:2] == ["run"] and engine_of(sys.argv[2:]) == "local":
                from fltui.simulator.forkserver.ahead import started_ahead

                ahead.enter_context(started_ahead())
            from fltui.cli.app import app
            from fltui.exchange.visible import visible

        try:
            raise_when_stopped()
            app(prog_name="fltui")
        except FltuiError as error:
            print(f"error: {visible(str(error))}", file=sys.stderr)
            sys.exit(exit_code(error))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except StoppedError as stop:
            print(f"error: {stop}", file=sys.stderr)
            sys.exit(stop.exit_code)
        except BrokenPipeError:  # the reader of our output went away, as with `fltui logs RUN | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)


def engine_of(arguments: Sequence[str]) -> str:
    """Where ``fltui run`` is to start scripts, as far as that can be told before anything is loaded."""
    found = os.environ.get("FLTUI_ENGINE") or "local"
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if argument == "--":
            break
        if name == "--engine":
            found = value if equals else "".join(arguments[at + 1 : at + 2])
    return found


def exit_code(error: FltuiError) -> int:
    """The exit code for an error."""
    if isinstance(error, BadInputError | ClientError):
        return BAD_INPUT
    return ABORTED if isinstance(error, RunAbortedError) else FAILED
