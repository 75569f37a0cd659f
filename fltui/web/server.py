"""The web server: pages, the web sockets of consoles, and the guard before all of it."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import textual_serve
from aiohttp import WSCloseCode, WSMsgType, web
from textual_serve.download_manager import DownloadManager

from fltui.errors import BadInputError
from fltui.signals import StoppedError
from fltui.web.guard import Guard
from fltui.web.listening import PATIENCE, Strangers, listen, most_strangers, runner_of
from fltui.web.pages import locked, part, protect, said
from fltui.web.session import Session

_TERMINAL = Path(textual_serve.__file__).parent / "static"

_LARGEST_MESSAGE = 1 << 20
"""Bytes of one message of a page, such as a text that is pasted."""

_LONGEST_PATH = 255
"""Bytes of the longest path that is looked at; a file's name cannot be longer."""

_FORM = "application/x-www-form-urlencoded"

_WIDEST, _HIGHEST = 1000, 500
_LONGEST_REASON = 120
"""Bytes of what a web socket can say when it is closed."""

LEFT, FAILED = 4000, 4001
"""Codes with which a web socket is closed: the console was left, or ended with the sentence that comes with it."""


@dataclass(frozen=True)
class Settings:
    """What is served where.

    Attributes:
        command: that starts a console.
        host, port: where to listen; 0 is any port.
        guard: who may see it.
        most: how many consoles at a time.
    """

    command: Sequence[str]
    host: str
    port: int
    guard: Guard
    most: int


