"""A script's output as a log: every line with its time, written at once, whole."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from fltui.exchange.npy import write_all

_HELD = 1 << 20
"""Characters kept while there is no file to write to yet, and of a line that does not end."""


class LogFile:
    """Lines of ``<UTC time> <level> <text>``, each appended with one write so that two writers cannot mix theirs."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = fd
        self._lock = threading.RLock()
        self._held: list[str] = []
        self._partial: dict[str, str] = {}
        self._second = -1
        self._prefix = ""

    def open(self, path: Path) -> None:
        """Append to `path` from now on, beginning with what was printed before."""
        with self._lock:
            if self._fd is None:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                self._write("".join(self._held))
                self._held.clear()

    def feed(self, level: str, text: str) -> None:
        """Take what a stream was given; lines are written when they end."""
        with self._lock:
            *lines, rest = (self._partial.pop(level, "") + text).split("\n")
            if len(rest) > _HELD:
                lines.append(rest)
                rest = ""
            if rest:
                self._partial[level] = rest
            if lines:
                stamp = self._stamp()
                # A progress bar rewrites its line with carriage returns: what it ended with is what a log keeps.
                texts = (line.rstrip("\r").rpartition("\r")[2] for line in lines)
                self._write("".join(f"{stamp} {level} {text}\n" for text in texts))

    def finish(self) -> None:
        """Write lines that never ended."""
        with self._lock:
            for level in list(self._partial):
                self.feed(level, "\n")

    def _write(self, text: str) -> None:
        if self._fd is None:
            if sum(map(len, self._held)) < _HELD:
                self._held.append(text)
        elif text:
            with contextlib.suppress(OSError):  # a full disk must not end the training: it costs lines of the log
                write_all(self._fd, text.encode("utf-8", "backslashreplace"))

    def _stamp(self) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        return f"{self._prefix}.{int(now % 1 * 1000):03}Z"


class LoggedStream(io.TextIOBase):
    """Stands in for ``sys.stdout`` or ``sys.stderr``: passes text on and feeds the log."""

    def __init__(self, log: LogFile, level: str, terminal: TextIO | None, raw: TextIO) -> None:
        self._log = log
        self._level = level
        self._terminal = terminal
        self._raw = raw

    def write(self, text: str) -> int:
        """Pass `text` on to the terminal, if there is one, and to the log."""
        if self._terminal is not None:
            self._terminal.write(text)
        self._log.feed(self._level, text)
        return len(text)

    def flush(self) -> None:
        """Flush the terminal; the log has every whole line already."""
        if self._terminal is not None:
            self._terminal.flush()

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether a person sees the stream."""
        return self._terminal is not None and self._terminal.isatty()

    def fileno(self) -> int:
        """The descriptor below, for programs that the script starts."""
        return self._raw.fileno()

    @property
    def buffer(self) -> object:
        """The bytes below; what is written there gets no time."""
        return getattr(self._raw, "buffer", None)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed declares an attribute
        """Of the stream below."""
        return self._raw.encoding


def capture(*, stdout_is_log: bool) -> LogFile:
    """Replace ``sys.stdout`` and ``sys.stderr`` by logged streams.

    Args:
        stdout_is_log: the process was started with its output going to the log file, so lines are written there; else
            they go to the terminal as before, and to the log once `LogFile.open` names one.
    """
    log = LogFile(1 if stdout_is_log else None)
    for name, level in (("stdout", "INFO"), ("stderr", "WARN")):
        stream: TextIO = getattr(sys, name)
        setattr(sys, name, LoggedStream(log, level, None if stdout_is_log else stream, stream))
    return log
