"""A run as it happens: a live line on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fltui.cli.options import say, say_json
from fltui.exchange.visible import visible
from fltui.run.describe import describe, metrics_text
from fltui.run.events import (
    AnyEvent,
    RequestRefused,
    ResultAccepted,
    ResultRejected,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    SiteLost,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import head_of, to_json

Show = Callable[[AnyEvent], None]


@contextmanager
def shown(folder: RunFolder, *, as_json: bool) -> Iterator[Show]:
    """Show events in the way that fits where the output goes."""
    if as_json:
        yield _while_read(lambda event: say_json(event_json(event, folder.root)))
    elif sys.stdout.isatty():
        with _live(folder) as show:
            yield _while_read(show)
    else:
        yield _while_read(_plain)


def _while_read(show: Show) -> Show:
    """Show events as long as somebody takes them: a reader that goes away, or a full disk, does not end a run."""
    lost = False

    def show_on(event: AnyEvent) -> None:
        nonlocal lost
        if lost:
            return
        try:
            show(event)
            sys.stdout.flush()
        except OSError:
            lost = True
            with contextlib.suppress(OSError):  # where no more files can be opened, nobody flushes what is left either
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return show_on


def event_json(event: AnyEvent, root: Path) -> dict[str, Any]:
    """An event as the journal has it; the last one with the run's folder, whole paths and the head of the journal, a
    resume with the run's id: it may be the first event that is shown."""
    values: dict[str, Any] = to_json(event)
    if isinstance(event, RunResumed):
        values["run"] = root.name
    if isinstance(event, RunFinished):
        values["run_dir"] = str(root)
        values["final_model"] = {name: str(root / path) for name, path in event.final_model.items()}
        with contextlib.suppress(OSError):  # the run's disk may be away
            values["head"] = head_of(root / "journal.jsonl")
    return values


def _plain(event: AnyEvent) -> None:
    level, text = describe(event)
    if level != "DEBUG" and not isinstance(event, RunFinished):
        say(text)


@contextmanager
def _live(folder: RunFolder) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    console = Console(highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[sites]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("waiting for sites", total=None, sites="")
        answered, asked = 0, 0

        def show(event: AnyEvent) -> None:
            nonlocal answered, asked
            match event:
                case RunStarted():
                    progress.update(bar, total=event.total_rounds)
                    console.print(Text(visible(describe(event)[1])))
                case RunResumed() if event.restarted:
                    state = folder.state()
                    progress.update(bar, total=state.total_rounds, completed=state.rounds_done)
                    console.print(Text(visible(describe(event)[1])))
                case RoundStarted():
                    answered, asked = 0, len(event.sites)
                    progress.update(bar, description=f"round {event.round}", sites=f"0/{asked} sites")
                case ResultAccepted():
                    answered += 1
                    progress.update(bar, sites=f"{answered}/{asked} sites")
                case RoundFinished():
                    progress.advance(bar)
                    text = f"round {event.round}  {len(event.weights)} sites  {event.seconds:.3f} s"
                    console.print(Text(visible(f"{text}{metrics_text(event.metrics)}")))
                case ResultRejected() | SiteLost() | RunPaused() | RunResumed() | RequestRefused():
                    console.print(Text(visible(describe(event)[1]), style="yellow"))

        yield show
