"""One console for one page: a process of its own, which ends with the page, and before the server does."""

from __future__ import annotations

import asyncio
import tempfile
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from fltui.exchange.said import last_sentence, tail
from fltui.web import DRIVER

_PATIENCE = 5.0
"""Seconds in which a console that is asked to leave has to be gone; then it is killed."""


class Session(AppService):
    """A console, and the web socket of the page that shows it.

    Args:
        command: the console, to be started without a shell.
        write_bytes, write_str: give something to the page; both raise nothing if it is gone.
        ended: called when the console has gone, with why: empty if it was left in good order.
        downloads: of the server.
    """

    def __init__(
        self,
        command: Sequence[str],
        write_bytes: Callable[[bytes], Awaitable[None]],
        write_str: Callable[[str], Awaitable[None]],
        ended: Callable[[str], Awaitable[None]],
        downloads: DownloadManager,
    ) -> None:
        super().__init__(
            " ".join(command),
            write_bytes=write_bytes,
            write_str=write_str,
            close=self._leave,
            download_manager=downloads,
        )
        self._arguments = list(command)
        self._ended = ended
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._left = False

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        return {**super()._build_environment(width, height), "TEXTUAL_DRIVER": DRIVER}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        """Without a shell, and out of reach of the Ctrl-C that is for the server; what it says goes to a file."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._stderr,
            env=self._build_environment(width=width, height=height),
            start_new_session=True,
        )
        self._stdin = process.stdin
        process.stderr = asyncio.StreamReader()
        process.stderr.feed_eof()
        return process

    async def run(self) -> None:
        """Pass on what it draws until it is gone."""
        await super().run()
        await self._ended("" if self._left else self._why())

    async def _leave(self) -> None:
        self._left = True

    async def stop(self) -> None:
        """Ask the console to leave, and wait until its process is gone; runs that it has started go on."""
        process, task = self._process, self._task
        if process is None or task is None:
            self._stderr.close()
            return
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        await self.send_meta({"type": "quit"})
        for end in (process.terminate, process.kill):
            try:
                await asyncio.wait_for(process.wait(), _PATIENCE)
                break
            except TimeoutError:
                with suppress(ProcessLookupError):
                    end()
        await process.wait()
        await task
        self._task = None
        self._stderr.close()

    def _why(self) -> str:
        """What it said last."""
        return last_sentence(tail(self._stderr.fileno()), "The console ended unexpectedly.")
