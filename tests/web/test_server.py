"""The web server: who is let in, what a page and its console say to each other, and what is left afterwards."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

import fltui.web.session
from fltui.web.guard import Guard
from fltui.web.listening import Strangers, most_strangers
from tests.web.served import ECHO, Served, is_gone, pid_of, served, until

TOKEN = "correct-horse-battery"
ROUTES = ["/", "/ws", "/download/x", "/page/console.js", "/page/none", "/terminal/js/textual.js", "/terminal/", "/none"]


async def test_a_page_and_its_console() -> None:
    async with served() as server, server.console("?width=100&height=30") as socket:
        begun = await socket.receive_bytes(timeout=20)
        assert begun.endswith(b"100x30 fltui.web.driver:BrowserDriver")
        await socket.send_json(["stdin", "hällo"])
        assert await socket.receive_bytes(timeout=20) == "got hällo".encode()
        await socket.send_json(["resize", {"width": 90, "height": 10**9}])
        assert await socket.receive_bytes(timeout=20) == b'got {"type": "resize", "width": 90, "height": 24}'
        await socket.send_str('["stdin", "half \\ud800a letter"]')
        assert await socket.receive_bytes(timeout=20) == b"got half a letter"
        await socket.send_json(["ping", "1"])
        assert await socket.receive_json(timeout=20) == ["pong", "1"]
        pid = int(begun.split()[1])
        await socket.close()
        await until(lambda: is_gone(pid), "the console outlives its page")


@pytest.mark.parametrize("route", ROUTES)
async def test_a_foreign_host_gets_nothing(route: str) -> None:
    async with served() as server:
        assert await server.status(route, Host="evil.example") == 403
        assert await server.status(route, Host="") in (400, 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", ""])
async def test_a_page_of_another_site_gets_no_console(origin: str) -> None:
    async with served() as server:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with server.console(Origin=origin):
                pass


async def test_what_is_no_text_or_no_address_is_refused_like_anything_else() -> None:
    async with served(Guard(TOKEN)) as server:
        name = f"fltui-{server.url.rpartition(':')[2]}"
        assert await server.status("/", Cookie=f"{name}=\udcff") == 401
        assert await server.status("/?token=%ff%ED%A0%80") == 401
        assert await server.status("/ws", Origin="http://[") == 403
        assert await server.status("/", Host="localhost:99999") == 403


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=x", "bad", 400),
        ("multipart/form-data", "bad", 400),
        ("application/x-www-form-urlencoded; charset=nope", "token=x", 401),
        ("application/x-www-form-urlencoded", "token=%ff%ed%a0%80", 401),
        ("application/x-www-form-urlencoded", "a=1&b=1&c=1&d=1&token=x", 400),
        ("application/x-www-form-urlencoded", "a" * 5000, 413),
    ],
)
async def test_a_form_that_is_not_the_pages_own_is_refused(kind: str, body: str, status: int) -> None:
    async with served(Guard(TOKEN)) as server:
        headers = {"Origin": server.url, "Content-Type": kind}
        async with server.client.post(server.url, data=body, headers=headers) as response:
            assert response.status == status


@pytest.mark.parametrize("asked", [b"nonsense\r\n\r\n", b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n"])
async def test_what_is_no_request_is_no_fault_of_the_server(asked: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "fltui.web")
    async with served() as server, opened(server) as (reader, writer):
        writer.write(asked)
        assert b" 400 " in await reader.readline()
    assert not caplog.records


async def test_a_name_that_no_file_can_have_is_not_there() -> None:
    async with served() as server:
        assert await server.status("/terminal/" + "a" * 5000) == 404


async def test_who_says_nothing_makes_room_for_others_and_is_sent_away() -> None:
    async with served(strangers=Strangers(4, patience=30)) as server, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(opened(server)) for _ in range(12)]
        for _, writer in silent:
            writer.write(b"GET / HTTP/1.1\r\n")
        for reader, _ in silent[:7]:
            assert await closed(reader)
        assert await server.status("/") == 200
    async with served(strangers=Strangers(4, patience=0.2)) as server, server.console() as socket:
        assert await pid_of(socket)
        async with opened(server) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n")
            assert await closed(reader)
            # The console's connection is older, but it was let in.
            await socket.send_json(["stdin", "x"])
            assert await socket.receive_bytes(timeout=20) == b"got x"


async def test_a_connection_is_not_kept_for_who_is_not_let_in() -> None:
    async with served(Guard(TOKEN)) as server, server.client.get(server.url) as response:
        assert (response.status, response.headers["Connection"]) == (401, "close")


def test_strangers_leave_files_for_consoles(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    found = []
    for files in (16, 64, 1024, resource.RLIM_INFINITY):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        found.append(most_strangers())
    assert found == [4, 8, 64, 64]


@asynccontextmanager
async def opened(server: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, of which nothing is said yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the server closes a connection, within a while."""
    try:
        return await asyncio.wait_for(reader.read(), 20) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("route", ROUTES)
