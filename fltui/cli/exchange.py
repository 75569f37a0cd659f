"""``fltui exchange``: make an exchange, and prepare it for what carries it to other machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fltui.cli.options import Json, say, say_json
from fltui.errors import BadInputError
from fltui.exchange.layout import SERVER, ExchangeFolder, check_site
from fltui.exchange.setup.carriers import Carrier

if TYPE_CHECKING:
    from fltui.exchange.setup.advice import Advice, Setup

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help=(
        "Make an exchange folder and prepare it for what carries it to other machines.\n\n"
        "Example: fltui exchange init /srv/fl/exchange --sites clinic-a,clinic-b --for syncthing"
    ),
)

_WIDEST = 120


@app.callback()
def exchange() -> None:
    """Make an exchange folder and prepare it for what carries it to other machines."""


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The exchange folder on this machine; made if it is not there.")
    ],
    sites: Annotated[str, typer.Option(help="At the server: the names of the sites, as in clinic-a,clinic-b.")] = "",
    side: Annotated[
        str, typer.Option("--as", metavar="SIDE", help="Whose machine this is: 'server', or the name of a site.")
    ] = SERVER,
    carrier: Annotated[
        Carrier | None, typer.Option("--for", help="What carries the folder; nothing if all machines mount it.")
    ] = None,
    remote: Annotated[
        str, typer.Option(metavar="NAME:PATH", help="For rclone: where the exchange lies for all sides.")
    ] = "",
    json: Json = False,
) -> None:
    """Make the exchange and the folders of its sites, and say what is left to do, step by step.

    Run it at the server with --sites, and at each site with --as. What is there already stays as it is.

    Example: fltui exchange init /srv/fl/exchange --sites clinic-a,clinic-b --for syncthing

    Example: fltui exchange init /srv/fl/exchange --as clinic-a --for syncthing

    Example: fltui exchange init /srv/fl/exchange --as clinic-a --for rclone --remote hub:fl/exchange
    """
    import msgspec

    from fltui.exchange.publish import check_exchange, open_exchange, open_site
    from fltui.exchange.setup.advice import Advice, Setup
    from fltui.exchange.setup.carriers import prepare

    names = _names(sites, side)
    if remote and carrier is not Carrier.RCLONE:
        raise BadInputError(f"--remote is for rclone: --for rclone --remote {remote}")
    root = folder.absolute()
    if side == SERVER:
        place = open_exchange(root, durable=True)
    else:
        place = ExchangeFolder(root)
        check_exchange(place, delivered=True)
    for name in names:
        open_site(place.site(name), SERVER if side == SERVER else "site", durable=True)
    setup = Setup(place, names, side, remote)
    advice = prepare(carrier, setup) if carrier is not None else Advice()
    if json:
        parts = msgspec.to_builtins(advice)
        say_json({"exchange": str(root), "as": side, "sites": list(names), "for": carrier or "", **parts})
        return
    _say(setup, advice)


def _names(sites: str, side: str) -> tuple[str, ...]:
    """The sites whose folders are made.

    Raises:
        BadInputError: they are not named, or cannot be called that.
    """
    if side != SERVER:
        check_site(side)
        if sites:
            raise BadInputError("--sites is for the server; at a site --as names it")
        return (side,)
    names = sorted({check_site(name.strip()) for name in sites.split(",") if name.strip()})
    if not names:
        raise BadInputError("no site is named; --sites clinic-a,clinic-b names those of the server, --as a site's own")
    if len({name.lower() for name in names}) < len(names):
        raise BadInputError(f"--sites is {sites!r}: names of sites must differ in more than upper and lower case")
    return tuple(names)


def _say(setup: Setup, advice: Advice) -> None:
    what = "exchange" if setup.at_server else "folder of this site"
    where = setup.exchange.root if setup.at_server else setup.exchange.site(setup.side).root
    say(f"{what} ready: {where}")
    if setup.at_server:
        say(f"  sites: {', '.join(setup.sites)}")
    for path in advice.written:
        say(f"  written: {path}")
    import shutil

    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    for note in advice.notes:
        _wrapped("  note: ", note, width)
    who, number = "", 0
    for step in advice.steps:
        if step.who != who:
            who, number = step.who, 0
            say()
            say("at the server:" if who == SERVER else f"at {who}:")
        number += 1
        _wrapped(f"{number:3}. ", step.what, width)
        for line in step.details:
            say(f"       {line}")


def _wrapped(head: str, text: str, width: int) -> None:
    import textwrap

    room = max(width - len(head), 40)
    first, *others = textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False) or [""]
    say(head + first)
    for line in others:
        say(" " * len(head) + line)
