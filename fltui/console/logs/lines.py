"""The log lines that the console keeps, and those of them that a person wants to see."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from fltui.console.logs.patterns import Pattern, TooSlowError, patience
from fltui.run.logs import LEVELS, LogLine

MOST_LINES = 50_000
MOST_CHARACTERS = 20_000_000
"""What is kept at most; a site that writes long lines shortens the past."""

_BLOCK = MOST_LINES // 10
"""Lines that are dropped at a time."""

_PATIENCE = 0.05
"""Seconds of computing after which a pattern is given up."""

_PLAIN_LINES, _REGEX_LINES = 2048, 16
"""Lines between two looks at the clock."""


@dataclass(frozen=True)
class LogFilter:
    """Which lines are shown.

    Attributes:
        source: only of this one; empty for all.
        level: place in `LEVELS` of the least one.
        pattern: what the text must match; None for any.
    """

    source: str = ""
    level: int = 0
    pattern: Pattern | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets everything through."""
        return not self.source and not self.level and self.pattern is None

    @property
    def needs_patience(self) -> bool:
        """Whether there is a text on which it may take forever."""
        return self.pattern is not None and not self.pattern.is_plain

    def select(self, lines: Sequence[LogLine], first: int) -> list[int]:
        """The numbers of the lines it lets through, of which the first has the number `first`."""
        found: Iterable[tuple[int, LogLine]] = enumerate(lines, first)
        if self.source:
            source = self.source
            found = ((number, line) for number, line in found if line.source == source)
        if self.level:
            levels = LEVELS[self.level :]
            found = ((number, line) for number, line in found if line.level in levels)
        if self.pattern is not None:
            matches = self.pattern.matches
            found = ((number, line) for number, line in found if matches(line.text))
        return [number for number, _ in found]


@dataclass
class _Sieve:
    """A filter at work: the numbers it let through of those lines that are before the number `tested`."""

    filter: LogFilter
    tested: int
    found: list[int] = field(default_factory=list)


