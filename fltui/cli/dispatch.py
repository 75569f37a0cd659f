"""``fltui server --queue``: run the jobs that are put into a folder."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fltui.cli.options import say, say_json
from fltui.errors import BadInputError

if TYPE_CHECKING:
    from fltui.server.dispatch.settings import Settings
    from fltui.server.dispatch.telling import Told


def check_alone(given: dict[str, bool]) -> None:
    """Make sure that nothing was given to a whole queue that belongs to each of its jobs.

    Raises:
        BadInputError: something was.
    """
    if wrong := [name for name, is_given in given.items() if is_given]:
        raise BadInputError(
            f"{wrong[0]} is for one job, and --queue serves many: give it to 'fltui queue submit JOB {wrong[0]} ...'"
        )


def serve_queue(queue: Path, settings: Settings, *, as_json: bool) -> None:
    """Serve a queue until a signal comes, or until it is empty where that was asked for.

    Raises:
        BadInputError: see `Dispatcher.run`.
        typer.Exit: it was stopped, or not all jobs completed.
    """
    from fltui import cli
    from fltui.queue.folder import QueueFolder
    from fltui.server.dispatch.dispatcher import Dispatcher

    async def serve() -> tuple[int, Dispatcher]:
        loop, code = asyncio.get_running_loop(), 0
        dispatcher = Dispatcher(QueueFolder(queue.absolute()), settings, _printer(as_json=as_json))

        def stop(sent: signal.Signals) -> None:
            nonlocal code
            code = code or 128 + sent
            dispatcher.stop()

        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(sent) is not signal.SIG_IGN:  # as under `nohup`
                loop.add_signal_handler(sent, stop, sent)
        await dispatcher.run()
        return code, dispatcher

    code, dispatcher = asyncio.run(serve())
    counts = dispatcher.counts
    if not code and (counts.failed or counts.aborted):
        code = cli.FAILED if counts.failed else cli.ABORTED
    if code:
        raise typer.Exit(code)


def _printer(*, as_json: bool) -> Callable[[Told], None]:
    """Prints as long as somebody takes it: a reader that goes away, or a full disk, does not stop the server."""
    lost = False

    def show(told: Told) -> None:
        nonlocal lost
        if not lost:
            try:
                if as_json:
                    say_json(told)
                else:
                    say(told.text)
            except OSError:
                lost = True

    return show
