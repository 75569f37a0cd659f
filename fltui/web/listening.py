"""Listening, with a bound on connections of whom nobody knows yet: they have to ask for something in time, and are few.

Every connection costs a file, of which a process has so many. Without a bound whoever reaches the port, and knows no
token, could keep all others out by opening connections and saying nothing, or half a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

PATIENCE = 10.0
"""Seconds in which a connection has to be let in, and a browser's form to arrive; then it is closed. One that is kept
without being used is closed after as many."""

_MOST = 64
_FEWEST = 4
_SHARE = 8
"""Of the files that this process may have open, strangers get one in so many."""


class Strangers:
    """The connections that were not let in, or not yet. One more than there may be takes the place of the oldest.

    Args:
        most: how many there may be.
        patience: seconds that one may stay so.
    """

    def __init__(self, most: int, patience: float = PATIENCE) -> None:
        self.most = most
        self._patience = patience
        self._known: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}

    def add(self, transport: asyncio.Transport) -> None:
        """A connection was opened."""
        loop = asyncio.get_running_loop()
        self._known[transport] = loop.call_later(self._patience, self._close, transport)
        if len(self._known) <= self.most:
            return
        for gone in [one for one in self._known if one.is_closing()]:
            self.let_in(gone)
        while len(self._known) > self.most:
            self._close(cast(asyncio.Transport, next(iter(self._known))))

    def let_in(self, transport: asyncio.BaseTransport | None) -> None:
        """A connection may stay; or it is closed, and nothing is left to do about it."""
        if transport is not None and (timer := self._known.pop(transport, None)):
            timer.cancel()

    def _close(self, transport: asyncio.Transport) -> None:
        self.let_in(transport)
        transport.abort()  # who does not read would be waited for


class _Meeting(asyncio.Protocol):
    """The beginning of a connection: once it is counted, aiohttp has it."""

    def __init__(self, strangers: Strangers, handler: Callable[[], asyncio.Protocol]) -> None:
        self._strangers = strangers
        self._handler = handler

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        opened = cast(asyncio.Transport, transport)
        handler = self._handler()
        opened.set_protocol(handler)
        handler.connection_made(opened)
        self._strangers.add(opened)


def most_strangers() -> int:
    """How many there may be, by how many files this process may have open."""
    try:
        import resource
    except ImportError:
        return _MOST
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if files == resource.RLIM_INFINITY else max(_FEWEST, min(_MOST, files // _SHARE))


def runner_of(app: web.Application, shutdown_timeout: float) -> web.AppRunner:
    """What runs an application: it keeps no idle connection for long, unpacks nothing, and does not print a traceback
    whenever somebody sends what is no request."""
    log = logging.getLogger("fltui.web")
    log.addFilter(_is_ours)
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=shutdown_timeout,
        keepalive_timeout=PATIENCE,
        lingering_time=1.0,
        auto_decompress=False,
        logger=log,
    )


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether what is to be logged is a fault of the server, not of a request."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError))


async def listen(runner: web.AppRunner, strangers: Strangers, host: str, port: int) -> asyncio.Server:
    """Take connections for an application that was set up.

    Raises:
        OSError: it cannot listen there.
    """
    handler = cast(Callable[[], asyncio.Protocol], runner.server)
    return await asyncio.get_running_loop().create_server(
        lambda: _Meeting(strangers, handler),
        host,
        port,
        backlog=strangers.most,  # so many are accepted at once, before any of them is counted
    )
