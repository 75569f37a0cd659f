"""A web server in this process, with consoles that only say what they were told."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from fltui.web.guard import Guard
from fltui.web.listening import Strangers, listen, runner_of
from fltui.web.server import ConsoleServer, Settings

_LONGEST = 20.0

ECHO = textwrap.dedent("""
    import json, os, sys
    def say(kind, data):
        os.write(1, kind + len(data).to_bytes(4, "big") + data)
    os.write(1, b"__GANGLION__\\n")
    say(b"D", f"pid {os.getpid()} {os.environ['COLUMNS']}x{os.environ['ROWS']} {os.environ['TEXTUAL_DRIVER']}".encode())
    while len(head := sys.stdin.buffer.read(5)) == 5:
        data = sys.stdin.buffer.read(int.from_bytes(head[1:], "big"))
        if head[:1] == b"M" and json.loads(data)["type"] == "quit" and STAYS != 1:
            break
        if data == b"die":
            sys.exit("error: out of \\x1b[2Jpaper")
        if data == b"q":
            say(b"M", b'{"type": "exit"}')
            break
        say(b"D", b"got " + data)
    while STAYS:
        import time
        time.sleep(1)
""")
"""A console that answers what it is told; with STAYS it stays when it is asked to leave."""


@dataclass
class Served:
    """The server.

    Attributes:
        url: where it is.
        client: a browser without a page.
    """

    url: str
    client: aiohttp.ClientSession

    async def status(self, path: str, **headers: str) -> int:
        """What it answers to a request."""
        async with self.client.get(f"{self.url}{path}", headers=headers, allow_redirects=False) as response:
            await response.read()
            return response.status

    def console(self, query: str = "", **headers: str) -> aiohttp.client._WSRequestContextManager:
        """Open the web socket as a page of the server does, unless `headers` say otherwise."""
        return self.client.ws_connect(f"{self.url}/ws{query}", headers={"Origin": self.url, **headers})


@asynccontextmanager
async def served(
    guard: Guard | None = None, command: Sequence[str] = (), *, most: int = 3, strangers: Strangers | None = None
) -> AsyncIterator[Served]:
    """A server, until the context ends."""
    command = command or [sys.executable, "-S", "-E", "-c", f"STAYS = 0\n{ECHO}"]
    console = ConsoleServer(Settings(command, "127.0.0.1", 0, guard or Guard(), most))
    console.strangers = strangers or console.strangers
    runner = runner_of(console.application(), shutdown_timeout=5)
    await runner.setup()
    listener: asyncio.Server | None = None
    try:
        listener = await listen(runner, console.strangers, "127.0.0.1", 0)
        jar = aiohttp.CookieJar(unsafe=True)  # which keeps cookies of addresses, too
        async with aiohttp.ClientSession(cookie_jar=jar) as client:
            yield Served(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", client)
    finally:
        if listener is not None:
            listener.close()
        await runner.cleanup()


async def pid_of(socket: aiohttp.ClientWebSocketResponse[Any]) -> int:
    """Process id of a console that has just begun."""
    return int((await socket.receive_bytes(timeout=_LONGEST)).split()[1])


async def until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it does not come to be in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LONGEST
    while not is_so():
        assert loop.time() < deadline, otherwise
        await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether there is no such process, not even one that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def children_of(pid: int) -> list[int]:
    """Processes that a process has started and that are still there."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in tasks.read_text().split()]
    return found
