"""``fltui`` without a command, and ``fltui watch``: the console."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fltui.cli.options import DEFAULT_EXCHANGE, DEFAULT_RUNS, Exchange, RunName, Runs, queue_place
from fltui.console.config import Config, check, config_path, load_config
from fltui.errors import BadInputError
from fltui.run.folder import find_run
from fltui.web import DRIVER

if TYPE_CHECKING:
    from fltui.run.folder import RunFolder

_SAMPLES = Path("sample_jobs")


def watch(run: RunName, runs: Runs = DEFAULT_RUNS, exchange: Exchange = DEFAULT_EXCHANGE) -> None:
    """Show a run in the console: a live one of any process or machine, or one that is over.

    Example: fltui watch last
    """
    folder = find_run(run, runs.absolute())
    open_console(folder.root.parent, exchange, [], folder)


def open_console(runs: Path, exchange: Path, jobs: list[Path], run: RunFolder | None = None) -> None:
    """Show the console until the person leaves it.

    Raises:
        BadInputError: there is no terminal, or the config names what does not exist.
    """
    if not has_screen():
        raise BadInputError("the console needs a terminal; 'fltui show', 'fltui logs -f' and '--json' do without")
    from fltui.console.app import ConsoleApp
    from fltui.console.host import Places

    config = load_config(config_path())
    samples = [_SAMPLES] if _SAMPLES.is_dir() else []
    folders = [path.absolute() for path in (*jobs, *samples, *map(Path, config.jobs))]
    app = ConsoleApp(Places(runs.absolute(), exchange.absolute(), folders, queue_place(config)), config, run)
    check(config, app.available_themes, _known_keys(config))
    app.run()
    if app.return_code:
        sys.exit(app.return_code)


def has_screen() -> bool:
    """Whether there is something to show the console on: a terminal, or the page of ``fltui web``."""
    return (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TEXTUAL_DRIVER") == DRIVER


def _known_keys(config: Config) -> set[str]:
    """The ids that own keys can be given for; loads every screen, so only where there are any."""
    if not config.keys:
        return set()
    import fltui.console.screens.run_screen  # noqa: F401 - the register knows what is loaded
    from fltui.console.keys import binding_ids

    return binding_ids()
