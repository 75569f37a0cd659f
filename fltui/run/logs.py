"""The logs of a run: lines of ``<UTC time> <level> <text>``, a file for the server and one per site, merged by time.

What a site's script prints is hostile until proven otherwise: a log may be gigabytes of one line, replaced, cut short,
or no file at all. Readers here hold a bounded part of it and wait for nothing.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import stat
import time
import traceback
from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

import msgspec

from fltui.exchange.plain import NotPlainError, open_plain
from fltui.exchange.visible import visible
from fltui.run.describe import describe
from fltui.run.events import AnyEvent

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")

LONGEST_LINE = 1 << 16
"""Bytes of one line that are kept; a longer one ends with ``…``."""

AT_ONCE = 1 << 20
"""Bytes that are read at once."""

_SUFFIX = ".log"
_STAMP = r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z) "
_LINE = re.compile(rf"^(?:{_STAMP}({'|'.join(LEVELS)})(?: |$))?(.*)$", re.MULTILINE)
_STAMP_OF_LINE = re.compile(f"^{_STAMP}".encode(), re.MULTILINE)
_LEVEL = {level: level for level in LEVELS}


class LogLine(msgspec.Struct, frozen=True, order=True, gc=False):
    """One line. `time` is UTC text as in the file; a line without its own has that of the line before."""

    time: str
    source: str
    level: str
    text: str


_by_time = attrgetter("time")


class ServerLog:
    """Writes ``server.log``: the journal's events as sentences, and the traceback of the server's own error.

    It tells nothing that a run needs, so a full disk costs lines of it and not the run.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def event(self, event: AnyEvent) -> None:
        """Append the event's sentence."""
        level, text = describe(event)
        self._write(event.time, level, [text])

    def warn(self, text: str) -> None:
        """Append a sentence that is no event."""
        self._write(time.time(), "WARN", [text])

    def failed(self, error: BaseException) -> None:
        """Append the traceback of an error that the server does not know."""
        self._write(time.time(), "ERROR", "".join(traceback.format_exception(error)).splitlines())

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, when: float, level: str, lines: Iterable[str]) -> None:
        head = f"{_second(int(when))}.{int(when % 1 * 1000):03}Z {level}"
        with contextlib.suppress(OSError):
            self._file.write("".join(f"{head} {visible(line)}\n" for line in lines))


@lru_cache(1)
def _second(when: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when))


def parse_line(source: str, line: str, before: str) -> LogLine:
    """Read one line of a log.

    Args:
        source: ``server`` or the site.
        line: without its line feed.
        before: time of the line before, for a line without one, such as a crash message from below Python.
    """
    return parse_lines(source, line, before)[0]


def parse_lines(source: str, text: str, before: str) -> list[LogLine]:
    """Read the lines of a log, with line feeds between them; see `parse_line`."""
    lines = []
    for stamp, level, said in _LINE.findall(text):
        if stamp:
            before = stamp
        if len(said) > LONGEST_LINE:
            said = f"{said[:LONGEST_LINE]}…"
        lines.append(LogLine(before, source, _LEVEL[level] if stamp else "WARN", said))
    return lines


