"""A console attached to a run that has begun, in a terminal of its own."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import pexpect

from benchmarks.peers.environments import surroundings
from benchmarks.running import RunError

_PATIENCE = 30.0
"""Seconds for the run to begin, and for the console to show it."""


class Watching:
    """``fltui watch`` while its context lasts.

    Args:
        folder: where the run is started, with its ``runs``.
        gate: made once the console shows the run; the run's first round waits for it.
    """

    def __init__(self, folder: Path, gate: Path) -> None:
        self._folder = folder
        self._gate = gate
        self._thread = threading.Thread(target=self._drain, daemon=True)

    def __enter__(self) -> Watching:
        deadline = time.monotonic() + _PATIENCE
        while not list(self._folder.glob("runs/*/journal.jsonl")):
            if time.monotonic() > deadline:
                raise RunError(f"it began no run within {_PATIENCE:g} s, for the console to watch")
            time.sleep(0.02)  # before what is measured: the run waits at its gate meanwhile
        self._console = pexpect.spawn(
            sys.executable,
            ["-m", "fltui", "watch", "last", "--runs", str(self._folder / "runs")],
            cwd=str(self._folder),
            env=surroundings(self._folder) | {"TERM": "xterm-256color"},
            dimensions=(36, 120),
            timeout=_PATIENCE,
        )
        try:
            self._console.expect("site-1")
        except pexpect.ExceptionPexpect as error:
            self._console.close(force=True)
            raise RunError(f"the console did not show the run within {_PATIENCE:g} s") from error
        self._thread.start()
        self._gate.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alive = self._console.isalive()
        self._console.sendline("q")
        self._thread.join(_PATIENCE)
        self._console.close(force=True)
        if not alive and error is None:
            raise RunError("the console ended before the run did")

    def _drain(self) -> None:
        """Read what the console draws, as a terminal does."""
        with contextlib.suppress(pexpect.EOF, OSError):
            while True:
                with contextlib.suppress(pexpect.TIMEOUT):
                    self._console.read_nonblocking(65536, timeout=1)
