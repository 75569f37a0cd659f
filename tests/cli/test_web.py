"""``fltui web`` as people start and end it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

import fltui.cli.web
from fltui.cli.app import app
from fltui.errors import BadInputError
from tests.jobs import command, environment
from tests.web.served import children_of, is_gone, until


@contextmanager
def web(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and its address."""
    process = subprocess.Popen(
        command("web", "--port", "0", "--json", *arguments),
        cwd=folder,
        env={**environment(folder), "FLTUI_CONFIG": str(folder / "config.toml")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and an environment in which the command may leave what it finds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLTUI_CONFIG", str(tmp_path / "config.toml"))
    for name in ("FLTUI_RUNS", "FLTUI_EXCHANGE", "FLTUI_QUEUE"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
async def test_however_it_ends_no_console_is_left(tmp_path: Path, sent: int, code: int) -> None:
    with web(tmp_path) as (process, url):
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{url}/ws", headers={"Origin": url}) as page:
            assert await page.receive_bytes(timeout=30)
            (console,) = children_of(process.pid)
            os.kill(process.pid, sent)
            message = await page.receive(timeout=30)
            while message.type is aiohttp.WSMsgType.BINARY:
                message = await page.receive(timeout=30)
            await page.close()
        assert process.wait(30) == code
        await until(lambda: is_gone(console), "a console is left")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines"),
        (["--host", "0.0.0.0", "--token-file", "none"], "--make-token makes it"),
        (["--make-token"], "none is named"),
        (["--host", "192.0.2.1", "--token-file", "token", "--make-token"], "is no address of this machine"),
        (["--port", "{taken}"], "is in use; --port takes another one"),
    ],
)
@pytest.mark.usefixtures("alone")
def test_what_cannot_be_served_is_a_sentence(arguments: list[str], sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        given = [argument.replace("{taken}", port) for argument in arguments]
        found = CliRunner().invoke(app, ["web", *given])
    assert isinstance(found.exception, BadInputError), found.output
    assert sentence in str(found.exception)


@pytest.mark.usefixtures("alone")
def test_without_its_library_the_command_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fltui.cli.web, "find_spec", lambda _: None)
    found = CliRunner().invoke(app, ["web"])
    assert "pip install 'fltui[web]'" in str(found.exception)
