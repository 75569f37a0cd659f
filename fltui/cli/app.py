"""All commands under one name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fltui import __version__
from fltui.cli import console, doctor, exchange, history, inspect, keys, queue, resume, run, steer, track, verify, web
from fltui.cli import jobs as job_commands
from fltui.cli.options import DEFAULT_EXCHANGE, DEFAULT_RUNS
from fltui.console.config import config_path, load_config

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def fltui(
    context: typer.Context,
    runs: Annotated[Path | None, typer.Option(envvar="FLTUI_RUNS", help="Folder of run folders.")] = None,
    exchange: Annotated[
        Path | None, typer.Option(envvar="FLTUI_EXCHANGE", help="The exchange folder.", readable=False)
    ] = None,
    jobs: Annotated[
        list[Path] | None, typer.Option(help="A job, or a folder of jobs, for the console; may be given again.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Federated learning over nothing but a shared folder. Without a command, a terminal shows the console.

    Example: fltui

    Example: fltui run sample_jobs/hello-fedavg-numpy
    """
    if version:
        typer.echo(f"fltui {__version__}")
        return
    config = load_config(config_path())
    found_runs, found_exchange = runs or config.runs or DEFAULT_RUNS, exchange or config.exchange or DEFAULT_EXCHANGE
    if context.invoked_subcommand is not None:
        # Where a command has options of its own, they win over these.
        os.environ.update(FLTUI_RUNS=str(found_runs), FLTUI_EXCHANGE=str(found_exchange))
        queue.queue_from(config.queue)
    elif console.has_screen():
        console.open_console(Path(found_runs), Path(found_exchange), jobs or [])
    else:
        typer.echo(context.get_help())


app.command()(run.run)
app.command()(run.server)
app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(job_commands.client)
app.command()(console.watch)
app.command()(web.web)
app.command()(history.runs)
app.command()(history.show)
app.command()(history.logs)
app.command()(steer.pause)
app.command()(resume.resume)
app.command()(steer.drop)
app.command()(steer.abort)
app.command()(job_commands.export)
app.command()(inspect.inspect)
app.command()(verify.verify)
app.command()(track.track)
app.command()(doctor.doctor)
app.command()(job_commands.locate)
app.add_typer(keys.app, name="keys")
app.add_typer(queue.app, name="queue")
app.add_typer(exchange.app, name="exchange")
