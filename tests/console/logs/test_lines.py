from __future__ import annotations

import pytest

from fltui.console.logs import lines as loglines
from fltui.console.logs.lines import MOST_LINES, LogFilter, LogLines
from fltui.console.logs.patterns import Pattern, TooSlowError
from fltui.run.logs import LEVELS, LogLine

NOON = "2026-01-31T12:00:00.000Z"
HOSTILE = "a" * 2000 + "!"
FOREVER = Pattern("(a+)+$")


def line(text: str, source: str = "site-1", level: str = "INFO") -> LogLine:
    return LogLine(NOON, source, level, text)


def lines(*texts: str) -> LogLines:
    found = LogLines()
    found.append([line(text) for text in texts])
    return found


def numbered(count: int, first: int = 0) -> list[LogLine]:
    return [line(str(number)) for number in range(first, first + count)]


def show(found: LogLines, wanted: LogFilter) -> list[str]:
    """Filter to the end; the texts that are shown."""
    found.show(wanted)
    while found.untested:
        found.work(0)
    return texts(found)


def texts(found: LogLines) -> list[str]:
    return [found[number].text for number in found.shown]


def test_lines_stand_as_they_came() -> None:
    found = lines("b", "a")
    found.append([line("c")])
    assert texts(found) == ["b", "a", "c"]
    assert (found.kept, found.dropped, found.untested) == (3, 0, 0)
    assert found.sources == {"site-1"}


def test_only_the_newest_are_kept_and_keep_their_numbers() -> None:
    found = LogLines()
    for first in range(0, MOST_LINES + 2000, 1000):
        found.append(numbered(1000, first))
    assert found.kept <= MOST_LINES
    assert found.kept + found.dropped == MOST_LINES + 2000
    assert list(found.shown) == list(range(found.dropped, MOST_LINES + 2000))
    assert found[MOST_LINES].text == str(MOST_LINES)


def test_a_batch_that_is_larger_than_all_that_is_kept_leaves_its_end() -> None:
    found = LogLines()
    found.append(numbered(3 * MOST_LINES))
    assert 0 < found.kept <= MOST_LINES
    assert found[3 * MOST_LINES - 1].text == str(3 * MOST_LINES - 1)


def test_long_lines_shorten_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglines, "MOST_CHARACTERS", 10_000)
    found = LogLines()
    for _ in range(100):
        found.append([line("x" * 1000)])
    assert found.kept <= 10
    assert found.kept + found.dropped == 100


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (LogFilter(), ["one", "two", "three", "four"]),
        (LogFilter(source="server"), ["one", "three"]),
        (LogFilter(level=2), ["three", "four"]),
        (LogFilter(level=3), ["four"]),
        (LogFilter(pattern=Pattern("o")), ["one", "two", "four"]),
        (LogFilter(pattern=Pattern("^t")), ["two", "three"]),
        (LogFilter("server", 2, Pattern("e$")), ["three"]),
        (LogFilter(pattern=Pattern("five")), []),
    ],
)
def test_a_filter_leaves(wanted: LogFilter, shown: list[str]) -> None:
    found = LogLines()
    found.append([line("one", "server"), line("two"), line("three", "server", "WARN"), line("four", level="ERROR")])
    assert show(found, wanted) == shown
    assert show(found, LogFilter()) == ["one", "two", "three", "four"]


def test_lines_that_come_later_pass_the_filter_too() -> None:
    found = lines("a1", "b1")
    show(found, LogFilter(pattern=Pattern("a")))
    found.append([line("a2"), line("b2")])
    assert found.untested == 2
    assert found.work(1) is False
    assert texts(found) == ["a1", "a2"]


def test_until_a_filter_is_through_the_lines_before_are_shown() -> None:
    found = LogLines()
    found.append(numbered(100))
    found.show(LogFilter(pattern=Pattern("^9")))
    assert found.work(0) is False
    assert len(found.shown) == 100
    assert found.filter.pattern is not None
    while not found.work(0):
        pass
    assert texts(found) == ["9", *map(str, range(90, 100))]


def test_a_filter_that_is_taken_back_leaves_what_was_shown() -> None:
    found = lines("a", "b")
    found.show(LogFilter(pattern=Pattern("a")))
    found.show(LogFilter())
    assert texts(found) == ["a", "b"]
    assert found.filter == LogFilter()


def test_dropped_lines_are_not_shown_by_a_filter() -> None:
    found = LogLines()
    found.append(numbered(MOST_LINES))
    show(found, LogFilter(pattern=Pattern("1")))
    found.append(numbered(10, MOST_LINES))
    assert found.dropped
    assert found.shown[0] >= found.dropped
    assert show(found, LogFilter(pattern=Pattern("^4999.$")))[-1] == "49999"


