"""Options that several commands share, and how commands print."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from fltui.errors import BadInputError
from fltui.exchange.manifest import LAST_STEP
from fltui.exchange.visible import visible, visible_json
from fltui.exchange.watch import WatchMode

if TYPE_CHECKING:
    from fltui.console.config import Config


def in_utf8(path: Path | None) -> Path | None:
    """A path that can stand in journals and in JSON.

    Raises:
        BadInputError: it is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise BadInputError(
            f"the path {visible(str(path))} is not UTF-8 and cannot be written down; rename it"
        ) from error
    return path


Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Runs = Annotated[
    Path, typer.Option(envvar="FLTUI_RUNS", help="Folder of run folders.", show_envvar=True, callback=in_utf8)
]
Exchange = Annotated[
    Path,  # a site need not be able to list it
    typer.Option(
        envvar="FLTUI_EXCHANGE", help="The exchange folder.", show_envvar=True, readable=False, callback=in_utf8
    ),
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
        metavar="CARRIER",
        envvar="FLTUI_NUDGE",
        help=(
            "Tell what carries the exchange from this machine what was published, which it would see later by itself: "
            "syncthing, or syncthing:DIR with the folder of its config.xml."
        ),
    ),
]
Rounds = Annotated[int | None, typer.Option(help="Rounds, instead of the job's.")]
KeepResults = Annotated[
    bool, typer.Option("--keep-results", help="Keep what the sites sent, in the run's store/, after each round.")
]
KeepModels = Annotated[
    int | None,
    typer.Option("--keep-models", min=1, help="How many of the newest models stay, beside the first; all by default."),
]
Seed = Annotated[
    int, typer.Option(min=0, max=LAST_STEP, help="What all that is drawn begins from: who is asked, what scripts draw.")
]
Queued = Annotated[  # no person says it
    str, typer.Option("--queued", hidden=True, help="The run's id: the server of a queue has given it, and waits.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning or end, its folder, or 'last'.")]

DEFAULT_RUNS = Path("runs")
DEFAULT_EXCHANGE = Path("exchange")
DEFAULT_QUEUE = Path("queue")


def queue_place(config: Config | None = None) -> Path:
    """The folder of the queue: from ``FLTUI_QUEUE``, else from the config file, else the usual one. It is absolute.

    Args:
        config: the config file where it is read already.

    Raises:
        BadInputError: the config file is broken.
    """
    from fltui.console.config import config_path, load_config

    named = os.environ.get("FLTUI_QUEUE") or (config or load_config(config_path())).queue
    return Path(named or DEFAULT_QUEUE).absolute()


def checked_nudge(text: str, exchange: Path) -> str:
    """What ``--nudge`` means; a warning is printed if nudges would not get through now.

    Raises:
        BadInputError: there is no such carrier.
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
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # the name of a file that is not UTF-8
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    print(visible_json(text), flush=True)
