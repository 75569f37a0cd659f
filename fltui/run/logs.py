"""The logs of a run: lines of ``<UTC time> <level> <text>``, a file for the server and one per site, merged by time."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fltui.exchange.visible import visible
from fltui.run.describe import describe
from fltui.run.events import AnyEvent

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")


@dataclass(frozen=True, order=True)
class LogLine:
    """One line. `time` is UTC text as in the file; a line without its own has that of the line before."""

    time: str
    source: str
    level: str
    text: str


class ServerLog:
    """Writes ``server.log`` from the journal's events."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def event(self, event: AnyEvent) -> None:
        """Append the event's sentence."""
        level, text = describe(event)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(event.time))
        self._file.write(f"{stamp}.{int(event.time % 1 * 1000):03}Z {level} {visible(text)}\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_line(source: str, line: str, before: str) -> LogLine:
    """Read one line of a log.

    Args:
        source: ``server`` or the site.
        line: without its line feed.
        before: time of the line before, for a line without one, such as a crash message from below Python.
    """
    stamp, _, rest = line.partition(" ")
    level, _, text = rest.partition(" ")
    if len(stamp) == 24 and stamp[10] == "T" and stamp.endswith("Z") and level in LEVELS:
        return LogLine(stamp, source, level, text)
    return LogLine(before, source, "WARN", line)


def read_log(path: Path) -> Iterator[LogLine]:
    """The lines of one log file; its name without the suffix is their source."""
    before = ""
    with path.open(encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        for line in file:
            parsed = parse_line(path.stem, line.rstrip("\n"), before)
            before = parsed.time
            yield parsed


def merged(logs: Path, site: str | None = None) -> Iterator[LogLine]:
    """All lines of a run by time, or those of one site."""
    files = [path for path in sorted(logs.glob("*.log")) if site in (None, path.stem)]
    yield from heapq.merge(*map(read_log, files), key=lambda line: line.time)


class LogFollower:
    """Reads logs that grow.

    Args:
        logs: the run's log folder.
        site: one source only; None for all.
    """

    def __init__(self, logs: Path, site: str | None = None) -> None:
        self._logs = logs
        self._site = site
        self._places: dict[Path, tuple[int, str]] = {}

    def new_lines(self) -> list[LogLine]:
        """The whole lines that came since the last call, by time."""
        lines: list[LogLine] = []
        for path in sorted(self._logs.glob("*.log")):
            if self._site in (None, path.stem):
                lines.extend(self._new_lines_of(path))
        return sorted(lines, key=lambda line: line.time)

    def _new_lines_of(self, path: Path) -> Iterator[LogLine]:
        at, before = self._places.get(path, (0, ""))
        with path.open("rb") as file:
            file.seek(at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                at += len(line)
                parsed = parse_line(path.stem, line[:-1].decode("utf-8", "backslashreplace"), before)
                before = parsed.time
                yield parsed
        self._places[path] = (at, before)
