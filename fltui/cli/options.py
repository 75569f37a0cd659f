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
Nudge = Annotated[
    str,
    typer.Option(
        "--nudge",
        metavar="ENGINE",
        envvar="FLTUI_NUDGE",
        help=(
            "Tell the sync engine of this machine what was published, which it would see later by itself: "
            "syncthing, or syncthing:DIR with the folder of its config.xml."
        ),
    ),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning or end, its folder, or 'last'.")]

DEFAULT_RUNS = Path("runs")
DEFAULT_EXCHANGE = Path("exchange")
DEFAULT_QUEUE = Path("queue")


def checked_nudge(text: str, exchange: Path) -> str:
    """What ``--nudge`` means; a warning is printed if nudges would not get through now.

    Raises:
        BadInputError: there is no such engine.
    """
    from fltui.exchange.nudge import check_nudge

    found, warning = check_nudge(text, exchange)
    if warning:
        typer.echo(f"warning: {visible(warning)}", err=True)
    return found


def say(text: str = "") -> None:
    """Print a line, harmless whatever it holds: a line feed in it makes no second one."""
    typer.echo(visible(text))


def say_json(value: Any) -> None:
    """Print one JSON object on one line, harmless whatever it holds."""
    print(visible_json(msgspec.json.encode(value).decode()), flush=True)
