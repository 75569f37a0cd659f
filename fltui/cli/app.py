"""All commands under one name. Each is loaded when somebody names it: together they take longer than a short run."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fltui import __version__
from fltui.cli.options import DEFAULT_EXCHANGE, DEFAULT_RUNS, queue_place
from fltui.console.config import config_path, load_config

COMMANDS = {
    "run": "run",
    "server": "server",
    "client": "jobs",
    "watch": "console",
    "web": "web",
    "runs": "history",
    "show": "history",
    "logs": "history",
    "pause": "steer",
    "resume": "resume",
    "drop": "steer",
    "abort": "steer",
    "export": "jobs",
    "inspect": "inspect",
    "verify": "verify",
    "track": "track",
    "doctor": "doctor",
    "locate": "jobs",
    "keys": "keys",
    "queue": "queue",
    "exchange": "exchange",
}
"""Commands in the order of the help, and their modules, which have a function of that name or ``app``, a group."""

_SETTINGS = {"client": {"ignore_unknown_options": True, "allow_extra_args": True}}


class Commands(TyperGroup):
    """Loads a command when it is asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = dict.fromkeys(COMMANDS)  # whose names are offered for one that is mistyped

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command of a name, None if there is none."""
        return self.commands[cmd_name] or self._load(cmd_name) if cmd_name in COMMANDS else None

    def _load(self, name: str) -> Any:
        module = import_module(f"fltui.cli.{COMMANDS[name]}")
        group: typer.Typer | None = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False, rich_markup_mode=None)
            group.command(name, context_settings=_SETTINGS.get(name))(getattr(module, name))
        self.commands[name] = found = typer.main.get_command(group)
        found.name = name
        return found


app = typer.Typer(
    cls=Commands,
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
        places = {"FLTUI_RUNS": found_runs, "FLTUI_EXCHANGE": found_exchange, "FLTUI_QUEUE": queue_place(config)}
        os.environ.update({name: str(place) for name, place in places.items()})
        return
    from fltui.cli.console import has_screen, open_console

    if has_screen():
        open_console(Path(found_runs), Path(found_exchange), jobs or [])
    else:
        typer.echo(context.get_help())
