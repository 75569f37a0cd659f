"""Running a run to its end in this process: shown, told to trackers, ended in good order by signals."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from fltui.cli.options import say
from fltui.cli.tracked import tracked
from fltui.exchange.visible import visible
from fltui.job.handover import LIFELINE
from fltui.run.events import RunFinished, RunStatus
from fltui.run.folder import RunFolder
from fltui.run.journal import head_of

if TYPE_CHECKING:
    from fltui.server.engine import Engine
    from fltui.tracking.targets import Target


def run_engine(engine: Engine, targets: Sequence[Target], *, as_json: bool, queued: bool = False) -> None:
    """Run a run to its end, show it and tell trackers of it; signals abort it in good order.

    Args:
        engine: the run.
        targets: where it is tracked.
        as_json: print events and nothing else.
        queued: the server of a queue waits for this process, and trackers must not make it wait longer.

    Raises:
        typer.Exit: it did not complete.
    """
    from fltui import cli
    from fltui.cli.progress import shown

    code = 0
    with tracked(engine.folder, targets, alone=queued) as tell:
        with shown(engine.folder, as_json=as_json) as show:
            engine.follow(show)
            engine.follow(tell)
            finished, interrupted = asyncio.run(_until_finished(engine))
        if not as_json:
            say_outcome(finished, engine.folder)
        if finished.state is not RunStatus.COMPLETED:
            what = finished.state.value.removeprefix("FINISHED:").lower()
            typer.echo(f"error: run {finished.run} {what}: {visible(finished.reason)}", err=True)
            code = cli.ABORTED if finished.state is RunStatus.ABORTED else cli.FAILED
            code = cli.INTERRUPTED if interrupted else code
    if code:
        raise typer.Exit(code)


async def _until_finished(engine: Engine) -> tuple[RunFinished, bool]:
    """Run the engine; signals abort it in good order. Whether Ctrl-C did."""
    loop = asyncio.get_running_loop()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        engine.abort("interrupted")

    loop.add_signal_handler(signal.SIGINT, interrupt)
    for sent in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sent) is not signal.SIG_IGN:  # as under `nohup`
            loop.add_signal_handler(sent, engine.abort, f"stopped by {sent.name}")
    if lifeline := os.environ.pop(LIFELINE, ""):

        def gone() -> None:
            loop.remove_reader(int(lifeline))
            engine.abort("the program that started the run is gone")

        loop.add_reader(int(lifeline), gone)
    return await engine.run(), interrupted


def say_outcome(finished: RunFinished, folder: RunFolder) -> None:
    """Print how a run ended, and where what it leaves lies."""
    if finished.state is RunStatus.COMPLETED:
        say(f"run {finished.run} completed: {finished.rounds} rounds in {finished.seconds:.2f} s")
        if finished.reason:
            say(f"  {finished.reason}")
    for name, path in finished.final_model.items():
        say(f"  {name}: {folder.root / path}")
    if finished.untold:
        say(
            f"  not told that the run is over: {', '.join(finished.untold)}; their folders could not be written, "
            "and their scripts wait until they are stopped or another run begins"
        )
    say(f"  results: {folder.root}")
    say(f"  head of the journal: {head_of(folder.journal)}")
