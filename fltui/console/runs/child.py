"""Runs that the console starts: processes of their own that go on when the console is closed.

`asyncio`'s own processes do not do: when their event loop ends they kill what still runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

import msgspec

from fltui.console.safe import safe
from fltui.errors import FltuiError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.said import last_sentence, tail
from fltui.job.handover import LIFELINE

_LONGEST_LINE = 1 << 20
"""Bytes of one line of events: ten thousand sites have room."""


class NotStartedError(FltuiError):
    """The process ended before its run began.

    Attributes:
        code: its exit code; negative for a signal, 127 if there was no process at all.
    """

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


class _Event(msgspec.Struct):
    event: str
    run: str = ""


_decoder = msgspec.json.Decoder(_Event)


class Child:
    """A process ``fltui ARGUMENTS`` in a session of its own, always waited for.

    Attributes:
        run: id of its run.
    """

    def __init__(self, process: subprocess.Popen[bytes], stderr: int) -> None:
        self.run = ""
        self._process = process
        self._stderr = stderr
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        weakref.finalize(self, os.close, stderr)
        Thread(target=_wait_for, args=(process, self._ended), name=f"wait-{process.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id, which is that of its group and session too."""
        return self._process.pid

    @property
    def ended(self) -> Awaitable[int]:
        """Gives the exit code when the process has ended; negative for a signal."""
        return asyncio.shield(self._ended)

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.returncode is None

    def stderr_tail(self) -> str:
        """The last lines of standard error, harmless."""
        return "\n".join(map(safe, tail(self._stderr).splitlines()))

    async def kill(self) -> None:
        """Kill the process and all of its group, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.ended


async def start(arguments: Sequence[str], cwd: Path, run: str = "") -> Child:
    """Start ``fltui ARGUMENTS`` and wait until its run has an id. Cancelled meanwhile, it leaves no process.

    Args:
        arguments: of ``run``, ``server`` or ``resume``, without ``--json``.
        cwd: the folder that relative paths start from.
        run: id of the run where it is known, as it is of one that is resumed: its first event tells that it goes on.

    Raises:
        NotStartedError: the process ended first; with the sentence that it printed, harmless.
    """
    child, stdout = _spawn([sys.executable, "-P", "-m", "fltui", *arguments, "--json"], cwd)
    try:
        child.run = await _run_of(stdout, run)
        if not child.run:
            code = await child.ended
            raise NotStartedError(_sentence(child.stderr_tail(), code), code)
    except asyncio.CancelledError:
        await child.kill()
        raise
    finally:
        os.close(stdout)
    return child


def _spawn(command: list[str], cwd: Path) -> tuple[Child, int]:
    """The started process, and the end of a pipe from which its standard output is read.

    Standard error goes to a file without a name: a pipe that nobody reads any more would stop or kill the run.
    """
    stdout, written = os.pipe()
    try:
        with tempfile.TemporaryFile() as file:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={name: value for name, value in os.environ.items() if name != LIFELINE},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=file,
                start_new_session=True,
            )
            return Child(process, os.dup(file.fileno())), stdout
    except OSError as error:
        os.close(stdout)
        raise NotStartedError(f"fltui cannot be started in {safe(str(cwd))}: {error.strerror}", 127) from error
    finally:
        os.close(written)


def _wait_for(process: subprocess.Popen[bytes], ended: asyncio.Future[int]) -> None:
    """Reap the process whenever it ends, and tell so as long as somebody listens."""
    code = process.wait()

    def tell() -> None:
        if not ended.done():
            ended.set_result(code)

    with suppress(RuntimeError):  # the event loop is over: the console is being left
        ended.get_loop().call_soon_threadsafe(tell)


async def _run_of(stdout: int, known: str) -> str:
    """The run's id out of the first events, or `known` with the first of them; empty if the output ends before."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()
    line = bytearray()

    def take() -> None:
        if found.done():
            return
        part = os.read(stdout, 65536)
        *lines, rest = bytes(line + part).split(b"\n")
        line[:] = rest[:_LONGEST_LINE]
        run = next((event.run or known for event in map(_event_in, lines) if event and (event.run or known)), "")
        if run or not part:
            found.set_result(run)

    loop.add_reader(stdout, take)
    try:
        return await found
    finally:
        loop.remove_reader(stdout)


def _event_in(line: bytes) -> _Event | None:
    try:
        return _decoder.decode(line)
    except MALFORMED:
        return None


def _sentence(said: str, code: int) -> str:
    """Why it ended, from what it said."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return last_sentence(said, f"fltui {how}")
