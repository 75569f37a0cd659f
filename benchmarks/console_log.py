"""A flood of log lines against the log panel: ``python -m benchmarks.console_log [SECONDS]``.

One process writes a site's log at 10,000 lines a second; another follows the run as the console does and shows its log,
once without a terminal and once in a pseudo-terminal of 120 columns. Nothing here asserts a number.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult

from fltui.console.runs.follow import Follower
from fltui.console.widgets.log import LogPanel
from fltui.run.events import RunStarted
from fltui.run.folder import RunFolder
from fltui.run.journal import chained

RATE = 10_000
"""Lines a second."""

_STEP = 0.005
_TICK = 0.01
_COLUMNS, _ROWS = 120, 36


class Flooded(App[None]):
    """Nothing but a log panel, fed as the run screen feeds it.

    Args:
        folder: the run.
        seconds: after which it ends.
    """

    CSS: ClassVar[str] = "LogPanel { border: round $border; }"

    def __init__(self, folder: RunFolder, seconds: float) -> None:
        super().__init__()
        self._follower = Follower(folder)
        self._seconds = seconds
        self._taken = 0
        self._lags: list[float] = []
        self.found: dict[str, float] = {}

    def compose(self) -> ComposeResult:
        """The panel."""
        yield LogPanel()

    def on_mount(self) -> None:
        """Begin."""
        self.set_interval(1 / 20, self._drain)
        self.run_worker(self._measure())

    def _drain(self) -> None:
        until = time.monotonic() + 0.012
        while time.monotonic() < until and (batch := self._follower.take()) is not None:
            self._taken += len(batch.lines)
            self.query_one(LogPanel).append(batch.lines)

    async def _measure(self) -> None:
        await asyncio.sleep(min(2.0, self._seconds / 4))  # what starting costs is measured elsewhere
        begun, cpu, taken = time.monotonic(), time.process_time(), self._taken
        memory = 0
        while (now := time.monotonic()) < begun + self._seconds:
            await asyncio.sleep(_TICK)
            self._lags.append(max(0.0, time.monotonic() - now - _TICK))
            if not memory and now > begun + self._seconds / 3:
                memory = _memory()
        elapsed = time.monotonic() - begun
        self._lags.sort()
        self.found = {
            "lines_per_second": (self._taken - taken) / elapsed,
            "cpu_percent": (time.process_time() - cpu) / elapsed * 100,
            "lag_median_ms": statistics.median(self._lags) * 1e3,
            "lag_p99_ms": self._lags[int(len(self._lags) * 0.99)] * 1e3,
            "lag_max_ms": self._lags[-1] * 1e3,
            "memory_mb": _memory() / 1e6,
            "memory_growth_mb": (_memory() - memory) / 1e6,
        }
        await asyncio.to_thread(self._follower.close)
        self.exit()


def _memory() -> int:
    """Bytes that this process had at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def write_lines(path: Path, seconds: float) -> None:
    """Append `RATE` lines a second to a log."""
    begun, written = time.monotonic(), 0
    with path.open("ab", buffering=0) as log:
        while (elapsed := time.monotonic() - begun) < seconds:
            now = time.time()
            stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z"
            due = int(elapsed * RATE)
            log.write(b"".join(_line(stamp, number) for number in range(written, due)))
            written = due
            time.sleep(_STEP)  # the flood has a rate


def _line(stamp: str, number: int) -> bytes:
    said = f"epoch {number // 1000} batch {number % 1000}: loss {1 / (number + 1):.6f}, accuracy 0.93"
    return f"{stamp} INFO {said}\n".encode()


def _run(folder: RunFolder, seconds: float, *, terminal: bool) -> dict[str, float]:
    module = [sys.executable, "-m", "benchmarks.console_log"]
    writer = subprocess.Popen([*module, "write", str(folder.logs / "site-0.log"), str(seconds + 30)])
    answer = folder.root / "measured.json"
    show = [*module, "show", str(folder.root), str(seconds), str(answer), "terminal" if terminal else "headless"]
    try:
        if terminal:
            _in_terminal(show)
        else:
            subprocess.run(show, check=True)
    finally:
        writer.kill()
        writer.wait()
    found: dict[str, float] = json.loads(answer.read_text())
    return found


def _in_terminal(command: list[str]) -> None:
    """Run a command in a pseudo-terminal that reads everything at once."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def read() -> None:
        try:
            while os.read(ours, 1 << 16):
                pass
        except OSError:
            return  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    code = process.wait()
    reader.join()
    os.close(ours)
    if code:
        raise subprocess.CalledProcessError(code, command)


def measure(seconds: float = 60) -> dict[str, float]:
    """Flood the panel for so long, without and in a terminal; names begin with ``headless_`` and ``terminal_``."""
    found: dict[str, float] = {}
    for name in ("headless", "terminal"):
        with tempfile.TemporaryDirectory() as place:
            folder = RunFolder(Path(place) / "flood")
            folder.logs.mkdir(parents=True)
            event = RunStarted(
                run="flood",
                job="flood",
                workflow="FedAvg",
                sites=["site-0"],
                start_round=0,
                total_rounds=1,
                exchange="/exchange",
            )
            folder.journal.write_bytes(chained(event, "")[0])
            measured = _run(folder, seconds, terminal=name == "terminal")
        found |= {f"{name}_{key}": value for key, value in measured.items()}
    return found


def main(arguments: list[str]) -> None:
    """Measure and print; or be one of the two processes."""
    match arguments:
        case ["write", path, seconds]:
            write_lines(Path(path), float(seconds))
        case ["show", root, seconds, answer, kind]:
            app = Flooded(RunFolder(Path(root)), float(seconds))
            app.run(headless=kind == "headless", size=(_COLUMNS, _ROWS) if kind == "headless" else None)
            Path(answer).write_text(json.dumps(app.found))
        case _:
            for key, value in measure(float(arguments[0]) if arguments else 60).items():
                print(f"{key:28} {value:12,.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
