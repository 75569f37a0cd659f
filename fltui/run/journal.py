"""The journal: every event of a run, one JSON object a line, only ever appended. It is the truth about the run.

Every line ends with its chain: the BLAKE3 digest of the chain of the line before and of the line itself. So no line can
be changed, taken out or moved without every later one. It is kept whole, at 256 bits: that half of them would show an
edit made afterwards, but not that one server made two histories with the same end, which is cheap at 128.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import blake3
import msgspec

from fltui.errors import BadInputError
from fltui.exchange.append import append_line
from fltui.exchange.durable import sync_folder
from fltui.exchange.manifest import MALFORMED, MANIFEST_LIMIT
from fltui.run.events import AnyEvent, Event, MetricLogged, ModelSaved, RoundStarted

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)
_E = TypeVar("_E", bound=Event)

_CARRIED = (MetricLogged, RoundStarted, ModelSaved)
"""Events from which nothing follows but other events: they are synced with the next one."""

_LONGEST = 4 * MANIFEST_LIMIT
"""Bytes of the longest line that is read; an event tells of one manifest at most."""

_SPLICE = b',"chain":"'
_CHAIN_END = -len(b'"}\n')
_CHAIN_AT = _CHAIN_END - 64
_TAIL = len(_SPLICE) - _CHAIN_AT
"""Bytes of a line from its splice on."""


class ChainError(BadInputError):
    """A line of a journal does not follow from those before it: the journal was changed after it was written."""


class Chain:
    """The chain of a journal while its lines are read, front to back.

    Args:
        head: chain of the line before the first one that is read.

    Attributes:
        head: chain of the last line; empty before the first, and where there is none, so that nothing follows.
    """

    def __init__(self, head: bytes = b"") -> None:
        self._head = head

    @classmethod
    def at(cls, file: BinaryIO) -> Chain:
        """The chain at the position of `file`, which is the beginning of a line."""
        at = file.tell()
        file.seek(max(at - _TAIL, 0))
        tail = file.read(min(at, _TAIL))
        return cls(tail[_CHAIN_AT:_CHAIN_END] if tail.startswith(_SPLICE) else b"")

    @property
    def head(self) -> str:
        """See the class."""
        return self._head.decode("ascii", "replace")

    def follows(self, line: bytes) -> bool:
        """Whether a whole line, of valid JSON, follows from those before; if so, the chain goes on with it."""
        found = line[_CHAIN_AT:_CHAIN_END]
        if line[-_TAIL:_CHAIN_AT] != _SPLICE or _chain(self._head, line[:-_TAIL]) != found:
            return False
        self._head = found
        return True


def chained(event: Event, before: str) -> tuple[bytes, str]:
    """The line of an event, and its chain.

    Args:
        event: with its number and times.
        before: chain of the line before; empty for the first.
    """
    text = _encoder.encode(event)[:-1]
    head = _chain(before.encode(), text)
    return b'%b%b%b"}\n' % (text, _SPLICE, head), head.decode()


def _chain(head: bytes, text: bytes) -> bytes:
    return blake3.blake3(head + text).hexdigest().encode()


class Journal:
    """Writes the journal of a run.

    Args:
        path: the file; must not exist where the next event is the first.
        durable: fsync every event that something may follow from.
        seq: number of the next event.
        head: chain of the last event.
    """

    def __init__(self, path: Path, *, durable: bool = False, seq: int = 0, head: str = "") -> None:
        new = 0 if seq else os.O_CREAT | os.O_EXCL
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | new, 0o644)
        self._path = path
        self._durable = durable
        if durable and new:
            sync_folder(path.parent)
        self._next = seq
        self._head = head
        self._followers: list[Callable[[AnyEvent], None]] = []

    @classmethod
    def reopen(cls, path: Path, take: Callable[[AnyEvent], None], *, durable: bool = False) -> Journal:
        """Go on with a journal. A last line that is not whole is cut off: what it was to tell of had not begun.

        Args:
            path: the file.
            take: called with every event there is.
            durable: fsync every event from now on.

        Raises:
            BadInputError: there is no journal, no event in it, a line is not an event, or it was changed.
        """
        seq, chain = 0, Chain()
        try:
            with path.open("r+b") as file:
                for event in read_events(file, str(path), chain):
                    take(event)
                    seq = event.seq + 1
                file.truncate(file.tell())
        except OSError as error:
            raise BadInputError(f"journal {path} cannot be continued: {error.strerror}") from error
        if not seq:
            raise BadInputError(f"journal {path} has no event, so there is nothing to go on with")
        return cls(path, durable=durable, seq=seq, head=chain.head)

    @property
    def head(self) -> str:
        """Chain of the last event, in hexadecimal: whoever notes it elsewhere can tell this journal from any other."""
        return self._head

    def follow(self, follower: Callable[[AnyEvent], None]) -> None:
        """Call `follower` with every event after it is written."""
        self._followers.append(follower)

    def append(self, event: _E) -> _E:
        """Write an event, one line at once, and return it with its number and times.

        Raises:
            OSError: it cannot be written, or not whole; the journal is as it was before, and no follower is called.
        """
        stamped = msgspec.structs.replace(event, seq=self._next, time=time.time(), monotonic=time.monotonic())
        line, head = chained(stamped, self._head)
        try:
            append_line(self._fd, line, durable=self._durable and not isinstance(event, _CARRIED))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._next += 1
        self._head = head
        for follower in self._followers:
            follower(stamped)  # type: ignore[arg-type]  # every event there is stands in AnyEvent
        return stamped

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_journal(path: Path) -> Iterator[AnyEvent]:
    """The events of a journal in order. A last line that is not whole yet is left out.

    Raises:
        BadInputError: there is no journal, a line is not an event, or it was changed.
    """
    try:
        with path.open("rb") as file:
            yield from read_events(file, str(path))
    except OSError as error:
        raise BadInputError(f"journal {path} cannot be read: {error.strerror}") from error


def read_events(file: BinaryIO, where: str, chain: Chain | None = None) -> Iterator[AnyEvent]:
    """The whole events from the file's position on; leaves the position at the first line that is not whole.

    Args:
        file: a journal, at the beginning of a line.
        where: its path, for the sentence.
        chain: of the lines before, goes on with those that are read; what stands in the file where not given.

    Raises:
        BadInputError: a line is not an event.
        ChainError: a line does not follow from those before it.
    """
    at = file.tell()
    chain = chain or Chain.at(file)
    while True:
        line = file.readline(_LONGEST)
        if len(line) == _LONGEST and b"\0" not in line:
            raise BadInputError(f"journal {where} has a line at byte {at} that is longer than {_LONGEST} bytes")
        if not line.endswith(b"\n") or b"\0" in line:
            # A zero byte is a hole: the power went before the disk had written what was not synced, from there on.
            file.seek(at)
            return
        try:
            event = _decoder.decode(line)
        except MALFORMED as error:
            raise BadInputError(f"journal {where} has a line at byte {at} that is not an event: {error}") from error
        if not chain.follows(line):
            raise ChainError(
                f"journal {where} was changed after it was written: the line at byte {at}, event {event.seq}, does not "
                "follow from those before it"
            )
        yield event
        at += len(line)


def head_of(path: Path) -> str:
    """Chain of a journal's last event; empty if there is no event, or a line that is not whole comes after it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        return Chain.at(file).head


def to_json(event: AnyEvent) -> dict[str, object]:
    """An event as JSON values, as it stands in the journal, but without the secret of the run's noise."""
    values: dict[str, object] = msgspec.to_builtins(event)
    values.pop("secret", None)
    return values