class _Lines:
    """Makes lines of the bytes of one log as they come.

    Attributes:
        before: time of the last line.
    """

    def __init__(self, source: str, before: str = "") -> None:
        self.before = before
        self._source = source
        self._rest = b""
        self._skipping = False

    def skip_line(self) -> None:
        """Leave out what comes up to the next line feed."""
        self._rest, self._skipping = b"", True

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that end in `data`; of one that gets too long its beginning, and nothing of the rest."""
        if self._skipping:
            _, ended, data = data.partition(b"\n")
            self._skipping = not ended
        whole, ended, rest = data.rpartition(b"\n")
        if ended:
            whole, self._rest = self._rest + whole, rest
        else:
            self._rest += rest
        lines = self._parsed(whole) if ended else []
        if len(self._rest) > LONGEST_LINE:
            lines += self.end()
            self.skip_line()
        return lines

    def end(self) -> list[LogLine]:
        """What there is of a line that has not ended."""
        whole, self._rest = self._rest, b""
        return self._parsed(whole) if whole else []

    def _parsed(self, whole: bytes) -> list[LogLine]:
        lines = parse_lines(self._source, whole.decode("utf-8", "backslashreplace"), self.before)
        self.before = lines[-1].time
        return lines


def _open(path: Path) -> BinaryIO:
    """Open a log.

    A hard link is as good as any file: the simulator makes one of a site's log. Where it cannot, it makes a symbolic
    link until the run ends; so that one is followed, once. The file it leads to lies where the site writes, and must
    be one.

    Raises:
        OSError: it is gone, a FIFO, a device, a folder, or a link to a link.
    """
    try:
        fd = open_plain(path)
    except NotPlainError:
        if not path.is_symlink():
            raise
        fd = open_plain(path.parent / path.readlink())
    return open(fd, "rb", buffering=0)


def read_log(path: Path) -> Iterator[LogLine]:
    """The lines of one log file; its name without the suffix is their source.

    Raises:
        OSError: it cannot be read, or is no plain file.
    """
    lines = _Lines(path.stem)
    with _open(path) as file:
        while data := file.read(AT_ONCE):
            yield from lines.feed(data)
    yield from lines.end()


def merged(logs: Path, site: str | None = None) -> Iterator[LogLine]:
    """All lines of a run by time, or those of one site; of a log that cannot be read a line that says so."""
    files = [path for path in sorted(logs.glob(f"*{_SUFFIX}")) if site in (None, path.stem)]
    yield from heapq.merge(*map(_read_or_tell, files), key=_by_time)


def _read_or_tell(path: Path) -> Iterator[LogLine]:
    try:
        yield from read_log(path)
    except OSError as error:
        yield LogLine("", path.stem, "WARN", f"this log cannot be read: {error.strerror}")


class _GrowingLog:
    """One log that grows.

    Attributes:
        identity: device and inode of what was read, and whether the name is a link to it; another one is another file.
            Only what takes a link's place is its copy, and the link that takes the place of a copy leads to more of it.
        at: bytes of it that were read or left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = _Lines(path.stem)
        self.identity = (-1, -1, False)
        self.at = 0

    def new_bytes(self, found: os.stat_result) -> int:
        """How many bytes there are to read, by what the disk says of the file."""
        return found.st_size - self.at if self._goes_on(found) else found.st_size

    def _goes_on(self, found: os.stat_result) -> bool:
        now = self._identity_of(found)
        same = self.identity == now or (self.at > 0 and self.identity[2] != now[2])
        return same and found.st_size >= self.at

    def _identity_of(self, found: os.stat_result) -> tuple[int, int, bool]:
        return found.st_dev, found.st_ino, self._path.is_symlink()

    def read(self, most: int | None, *, leave_out: bool) -> Iterator[LogLine]:
        """Read what is new.

        Args:
            most: bytes; None for all that is there now.
            leave_out: of more than `most` bytes the last ones, not the first.

        Raises:
            OSError: it is gone, or no plain file.
        """
        with _open(self._path) as file:
            found = os.fstat(file.fileno())
            if not self._goes_on(found):
                self._lines, self.at = _Lines(self._path.stem), 0
            self.identity = self._identity_of(found)
            left = found.st_size - self.at
            if most is not None and left > most:
                if leave_out:
                    yield self._jump(file, found.st_size - most)
                    left = found.st_size - self.at
                else:
                    left = most
            file.seek(self.at)
            while left > 0 and (data := file.read(min(left, AT_ONCE))):
                self.at += len(data)
                left -= len(data)
                yield from self._lines.feed(data)

    def _jump(self, file: BinaryIO, to: int) -> LogLine:
        """Go on with the first whole line after `to`; a line that says what is left out."""
        level = "WARN" if self.at else "INFO"
        file.seek(max(self.at, to - LONGEST_LINE))
        stamps = _STAMP_OF_LINE.findall(file.read(to - file.tell()))
        before = stamps[-1].decode() if stamps else self._lines.before
        left_out, self.at = to - self.at, to - 1  # a line feed there is the end of the line before
        self._lines = _Lines(self._path.stem, before)
        self._lines.skip_line()
        text = f"… {left_out:,} bytes left out, they are in logs/{self._path.name}"
        return LogLine(before, self._path.stem, level, text)


class LogFollower:
    """Reads logs that grow. A log that was replaced or cut short is read from its beginning again.

    Args:
        logs: the run's log folder.
        site: one source only; None for all.
        tail: None reads everything there is at every call. A number is for showing: a call reads at most so many
            bytes of all logs together at first, later at most `AT_ONCE`, and goes on at the next call, see `behind`.
            Of what is there at first, and of a log that grew by more than that since, only the end is read, and a line
            says so. Small logs are read whole; large ones share what these leave.
    """

    def __init__(self, logs: Path, site: str | None = None, *, tail: int | None = None) -> None:
        self._logs = logs
        self._site = site
        self._tail = tail
        self._first = True
        self._known: dict[str, _GrowingLog] = {}
        self._behind = False

    @property
    def behind(self) -> bool:
        """Whether more was there at the last call than it read."""
        return self._behind

    def new_lines(self) -> list[LogLine]:
        """The whole lines that came since the last call, by time; files in the order of their names where it is equal.

        A call costs little where nothing came: files are opened only if they grew.
        """
        grown = self._grown()
        shares: Iterable[int | None] = [None] * len(grown)
        if self._tail is not None:
            shares = _shares([size for _, size in grown], self._tail if self._first else min(AT_ONCE, self._tail))
        self._behind = False
        lines: list[LogLine] = []
        for (log, size), share in zip(grown, shares, strict=True):
            leave_out = self._tail is not None and (self._first or size > self._tail)
            try:
                lines.extend(log.read(share, leave_out=leave_out))
            except OSError:
                continue  # gone since, or no plain file
            self._behind = self._behind or (share is not None and share < size and not leave_out)
        self._first = False
        lines.sort(key=_by_time)
        return lines

    def _grown(self) -> list[tuple[_GrowingLog, int]]:
        """The logs that have something new, by name, and how many bytes."""
        grown = []
        known: dict[str, _GrowingLog] = {}
        for name, found in sorted(self._listed(), key=lambda each: each[0]):
            log = known[name] = self._known.get(name) or _GrowingLog(self._logs / name)
            size = log.new_bytes(found)
            if size:
                grown.append((log, size))
        self._known = known
        return grown

    def _listed(self) -> Iterator[tuple[str, os.stat_result]]:
        try:
            entries = os.scandir(self._logs)
        except OSError:
            return
        with entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX) and self._site in (None, entry.name.removesuffix(_SUFFIX)):
                    try:
                        found = entry.stat()
                    except OSError:
                        continue
                    if stat.S_ISREG(found.st_mode):
                        yield entry.name, found


def _shares(sizes: list[int], total: int) -> list[int]:
    """How much of each of `sizes` is read so that they are `total` together; large ones get what small ones leave."""
    shares = [0] * len(sizes)
    left = total
    for done, place in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[place] = min(sizes[place], max(1, left // (len(sizes) - done)))
        left -= shares[place]
    return shares
