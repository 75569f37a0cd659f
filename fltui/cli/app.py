"""All commands under one name."""

from __future__ import annotations

from typing import Annotated

import typer

from fltui import __version__
from fltui.cli import history, inspect, jobs, resume, run, steer

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def fltui(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Federated learning over nothing but a shared folder.

    Example: fltui run sample_jobs/hello-fedavg-numpy
    """
    if version:
        typer.echo(f"fltui {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(run.run)
app.command()(run.server)
app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(jobs.client)
app.command()(history.runs)
app.command()(history.show)
app.command()(history.logs)
app.command()(steer.pause)
app.command()(resume.resume)
app.command()(steer.drop)
app.command()(steer.abort)
app.command()(jobs.export)
app.command()(inspect.inspect)
app.command()(jobs.locate)
