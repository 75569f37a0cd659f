"""A real terminal for tests: the console runs in a pseudo-terminal, and what it draws is read from an emulator."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pyte

from tests.jobs import command, environment

_LONGEST = 30.0


class Terminal:
    """A command in a pseudo-terminal; a context manager that ends it.

    Attributes:
        raw: every byte that reached the terminal.
    """

    def __init__(self, folder: Path, *arguments: str | Path, columns: int = 120, rows: int = 36) -> None:
        self.raw = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        env = {
            **environment(folder),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "TEXTUAL_ANIMATIONS": "none",
            "FLTUI_CONFIG": str(folder / "config.toml"),
        }
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            env.pop(name, None)
        program, *rest = command(*arguments)
        self.process = pexpect.spawn(
            program, rest, cwd=str(folder), env=env, dimensions=(rows, columns), timeout=_LONGEST
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.close(force=True)

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return "\n".join(self._screen.display)

    def send(self, keys: str) -> None:
        """Press keys."""
        self.process.send(keys)

    def wait_for(self, *texts: str) -> str:
        """Read until all `texts` are shown; what is shown then.

        Raises:
            AssertionError: they do not come in time.
        """
        until = time.monotonic() + _LONGEST
        while not all(text in self.text for text in texts):
            if time.monotonic() > until or not self._read():
                raise AssertionError(f"{texts} did not come; the terminal shows\n{self.text}")
        return self.text

    def wait_without(self, text: str) -> None:
        """Read until `text` is shown no more.

        Raises:
            AssertionError: it stays.
        """
        until = time.monotonic() + _LONGEST
        while text in self.text:
            if time.monotonic() > until or not self._read():
                raise AssertionError(f"{text!r} stays; the terminal shows\n{self.text}")

    def settle(self) -> None:
        """Read until the terminal is quiet for a moment."""
        while self._read(0.1):
            pass

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size."""
        self._screen.resize(rows, columns)
        self.process.setwinsize(rows, columns)

    def exit_code(self) -> int:
        """Read until the command ends; its exit code.

        Raises:
            AssertionError: it does not end in time.
        """
        until = time.monotonic() + _LONGEST
        while self._read():
            assert time.monotonic() < until, f"it does not end; the terminal shows\n{self.text}"
        self.process.wait()
        code = self.process.exitstatus
        return -1 if code is None else code

    def kill(self) -> None:
        """``kill -9``."""
        os.kill(self.process.pid, 9)
        self.process.wait()

    def _read(self, patience: float | None = None) -> bool:
        """Take what comes; whether more can come. With `patience`, nothing for so many seconds means no."""
        try:
            piece = self.process.read_nonblocking(65536, timeout=patience or 1)
        except pexpect.TIMEOUT:
            return patience is None and bool(self.process.isalive())
        except pexpect.EOF:
            return False
        self.raw += piece
        self._stream.feed(piece)
        return True
