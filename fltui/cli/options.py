"""Options that several commands share, and how commands print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from fltui.exchange.visible import visible, visible_json
from fltui.exchange.watch import WatchMode

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Runs = Annotated[Path, typer.Option(envvar="FLTUI_RUNS", help="Folder of run folders.", show_envvar=True)]
Exchange = Annotated[
    Path,  # a site need not be able to list it
    typer.Option(envvar="FLTUI_EXCHANGE", help="The exchange folder.", show_envvar=True, readable=False),
]
Watch = Annotated[
    WatchMode, typer.Option(envvar="FLTUI_WATCH", help="Take file events, or poll; auto polls on NFS, SMB and FUSE.")
]
JobCode = Annotated[
    bool, typer.Option("--job-code", help="Let the job's own code run here, such as filters that its author wrote.")
]
RequireSignatures = Annotated[
    bool,
    typer.Option(
        "--require-signatures",
        envvar="FLTUI_REQUIRE_SIGNATURES",
        help="Refuse what the other side has not signed with a key trusted here; see 'fltui keys'.",
    ),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning or end, its folder, or 'last'.")]

DEFAULT_RUNS = Path("runs")
DEFAULT_EXCHANGE = Path("exchange")


def say(text: str = "") -> None:
    """Print a line, harmless whatever it holds: a line feed in it makes no second one."""
    typer.echo(visible(text))


def say_json(value: Any) -> None:
    """Print one JSON object on one line, harmless whatever it holds."""
    print(visible_json(msgspec.json.encode(value).decode()), flush=True)