class LogLines:
    """The newest lines, each with a number that it keeps; the first ever has 0.

    Lines stand in the order in which they came: sorted by time within a batch, not across batches. Clocks of several
    machines disagree, and a line that came late would otherwise appear where nobody looks, or push others away.

    Matching is done in slices, see `work`, so that neither many lines nor a slow pattern hold up who calls.

    Args:
        wanted: which of them are shown at first.

    Attributes:
        sources: every source that a line came from.
        source_width: characters of the longest of them.
    """

    def __init__(self, wanted: LogFilter = LogFilter()) -> None:
        self.sources: set[str] = set()
        self.source_width = 0
        self._lines: list[LogLine] = []
        self._first = 0
        self._characters = 0
        self._sieve = _Sieve(wanted, 0)
        self._next: _Sieve | None = None

    def clear(self) -> None:
        """Forget all lines; the filter stays."""
        self.sources.clear()
        self.source_width = 0
        self._lines.clear()
        self._first = self._characters = 0
        self._sieve, self._next = _Sieve(self.filter, 0), None

    # What there is.

    def append(self, lines: Sequence[LogLine]) -> None:
        """Take a batch; the oldest lines make room."""
        new = {line.source for line in lines} - self.sources
        self.sources |= new
        self.source_width = max([self.source_width, *map(len, new)])
        self._lines.extend(lines)
        self._characters += sum([len(line.text) for line in lines])
        while len(self._lines) > MOST_LINES or (self._characters > MOST_CHARACTERS and len(self._lines) > 1):
            self._drop(max(len(self._lines) - MOST_LINES, min(_BLOCK, (len(self._lines) + 1) // 2)))

    def _drop(self, count: int) -> None:
        self._characters -= sum([len(line.text) for line in self._lines[:count]])
        del self._lines[:count]
        self._first += count
        for sieve in filter(None, (self._sieve, self._next)):
            sieve.tested = max(sieve.tested, self._first)
            del sieve.found[: bisect_left(sieve.found, self._first)]

    @property
    def kept(self) -> int:
        """How many lines are kept."""
        return len(self._lines)

    @property
    def dropped(self) -> int:
        """How many were dropped."""
        return self._first

    def __getitem__(self, number: int) -> LogLine:
        """The line with this number, which must be kept."""
        return self._lines[number - self._first]

    def last(self, source: str, text_start: str, level: int = 0) -> int | None:
        """Number of the last line of `source`, shown or not, whose text starts so; None if there is none.

        Args:
            source: where it came from.
            text_start: what it begins with.
            level: place in `LEVELS` of the least one.
        """
        levels = LEVELS[level:]
        for place in range(len(self._lines) - 1, -1, -1):
            line = self._lines[place]
            if line.source == source and line.text.startswith(text_start) and line.level in levels:
                return self._first + place
        return None

    # What is shown.

    @property
    def filter(self) -> LogFilter:
        """What was wanted last."""
        return (self._next or self._sieve).filter

    def show(self, wanted: LogFilter) -> None:
        """Show other lines, as soon as `work` has found them; until then those before are shown."""
        if wanted == self._sieve.filter:
            self._next = None
        elif wanted != self.filter:
            self._next = _Sieve(wanted, self._first)

    @property
    def shown(self) -> Sequence[int]:
        """The numbers of the lines that are shown, in order."""
        if self._sieve.filter.is_open:
            return range(self._first, self._first + len(self._lines))
        return self._sieve.found

    def place(self, number: int) -> int:
        """Where in `shown` this line is, or the next one that is shown."""
        return bisect_left(self.shown, number)

    @property
    def untested(self) -> int:
        """How many lines `work` has not come to yet."""
        sieve = self._next or self._sieve
        return 0 if sieve.filter.is_open and not self._next else self._first + len(self._lines) - sieve.tested

    def work(self, seconds: float) -> bool:
        """Go on matching for about so long; whether the lines that are shown now are those of another filter.

        Raises:
            TooSlowError: the pattern took too long on a line. It is taken off again, and the filter before is back; if
                it had been in place, the lines are shown without it.
        """
        sieve = self._next or self._sieve
        try:
            with patience(_PATIENCE) if sieve.filter.needs_patience else nullcontext():
                done = self._test(sieve, time.perf_counter() + seconds)
        except TooSlowError:
            self._next = None if self._next else _Sieve(replace(sieve.filter, pattern=None), self._first)
            raise
        if not done or self._next is None:
            return False
        self._sieve, self._next = sieve, None
        return True

    def _test(self, sieve: _Sieve, until: float) -> bool:
        """Whether all is tested."""
        end = self._first + len(self._lines)
        if sieve.filter.is_open:
            sieve.tested = end
        block = _REGEX_LINES if sieve.filter.needs_patience else _PLAIN_LINES
        while sieve.tested < end:
            at = sieve.tested - self._first
            sieve.found += sieve.filter.select(self._lines[at : at + block], sieve.tested)
            sieve.tested = min(end, sieve.tested + block)
            if time.perf_counter() > until:
                break
        return sieve.tested >= end

    def seek(self, pattern: Pattern, number: int, step: int, seconds: float) -> Iterator[int | None]:
        """Look for a shown line.

        Args:
            pattern: what its text matches.
            number: where to begin; the line with this number comes last.
            step: 1 for downwards, -1 for upwards; after the end it goes on at the other end.
            seconds: how long to look before giving way.

        Yields:
            None to give way, and at last the number of the line if there is one.

        Raises:
            TooSlowError: the pattern took too long on a line.
        """
        shown, place = self.shown, self.place(number)
        here = [number] if place < len(shown) and shown[place] == number else []
        below, above = shown[place + len(here) :], shown[:place]
        order = [*below, *above, *here] if step > 0 else [*above[::-1], *below[::-1], *here]
        until = time.perf_counter() + seconds
        for at in range(0, len(order), _REGEX_LINES):
            numbers = [number for number in order[at : at + _REGEX_LINES] if number >= self._first]
            with patience(_PATIENCE):
                found = next((number for number in numbers if pattern.matches(self[number].text)), None)
            if found is not None:
                yield found
                return
            if time.perf_counter() > until:
                yield None
                until = time.perf_counter() + seconds
