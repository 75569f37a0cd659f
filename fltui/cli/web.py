"""``fltui web``: the console in a browser."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from fltui.cli.options import DEFAULT_EXCHANGE, DEFAULT_RUNS, Exchange, Json, Runs, say, say_json
from fltui.errors import BadInputError


def web(
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 is any that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token that a browser has to show, or FLTUI_WEB_TOKEN.", show_default=False),
    ] = None,
    make_token: Annotated[bool, typer.Option("--make-token", help="Make the token file if it is not there.")] = False,
    public_url: Annotated[str, typer.Option(help="Where a reverse proxy shows it, https://fl.example.org.")] = "",
    sessions: Annotated[int, typer.Option(min=1, max=100, help="How many consoles may be open at a time.")] = 8,
    runs: Runs = DEFAULT_RUNS,
    exchange: Exchange = DEFAULT_EXCHANGE,
    jobs: Annotated[list[Path] | None, typer.Option(help="A job, or a folder of jobs; may be given again.")] = None,
    json: Json = False,
) -> None:
    """Serve the console to browsers. Whoever opens it can run jobs as you.

    Example: fltui web

    Example: fltui web --host 0.0.0.0 --token-file web-token --make-token
    """
    if find_spec("textual_serve") is None:
        raise BadInputError("the console in a browser needs textual-serve: pip install 'fltui[web]'")
    import asyncio
    import socket

    from fltui.console.config import config_path, load_config
    from fltui.web.guard import guard_for
    from fltui.web.server import Settings, serve
    from fltui.web.token import make_token as make
    from fltui.web.token import read_token

    load_config(config_path())  # a broken one is said here, not in every page
    if make_token:
        if token_file is None:
            raise BadInputError("--make-token makes the file that --token-file names, and none is named")
        make(token_file)
    guard = guard_for(host, read_token(token_file), public_url)
    places = ["--runs", str(runs.absolute()), "--exchange", str(exchange.absolute())]
    command = [sys.executable, "-P", "-m", "fltui", *places]
    command += [argument for job in jobs or [] for argument in ("--jobs", str(job.absolute()))]

    def announce(chosen: int) -> None:
        name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        url = guard.public or f"http://{name}:{chosen}"
        if json:
            say_json({"url": url, "host": host, "port": chosen, "token": bool(guard.token)})
            return
        if guard.token and sys.stdout.isatty():
            say(f"open {url}/?token={quote(guard.token, safe='')}")
        elif guard.token:
            say(f"open {url}/?token=TOKEN, with the token{f' in {token_file}' if token_file else ''} in place of TOKEN")
        else:
            say(f"open {url}")
            say("  without a token every user of this machine can open it and run code as you; see --token-file")
        if guard.anywhere and not guard.public.startswith("https:"):
            say("  nothing is encrypted: who is in the network between can read along and take over; see docs/web.md")
        say("Ctrl-C ends it; runs go on")
        sys.stdout.flush()

    asyncio.run(serve(Settings(command, host, port, guard, sessions), announce))