def test_lines_may_be_dropped_while_a_filter_is_at_work() -> None:
    found = LogLines()
    found.append(numbered(MOST_LINES))
    found.show(LogFilter(pattern=Pattern("0$")))
    found.work(0)
    found.append(numbered(MOST_LINES, MOST_LINES))
    while found.untested:
        found.work(1)
    first = found.dropped
    assert list(found.shown) == [number for number in range(first, 2 * MOST_LINES) if number % 10 == 0]


def test_a_place_is_that_of_a_line_or_of_the_next() -> None:
    found = lines("a", "b", "a", "b")
    show(found, LogFilter(pattern=Pattern("b")))
    assert [found.place(number) for number in range(5)] == [0, 0, 1, 1, 2]


def test_a_pattern_that_takes_forever_leaves_the_filter_before() -> None:
    found = lines("b", HOSTILE)
    show(found, LogFilter(pattern=Pattern("b")))
    found.show(LogFilter("site-1", pattern=FOREVER))
    with pytest.raises(TooSlowError):
        found.work(1)
    assert found.filter.pattern is not FOREVER
    assert texts(found) == ["b"]
    assert found.untested == 0


def test_a_line_that_makes_the_pattern_take_forever_takes_it_off() -> None:
    found = lines("aa", "bb")
    assert show(found, LogFilter("site-1", pattern=FOREVER)) == ["aa"]
    found.append([line(HOSTILE)])
    with pytest.raises(TooSlowError):
        found.work(1)
    assert found.filter == LogFilter("site-1")
    while found.untested:
        found.work(1)
    assert texts(found) == ["aa", "bb", HOSTILE]


def test_the_last_line_of_a_source_that_starts_so() -> None:
    found = LogLines()
    found.append([line("Traceback: 1"), line("Traceback: 2"), line("x"), line("Traceback: 3", "site-2")])
    show(found, LogFilter("site-3"))
    assert found.last("site-1", "Traceback") == 1
    assert found.last("site-1", "") == 2
    assert found.last("site-1", "y") is None
    assert found.last("site-3", "") is None


def test_the_last_line_of_a_level() -> None:
    found = LogLines()
    found.append([line("x", level="ERROR"), line("y", level="WARN"), line("z", level="DEBUG")])
    assert [found.last("site-1", "", level) for level in range(len(LEVELS))] == [2, 1, 1, 0]


def test_lines_can_be_filtered_from_the_beginning() -> None:
    found = LogLines(LogFilter(level=1))
    found.append([line("a", level="DEBUG"), line("b")])
    assert found.untested == 2
    assert not found.work(1)
    assert texts(found) == ["b"]


def seek(found: LogLines, pattern: str, number: int, step: int) -> int | None:
    return next((each for each in found.seek(Pattern(pattern), number, step, 0) if each is not None), None)


def test_a_search_goes_down_or_up_and_around() -> None:
    found = lines("a", "b", "a", "b")
    assert seek(found, "a", 0, 1) == 2
    assert seek(found, "a", 2, 1) == 0
    assert seek(found, "a", 2, -1) == 0
    assert seek(found, "a", 0, -1) == 2
    assert seek(found, "c", 0, 1) is None
    assert seek(lines("a"), "a", 0, 1) == 0


def test_a_search_looks_only_at_lines_that_are_shown() -> None:
    found = lines("a 1", "a 2", "a 3")
    show(found, LogFilter(pattern=Pattern("[13]")))
    assert seek(found, "a", 0, 1) == 2
    assert seek(found, "2", 0, 1) is None


def test_a_search_gives_way() -> None:
    found = LogLines()
    found.append(numbered(100))
    answers = list(found.seek(Pattern("^99$"), 0, 1, 0))
    assert answers[-1] == 99
    assert set(answers[:-1]) == {None}


def test_a_search_goes_on_over_lines_that_are_dropped() -> None:
    found = LogLines()
    found.append(numbered(MOST_LINES))
    looking = found.seek(Pattern("^50000$"), 0, 1, 0)
    assert next(looking) is None
    found.append(numbered(100, MOST_LINES))
    assert set(looking) == {None}


def test_a_search_that_takes_forever_ends() -> None:
    found = lines("b", HOSTILE)
    with pytest.raises(TooSlowError):
        list(found.seek(FOREVER, 0, 1, 1))


def test_clearing_keeps_the_filter() -> None:
    found = lines("a", "b")
    show(found, LogFilter(pattern=Pattern("a")))
    found.clear()
    assert (found.kept, found.dropped, list(found.shown), found.sources) == (0, 0, [], set())
    found.append([line("b"), line("a")])
    found.work(1)
    assert texts(found) == ["a"]
