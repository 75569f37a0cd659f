"""Runs a job's command to its end, and ends all that it leaves behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.environments import surroundings
from benchmarks.peers.memory import Peak, Sampler, descendants, parents_now

LONGEST = 1800.0
"""Seconds after which a job is taken to hang, and is killed."""

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Ended:
    """How a command ended: seconds from its start to its exit, its exit code, and its memory if that was sampled."""

    seconds: float
    code: int
    peak: Peak | None
    log: Path

    @property
    def problem(self) -> str:
        """What went wrong, in a sentence; empty if nothing did."""
        if self.seconds >= LONGEST:
            return f"it was killed after {self.seconds:.0f} s"
        if self.code:
            lines = self.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            return f"it ended with exit code {self.code} and last printed: {lines[-1].strip()}"
        return ""


def adopt_orphans() -> None:
    """Make this process the parent of all whose own parent dies, so that none of a job's can get away.

    Raises:
        SystemExit: the system is not Linux.
    """
    if sys.platform != "linux":
        raise SystemExit("benchmarks.peers needs Linux: it reads the memory of processes from /proc")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit(f"benchmarks.peers cannot adopt orphans: {os.strerror(ctypes.get_errno())}")


def run(command: list[str], folder: Path, is_server: Callable[[str], bool] | None = None) -> Ended:
    """Run a command in `folder`, its output in a file there.

    Args:
        command: the command.
        folder: where it runs, with its home and temporary files.
        is_server: which process is the server's; memory is sampled if this is given.
    """
    log = folder / "log"
    environment = surroundings(folder)
    os.sync()  # what earlier jobs wrote is not this one's to wait for
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment
        )
        # A timer rather than a timeout, for which `wait` would poll.
        limit = threading.Timer(LONGEST, process.kill)
        limit.start()
        try:
            sampler = Sampler(os.getpid(), is_server) if is_server else None
            with sampler or contextlib.nullcontext():
                code = process.wait()
                seconds = time.perf_counter() - began
        finally:
            limit.cancel()
            process.kill()
            process.wait()
            end_the_rest()
    return Ended(seconds, code, sampler.peak if sampler else None, log)


def end_the_rest() -> None:
    """Kill whatever is below this process, and wait until it is gone."""
    while True:
        for pid in descendants(os.getpid(), parents_now()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
