"""The journal: every event of a run, one JSON object a line, only ever appended. It is the truth about the run."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.npy import write_all
from fltui.run.events import AnyEvent, Event

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)
_E = TypeVar("_E", bound=Event)


class Journal:
    """Writes the journal of a run.

    Args:
        path: the file; must not exist where the next event is the first.
        durable: fsync every event.
        seq: number of the next event.
    """

    def __init__(self, path: Path, *, durable: bool = False, seq: int = 0) -> None:
        new = 0 if seq else os.O_CREAT | os.O_EXCL
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | new, 0o644)
        self._path = path
        self._durable = durable
        self._next = seq
        self._followers: list[Callable[[AnyEvent], None]] = []

    @classmethod
    def reopen(cls, path: Path, take: Callable[[AnyEvent], None], *, durable: bool = False) -> Journal:
        """Go on with a journal. A last line that is not whole is cut off: what it was to tell of had not begun.

        Args:
            path: the file.
            take: called with every event there is.
            durable: fsync every event from now on.

        Raises:
            BadInputError: there is no journal, no event in it, or a line is not an event.
        """
        seq = 0
        try:
            with path.open("r+b") as file:
                for event in read_events(file, str(path)):
                    take(event)
                    seq = event.seq + 1
                file.truncate(file.tell())
        except OSError as error:
            raise BadInputError(f"journal {path} cannot be continued: {error.strerror}") from error
        if not seq:
            raise BadInputError(f"journal {path} has no event, so there is nothing to go on with")
        return cls(path, durable=durable, seq=seq)

    def follow(self, follower: Callable[[AnyEvent], None]) -> None:
        """Call `follower` with every event after it is written."""
        self._followers.append(follower)

    def append(self, event: _E) -> _E:
        """Write an event, one line at once, and return it with its number and times.

        Raises:
            OSError: it cannot be written, or not whole; the journal is as it was before, and no follower is called.
        """
        stamped = msgspec.structs.replace(event, seq=self._next, time=time.time(), monotonic=time.monotonic())
        before = os.fstat(self._fd).st_size
        try:
            write_all(self._fd, _encoder.encode(stamped) + b"\n")
            if self._durable:
                os.fsync(self._fd)
        except OSError as error:
            # Half a line in the midst of a journal would make all of it unreadable once there is room again.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, before)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._next += 1
        for follower in self._followers:
            follower(stamped)  # type: ignore[arg-type]  # every event there is stands in AnyEvent
        return stamped

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_journal(path: Path) -> Iterator[AnyEvent]:
    """The events of a journal in order. A last line that is not whole yet is left out.

    Raises:
        BadInputError: there is no journal, or a line is not an event.
    """
    try:
        with path.open("rb") as file:
            yield from read_events(file, str(path))
    except OSError as error:
        raise BadInputError(f"journal {path} cannot be read: {error.strerror}") from error


def read_events(file: BinaryIO, where: str) -> Iterator[AnyEvent]:
    """The whole events from the file's position on; leaves the position at the first line that is not whole.

    Raises:
        BadInputError: a line is not an event.
    """
    while True:
        at = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(at)
            return
        try:
            yield _decoder.decode(line)
        except MALFORMED as error:
            raise BadInputError(f"journal {where} has a line at byte {at} that is not an event: {error}") from error


def to_json(event: AnyEvent) -> dict[str, object]:
    """An event as JSON values, as it stands in the journal."""
    values: dict[str, object] = msgspec.to_builtins(event)
    return values
