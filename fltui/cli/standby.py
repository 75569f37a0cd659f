"""``fltui client --jobs``: a site that stays up."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import typer
from msgspec.structs import replace

from fltui.cli.service import printer, refuse_given, stop_on_signals
from fltui.client.config import ClientConfig
from fltui.errors import BadInputError


def stand_by(config: ClientConfig, jobs: Path, given: dict[str, bool]) -> None:
    """Serve a site until a signal comes.

    Args:
        config: of the site.
        jobs: the folder of the jobs that it agrees to run.
        given: options that belong to one script, and whether they were given.

    Raises:
        BadInputError: one of them was; or see `Standby`.
        typer.Exit: it was stopped.
    """
    from fltui.standby.standby import Standby

    refuse_given(given, lambda name: f"{name} is for one script; with --jobs each job says it for itself")
    config = replace(config, status_every=_seconds(os.environ.get("FLTUI_STATUS_EVERY", "0")))

    async def serve() -> signal.Signals | None:
        told = None
        standby = Standby(config, jobs.absolute(), printer())

        def stop(sent: signal.Signals) -> None:
            nonlocal told
            told = told or sent
            standby.stop(sent)

        stop_on_signals(asyncio.get_running_loop(), stop)
        await standby.run()
        return told

    if (sent := asyncio.run(serve())) is not None:
        raise typer.Exit(128 + sent)


def _seconds(text: str) -> float:
    try:
        return msgspec.convert({"status_every": text}, ClientConfig, strict=False).status_every
    except msgspec.ValidationError as error:
        raise BadInputError(f"FLTUI_STATUS_EVERY is {text!r}, expected seconds") from error
