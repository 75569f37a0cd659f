"""``fltui keys``: who signs here, and whose signatures count."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fltui.cli.options import Json, say, say_json
from fltui.errors import BadInputError
from fltui.exchange.keys import Keys, check_owner, keys_path, read_public
from fltui.exchange.layout import SERVER
from fltui.exchange.signing import check_key, fingerprint

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help=(
        "Keys that sign what the server and the sites write, and keys that are trusted. They lie in a folder of this "
        "user: FLTUI_KEYS, or fltui/keys in the folder for settings.\n\nExample: fltui keys init server"
    ),
)

Owner = Annotated[str, typer.Argument(metavar="NAME", help="'server', or the name of a site.")]


@app.command()
def init(name: Owner, json: Json = False) -> None:
    """Make a key, for the server or for a site. Its private half never leaves this folder.

    Example: fltui keys init server

    Example: fltui keys init clinic-a
    """
    keys = Keys(keys_path())
    public = keys.create(name)
    if json:
        say_json({**_told(name, public), "private_key": str(keys.private(name)), "file": str(keys.public(name))})
        return
    say(f"key of {name} made: {keys.private(name)}")
    say(f"  public key:  {public}")
    say(f"  fingerprint: {fingerprint(public)}")
    where = "at every site" if name == SERVER else "at the server"
    say(f"next, {where}: fltui keys trust {name} {public}")


@app.command()
def trust(
    name: Owner,
    key: Annotated[
        str,
        typer.Argument(metavar="PUBLIC_KEY_OR_FILE", help="The 64 digits that 'keys init' printed, or its .pub file."),
    ],
    replace: Annotated[bool, typer.Option("--replace", help="In place of the key that is trusted now.")] = False,
    json: Json = False,
) -> None:
    """Trust a public key: at the server that of a site, at a site that of the server.

    Compare the fingerprint with its owner's, by telephone or in person, before you rely on it.

    Example: fltui keys trust clinic-a 3f1c...

    Example: fltui keys trust server /media/stick/server.pub
    """
    check_owner(name)
    digits = key.strip().lower()
    public = check_key(digits, "this") if re.fullmatch("[0-9a-f]{64}", digits) else _from_file(key)
    keys = Keys(keys_path())
    added = keys.trust(name, public, replace=replace)
    others = [other for other, known in keys.all_trusted().items() if known == public and other != name]
    if json:
        say_json({**_told(name, public), "added": added, "also_trusted_as": others})
        return
    say(f"key of {name} is trusted{'' if added else ' already'}; fingerprint {fingerprint(public)}")
    if added:
        say("next: compare this fingerprint with the one that its owner sees, by telephone or in person")
    if others:
        say(f"warning: the same key is trusted as that of {', '.join(others)}: each of them can sign for the others")


@app.command("list")
def list_keys(json: Json = False) -> None:
    """List the own keys and the trusted ones. Exits with 1 if one of them cannot be used; it says why.

    Example: fltui keys list
    """
    from fltui import cli

    keys = Keys(keys_path())
    found: list[tuple[str, str, Callable[[], str]]] = []
    found += [("own", name, partial(_own, keys, name)) for name in keys.names()]
    found += [("trusted", name, partial(read_public, keys.trusted(name))) for name in keys.trusted_names()]
    if not found and not json:
        say(f"no keys in {keys.root}; 'fltui keys init NAME' makes one")
    damaged = 0
    for kind, name, read in found:
        try:
            public, fault = read(), ""
        except BadInputError as error:
            public, fault = "", str(error)
            damaged += 1
        if json:
            say_json({"kind": kind, **(_told(name, public) if public else {"name": name, "damaged": fault})})
        else:
            say(f"{kind:9}{name:20} {fingerprint(public) if public else f'DAMAGED: {fault}'}")
    if damaged:
        raise typer.Exit(cli.FAILED)


@app.command()
def show(name: Owner, json: Json = False) -> None:
    """Show the own key and the trusted key of a name, whichever there are.

    Example: fltui keys show server
    """
    keys = Keys(keys_path())
    check_owner(name)
    found = [("own", keys.signer(name).public)] if name in keys.names() else []
    if trusted := keys.all_trusted().get(name):
        found.append(("trusted", trusted))
    if not found:
        raise BadInputError(f"there is no key of {name} in {keys.root}, neither an own nor a trusted one")
    for kind, public in found:
        if json:
            say_json({"kind": kind, **_told(name, public)})
        else:
            say(f"{kind} key of {name}")
            say(f"  public key:  {public}")
            say(f"  fingerprint: {fingerprint(public)}")


def _told(name: str, public: str) -> dict[str, Any]:
    return {"name": name, "public_key": public, "fingerprint": fingerprint(public)}


def _own(keys: Keys, name: str) -> str:
    return keys.signer(name).public


def _from_file(text: str) -> str:
    path = Path(text)
    if not path.is_file():
        raise BadInputError(f"{text[:200]!r} is neither a public key, 64 digits 0-9a-f, nor a file that holds one")
    return read_public(path)