class ConsoleServer:
    """Serves consoles.

    Attributes:
        strangers: connections that were not let in.
    """

    def __init__(self, settings: Settings) -> None:
        self.strangers = Strangers(most_strangers())
        self._settings = settings
        self._guard = settings.guard
        self._downloads = DownloadManager()
        self._sockets: set[web.WebSocketResponse] = set()
        self._taken = 0

    def application(self) -> web.Application:
        """The application, for aiohttp."""
        app = web.Application(middlewares=[self._guarded], client_max_size=4096)
        app.add_routes(
            [
                web.get("/", self._index),
                web.post("/", self._let_in),
                web.get("/ws", self._console),
                web.get("/download/{key}", self._download),
                web.get("/page/{name}", self._part),
                web.static("/terminal", _TERMINAL),
            ]
        )
        app.on_shutdown.append(self._close)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        """Let nobody in who may not, whatever they ask for."""
        host = request.headers.get("Host", "")
        refusal = self._refusal(request)
        is_in = refusal is None and self._has_cookie(request)
        if is_in:
            self.strangers.let_in(request.transport)
        try:
            response: web.StreamResponse = refusal or await handler(request)
        except web.HTTPException as error:  # it is a response, too
            protect(error, host)
            if not is_in:
                error.force_close()
            raise
        if not response.prepared:
            protect(response, host)
            if not is_in:
                response.force_close()  # else it could be kept for nothing
        return response

    def _refusal(self, request: web.Request) -> web.Response | None:
        """What is said to who may not have what is asked for, or is led on; None lets them have it."""
        guard, host = self._guard, request.headers.get("Host", "")
        if not guard.is_own_host(host):
            text = "The console is not served under this name; the command 'fltui web' says under which."
            return said(403, "This is not the place", text)
        if (request.path == "/ws" or request.method not in ("GET", "HEAD")) and not guard.is_own_page(
            request.headers.get("Origin", ""), host
        ):
            return said(403, "Not from there", "A page of another web site cannot use the console.")
        is_in = self._has_cookie(request)
        if request.path != "/":
            if not is_in:
                return said(401, "Locked", "The console asks for its token.")
            if len(request.path.encode("utf-8", "surrogatepass")) > _LONGEST_PATH:
                return said(404, "Not there", "Nothing has a name as long as that.")
            return None
        if request.method == "POST":
            return None
        token = request.query.get("token")
        if token is not None and (is_in or guard.knows_token(token)):
            return self._enter(request)  # out of the address, where it could be read and copied
        return None if is_in else locked(wrong=token is not None)

    def _enter(self, request: web.Request) -> web.Response:
        """Give a browser the cookie, if it needs one, and lead it on.

        A redirect would not do: where a link on another site was followed, the cookie is not sent along with that.
        """
        response = said(200, "fltui", "", page="enter.html")
        guard = self._guard
        if guard.token:
            response.set_cookie(
                self._cookie(request),
                guard.cookie,
                httponly=True,
                samesite="Strict",
                secure=guard.public.startswith("https:") and request.host.lower() == guard.public.partition("//")[2],
            )
        return response

    def _has_cookie(self, request: web.Request) -> bool:
        """Whether the browser that asks has been let in before, or anybody is."""
        return self._guard.is_let_in(request.cookies.get(self._cookie(request), ""))

    @staticmethod
    def _cookie(request: web.Request) -> str:
        """Its name; browsers keep cookies by host, and there may be another console at another port."""
        port = request.url.explicit_port
        return f"fltui-{port}" if port else "fltui"

    async def _let_in(self, request: web.Request) -> web.Response:
        """The form for the token, the one thing that the guard lets everybody ask for."""
        if self._guard.knows_token((await _token_in(request)).strip()) or self._has_cookie(request):
            return self._enter(request)
        return locked(wrong=True)

    async def _index(self, request: web.Request) -> web.Response:
        size = request.query.get("fontsize", "")
        return said(200, "fltui", "", page="index.html", size=size if size.isdigit() and len(size) < 3 else "16")

    async def _part(self, request: web.Request) -> web.StreamResponse:
        """A script or style of the pages."""
        return part(request.match_info["name"])

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that a console gives to its page."""
        key = request.match_info["key"]
        try:
            about = await self._downloads.get_download_metadata(key)
        except KeyError:
            raise web.HTTPNotFound from None
        response = web.StreamResponse()
        response.content_type = "application/octet-stream"
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in about.file_name)
        response.headers["Content-Disposition"] = f'attachment; filename="{name.encode("ascii", "replace").decode()}"'
        protect(response, request.headers.get("Host", ""))
        await response.prepare(request)
        async for chunk in self._downloads.download(key):
            await response.write(chunk)
        await response.write_eof()
        return response

    async def _console(self, request: web.Request) -> web.WebSocketResponse:
        """A page and its console, as long as both are there."""
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=_LARGEST_MESSAGE)
        await socket.prepare(request)
        if self._taken >= self._settings.most:
            text = f"{self._taken} consoles are open in browsers, as many as there may be; close one."
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=text.encode())
            return socket

        async def write_bytes(data: bytes) -> None:
            with suppress(ConnectionError, RuntimeError):
                await socket.send_bytes(data)

        async def write_str(text: str) -> None:
            with suppress(ConnectionError, RuntimeError):
                await socket.send_str(text)

        async def ended(why: str) -> None:
            message = why.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()
            await socket.close(code=FAILED if why else LEFT, message=message)

        try:
            session = Session(self._settings.command, write_bytes, write_str, ended, self._downloads)
        except OSError as error:
            await ended(_not_started(error))
            return socket
        self._taken += 1
        self._sockets.add(socket)
        try:
            width, height = request.query.get("width", ""), request.query.get("height", "")
            await session.start(_cells(width, 80, _WIDEST), _cells(height, 24, _HIGHEST))
            await _pass_on(socket, session)
        except OSError as error:
            await ended(_not_started(error))
        finally:
            self._sockets.discard(socket)
            await asyncio.shield(asyncio.create_task(self._stop(session)))
        return socket

    async def _stop(self, session: Session) -> None:
        try:
            await session.stop()
        finally:
            self._taken -= 1

    async def _close(self, _: web.Application) -> None:
        """The server ends: tell every page, so that it lets its console go."""
        closing = [
            socket.close(code=WSCloseCode.GOING_AWAY, message=b"The server has ended.") for socket in self._sockets
        ]
        await asyncio.gather(*closing, return_exceptions=True)


def _not_started(error: OSError) -> str:
    return f"The console cannot be started: {error.strerror}"


async def _token_in(request: web.Request) -> str:
    """The token in the form of the page; empty if there is none.

    Raises:
        HTTPException: it is not that form.
    """
    if request.content_type != _FORM:
        raise web.HTTPBadRequest
    try:
        async with asyncio.timeout(PATIENCE):
            body = await request.read()
        fields = parse_qs(body.decode("ascii", "replace"), errors="replace", max_num_fields=4)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ValueError, web.RequestPayloadError):
        raise web.HTTPBadRequest from None
    return fields.get("token", [""])[-1]


async def _pass_on(socket: web.WebSocketResponse, session: Session) -> None:
    """Give a console what its page says; a page that says what no page would is left."""
    async for message in socket:
        if message.type != WSMsgType.TEXT:
            continue
        match _understood(message.data):
            case ["stdin", str(text)]:
                await session.send_bytes(text.encode("utf-8", "ignore"))  # half a letter is none
            case ["resize", {"width": int(width), "height": int(height)}]:
                await session.set_terminal_size(_cells(str(width), 80, _WIDEST), _cells(str(height), 24, _HIGHEST))
            case ["ping", str(text)]:
                await socket.send_json(["pong", text[:64]])
            case ["blur", *_]:
                await session.blur()
            case ["focus", *_]:
                await session.focus()
            case _:
                await socket.close(code=WSCloseCode.UNSUPPORTED_DATA)


def _understood(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _cells(text: str, default: int, most: int) -> int:
    return min(max(int(text), 1), most) if text.isascii() and text.isdigit() and len(text) < 6 else default


async def serve(settings: Settings, announce: Callable[[int], None]) -> None:
    """Serve consoles until a signal ends it; every console ends before that.

    Args:
        settings: what is served where.
        announce: called with the port once pages can be opened.

    Raises:
        BadInputError: it cannot listen there.
        KeyboardInterrupt, StoppedError: by Ctrl-C, or another signal.
    """
    logging.getLogger("textual-serve").addHandler(logging.NullHandler())  # the page says what is to be said
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()

    def stop(sent: signal.Signals) -> None:
        if told.done():  # told twice: whoever still serves is left
            signal.signal(sent, signal.SIG_DFL)
            signal.raise_signal(sent)
        else:
            told.set_result(sent)

    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sent) is not signal.SIG_IGN:
            loop.add_signal_handler(sent, stop, sent)
    server = ConsoleServer(settings)
    runner = runner_of(server.application(), shutdown_timeout=30)
    await runner.setup()
    try:
        try:
            listener = await listen(runner, server.strangers, settings.host, settings.port)
        except OSError as error:
            raise _cannot_listen(settings, error) from error
        try:
            announce(listener.sockets[0].getsockname()[1])
            sent = await told
        finally:
            listener.close()
    finally:
        await runner.cleanup()
    if sent is signal.SIGINT:
        raise KeyboardInterrupt
    raise StoppedError(sent)


def _cannot_listen(settings: Settings, error: OSError) -> BadInputError:
    where = f"port {settings.port} of {settings.host}"
    if error.errno == errno.EADDRINUSE:
        return BadInputError(f"{where} is in use; --port takes another one, 0 any that is free")
    if error.errno == errno.EADDRNOTAVAIL:
        return BadInputError(f"--host {settings.host} is no address of this machine")
    return BadInputError(f"{where} cannot be used: {error.strerror}")