async def test_without_the_token_nothing_is_given(route: str) -> None:
    async with served(Guard(TOKEN)) as server:
        assert await server.status(route, Origin=server.url) == 401
        assert await server.status(f"{route}?token=wrong-horse-battery", Origin=server.url) == 401
        assert await server.status(route, Origin=server.url, Cookie=f"fltui-{server.url.rpartition(':')[2]}=x") == 401


async def test_the_link_with_the_token_lets_in_once_and_for_all() -> None:
    async with served(Guard(TOKEN)) as server:
        async with server.client.get(f"{server.url}/?token={TOKEN}") as response:
            assert response.status == 200
            cookie = response.headers["Set-Cookie"]
            assert TOKEN not in await response.text() + cookie
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
            assert "enter.js" in await response.text(), "which leads on, so that the token is not in the address"
        assert [await server.status(route) for route in ROUTES[2:]] == [404, 200, 404, 200, 403, 404]
        async with server.console() as socket:
            assert await pid_of(socket)


async def test_the_form_for_the_token() -> None:
    async with served(Guard(TOKEN)) as server:
        for token, origin, status in [
            ("wrong", server.url, 401),
            (TOKEN, "http://evil.example", 403),
            (TOKEN, server.url, 200),
        ]:
            async with server.client.post(server.url, data={"token": token}, headers={"Origin": origin}) as response:
                assert response.status == status
        assert await server.status("/") == 200


async def test_a_cookie_is_for_tls_alone_where_the_proxy_has_it() -> None:
    async with served(Guard(TOKEN, public="https://fl.example.org")) as server:
        headers = {"Host": "fl.example.org"}
        async with server.client.get(f"{server.url}/?token={TOKEN}", headers=headers) as response:
            assert "Secure" in response.headers["Set-Cookie"]


async def test_no_more_consoles_than_there_may_be() -> None:
    async with served(most=1) as server, server.console() as first:
        await pid_of(first)
        async with server.console() as second:
            message = await second.receive(timeout=20)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1013)
            assert "1 consoles are open" in str(message.extra)
        await first.close()
        for _ in range(50):  # its console is asked to leave meanwhile
            async with server.console() as third:
                if (await third.receive(timeout=20)).type is aiohttp.WSMsgType.BINARY:
                    return
        pytest.fail("there is no room again")


@pytest.mark.parametrize(
    ("key", "code", "reason"), [("q", 4000, ""), ("die", 4001, r"out of \x1b[2Jpaper")], ids=["left", "dead"]
)
async def test_a_console_that_ends_closes_its_page(key: str, code: int, reason: str) -> None:
    async with served() as server, server.console() as socket:
        pid = await pid_of(socket)
        await socket.send_json(["stdin", key])
        message = await socket.receive(timeout=20)
        assert (message.data, message.extra) == (code, reason)
        await socket.close()
        await until(lambda: is_gone(pid), "it is not waited for")


async def test_one_that_cannot_be_started_says_why() -> None:
    for command, sentence in [
        (["/no/such/program"], "cannot be started: No such file"),
        ([sys.executable, "-c", "raise SystemExit('error: config is no TOML')"], "config is no TOML"),
    ]:
        async with served(command=command) as server, server.console() as socket:
            message = await socket.receive(timeout=20)
            assert message.data == 4001
            assert sentence in str(message.extra)


async def test_where_there_is_no_room_a_page_is_told_and_no_place_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with served(most=1) as server:
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        for _ in range(2):
            async with server.console() as socket:
                message = await socket.receive(timeout=20)
                assert (message.data, "No space left" in str(message.extra)) == (4001, True)
        monkeypatch.undo()
        async with server.console() as socket:
            assert await pid_of(socket)


async def test_one_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fltui.web.session, "_PATIENCE", 0.1)
    stays = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nSTAYS = 1\n"
    async with served(command=[sys.executable, "-S", "-E", "-c", stays + ECHO]) as server:
        async with server.console() as socket:
            pid = await pid_of(socket)
        await until(lambda: is_gone(pid), "it is still there")


@pytest.mark.parametrize("text", ["", "{}", "[]", '["stdin"]', '["stdin", 1]', '["resize", 5]', "[" * 5000, '["none"]'])
async def test_what_no_page_would_say_closes_the_socket(text: str) -> None:
    async with served() as server, server.console() as socket:
        await pid_of(socket)
        await socket.send_str(text)
        message = await socket.receive(timeout=20)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1003)


async def test_when_the_server_ends_pages_are_told_and_consoles_are_gone() -> None:
    async with served() as server:
        socket = await server.client.ws_connect(f"{server.url}/ws", headers={"Origin": server.url}, autoclose=False)
        pid = await pid_of(socket)
    assert is_gone(pid)


async def test_pages_are_shown_in_no_frame_and_reach_out_to_nobody() -> None:
    async with served() as server, server.client.get(f"{server.url}/none") as response:
        assert response.status == 404
        assert response.headers["X-Frame-Options"] == "DENY"
    async with served() as server, server.client.get(server.url) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Frame-Options"] == "DENY"
        assert not re.findall(r"https?:", policy)
    for page in Path(fltui.web.session.__file__).parent.joinpath("page").iterdir():
        assert not re.findall(r"https?://|[\"']//", page.read_text()), page
