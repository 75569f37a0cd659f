"""Runs one command to its end, and ends all that it leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.peers.environments import surroundings
from benchmarks.peers.processes import LONGEST, end_the_rest

_ORDERLY = 20.0
"""Seconds that a command has to end in order once its time is over, before it is killed."""


class RunError(Exception):
    """A command could not be measured; the message is a sentence that says why."""


class LateError(RunError):
    """A command did not end in its time."""


def run(
    command: Sequence[str],
    folder: Path,
    *,
    limit: float = LONGEST,
    beside: AbstractContextManager[object] | None = None,
) -> float:
    """Run a command in `folder`, with its output in the file ``log`` there.

    Args:
        command: the command.
        folder: where it runs, with its home and temporary files.
        limit: seconds that it has.
        beside: entered once the command runs, left when it has ended.

    Returns:
        Seconds from its start to its exit.

    Raises:
        RunError: it failed.
        LateError: it did not end within `limit`.
    """
    log = folder / "log"
    environment = surroundings(folder)
    os.sync()  # what earlier commands wrote is not this one's to wait for
    late = threading.Event()
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment
        )

        def stop() -> None:
            late.set()
            process.send_signal(signal.SIGTERM)

        # Timers rather than a timeout, for which `wait` would poll.
        timers = [threading.Timer(limit, stop), threading.Timer(limit + _ORDERLY, process.kill)]
        for timer in timers:
            timer.start()
        try:
            with beside or contextlib.nullcontext():
                code = process.wait()
                seconds = time.perf_counter() - began
        except RunError:  # of what is beside; it may be so because the command failed
            if not (code := process.poll() or 0):
                raise
        finally:
            for timer in timers:
                timer.cancel()
            process.kill()
            process.wait()
            end_the_rest()
    if late.is_set():
        raise LateError(f"it did not end within {limit:g} s")
    if code:
        lines = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
        raise RunError(f"it ended with exit code {code} and last printed: {lines[-1].strip()}")
    return seconds


def output_of(command: Sequence[str]) -> str:
    """The last line that a command prints, run in a folder of its own.

    Raises:
        RunError: it failed, or printed nothing.
    """
    with tempfile.TemporaryDirectory(prefix="fltui-benchmark-") as place:
        folder = Path(place)
        run(command, folder)
        lines = (folder / "log").read_text("utf-8").splitlines()
    if not lines:
        raise RunError(f"{Path(command[1]).name} printed nothing")
    return lines[-1]
