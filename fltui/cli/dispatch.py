"""``fltui server --queue``: run the jobs that are put into a folder."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fltui.cli.service import printer, refuse_given, stop_on_signals

if TYPE_CHECKING:
    from fltui.server.dispatch.notices import Notice
    from fltui.server.dispatch.settings import Settings


def check_alone(given: dict[str, bool]) -> None:
    """Make sure that nothing was given to a whole queue that belongs to each of its jobs.

    Raises:
        BadInputError: something was.
    """
    refuse_given(
        given,
        lambda name: (
            f"{name} is for one job, and --queue serves many: give it to "
            f"'fltui queue submit JOB{'' if name == 'JOB' else f' {name} ...'}'"
        ),
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

    show = printer()

    def tell(notice: Notice) -> None:
        show(notice if as_json else notice.text)

    async def serve() -> tuple[int, Dispatcher]:
        code = 0
        dispatcher = Dispatcher(QueueFolder(queue.absolute()), settings, tell)

        def stop(sent: signal.Signals) -> None:
            nonlocal code
            code = code or 128 + sent
            dispatcher.stop()

        stop_on_signals(asyncio.get_running_loop(), stop)
        await dispatcher.run()
        return code, dispatcher

    code, dispatcher = asyncio.run(serve())
    counts = dispatcher.counts
    if not code and (counts.failed or counts.aborted):
        code = cli.FAILED if counts.failed else cli.ABORTED
    if code:
        raise typer.Exit(code)
