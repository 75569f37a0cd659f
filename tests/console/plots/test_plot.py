"""Plots as text: what is drawn where, in which ink."""

from __future__ import annotations

import math
import os
import pty
import subprocess
import sys
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fltui.console.plots.plot import GLOBAL_MARK, MARKS, MOST_LINES, Ink, Plot, Row, Values, draw

WIDTH, HEIGHT = 40, 9


def values(ys: Sequence[float], xs: Sequence[float] | None = None) -> Values:
    """A line whose rounds are 0, 1, 2, ... unless they are given."""
    return array("d", range(len(ys)) if xs is None else xs), array("d", ys)


def text(rows: list[Row]) -> str:
    """What is seen."""
    return "\n".join("".join(part for part, _ in row) for row in rows)


def inks(rows: list[Row]) -> set[int]:
    """Everything that something was drawn with."""
    return {ink for row in rows for part, ink in row if part.strip()}


def drawn_with(rows: list[Row], ink: int) -> list[tuple[int, int, str]]:
    """Line, column and character of everything in an ink."""
    found = []
    for y, row in enumerate(rows):
        x = 0
        for part, used in row:
            found += [(y, x + at, char) for at, char in enumerate(part) if used == ink and char != " "]
            x += len(part)
    return found


def test_a_plot_fills_its_place() -> None:
    rows = draw(Plot(values([1, 2, 3]), {}), WIDTH, HEIGHT)
    assert len(rows) == HEIGHT
    assert {sum(len(part) for part, _ in row) for row in rows} == {WIDTH}


def test_a_line_rises_from_left_to_right() -> None:
    assert text(draw(Plot(values([0, 1, 2]), {}), 30, 7)).splitlines() == [
        "     2┤                    ⣀⡠●",
        "      │              ⢀⣀⠤⠒⠊⠉   ",
        "      │         ⣀⡠●⠒⠉⠁        ",
        "      │    ⣀⡠⠔⠒⠉              ",
        "     0┤●⠔⠒⠉                   ",
        "      └┬─────────────────────┬",
        "       0                     2",
    ]


def test_one_value_is_a_point_in_the_middle() -> None:
    assert text(draw(Plot(values([5.0], [7]), {}), 30, 7)).splitlines() == [
        "      │                       ",
        "      │                       ",
        "     5┤           ●           ",
        "      │                       ",
        "      │                       ",
        "      └───────────┬───────────",
        "                  7           ",
    ]


def test_equal_values_are_a_level_line() -> None:
    rows = draw(Plot(values([5.0] * 9), {}), WIDTH, HEIGHT)
    assert {y for y, _, _ in drawn_with(rows, Ink.GLOBAL)} == {3}


def test_values_that_are_not_finite_leave_a_gap() -> None:
    def level(gap: list[float]) -> list[tuple[int, int, str]]:
        return drawn_with(draw(Plot(values([1.0] * 40 + gap + [1.0] * 40), {}), WIDTH, HEIGHT), Ink.GLOBAL)

    assert len(level([1.0] * 40)) == WIDTH - 7
    for missing in (math.nan, math.inf, -math.inf):
        assert len(level([missing] * 40)) == pytest.approx((WIDTH - 7) * 2 / 3, abs=2)


@pytest.mark.parametrize("line", [None, values([]), values([math.nan, math.inf])])
def test_without_a_finite_value_it_says_so(line: Values | None) -> None:
    assert text(draw(Plot(line, {}), WIDTH, HEIGHT)) == "no finite value"


def test_sites_have_inks_and_marks_of_their_own_and_lie_below_the_global_line() -> None:
    sites = {0: values([1.0] * 300), 3: values([2.0] * 300)}
    rows = draw(Plot(values([3.0] * 300), sites), WIDTH, HEIGHT)
    for number, line in ((0, 6), (3, 3)):
        found = drawn_with(rows, Ink.SITE + number)
        assert {y for y, _, _ in found} == {line}
        assert MARKS[number] in {char for _, _, char in found}
    assert MARKS[0] not in {char for _, _, char in drawn_with(rows, Ink.SITE + 3)}
    same = draw(Plot(values([3.0] * 300), {0: values([3.0] * 300)}), WIDTH, HEIGHT)
    assert {char for _, _, char in drawn_with(same, Ink.SITE)} == {MARKS[0]}


def test_marks_that_lie_on_one_another_take_turns() -> None:
    line = values([1.0, 2, 3, 4, 5, 6])
    rows = draw(Plot(line, {0: line, 1: line}), WIDTH, HEIGHT)
    found = sorted((x, char) for ink in (Ink.GLOBAL, Ink.SITE, Ink.SITE + 1) for _, x, char in drawn_with(rows, ink))
    assert [char for _, char in found if char in f"{GLOBAL_MARK}{MARKS}"] == [GLOBAL_MARK, MARKS[0], MARKS[1]] * 2


def test_a_spike_of_a_long_line_is_drawn() -> None:
    ys = [0.0] * 50_000
    ys[25_000] = 1.0
    rows = draw(Plot(values(ys), {}), WIDTH, HEIGHT)
    assert {y for y, _, _ in drawn_with(rows, Ink.GLOBAL)} == set(range(HEIGHT - 2))


def test_of_many_sites_a_band_is_drawn() -> None:
    few = {number: values([number, number + 1]) for number in range(MOST_LINES)}
    assert Ink.BAND not in inks(draw(Plot(None, few), WIDTH, HEIGHT))
    many = {number: values([number, number + 1]) for number in range(500)}
    rows = draw(Plot(values([250.0, 251.0]), many), WIDTH, HEIGHT)
    assert inks(rows) == {Ink.AXIS, Ink.BAND, Ink.GLOBAL}
    assert {y for y, _, _ in drawn_with(rows, Ink.BAND)} == set(range(HEIGHT - 2)) - {3}
    assert {y for y, _, _ in drawn_with(rows, Ink.GLOBAL)} == {3}


def test_the_chosen_round_is_a_line_from_top_to_bottom() -> None:
    line = values([1.0, 2, 3])
    rows = draw(Plot(line, {}, chosen=1), WIDTH, HEIGHT)
    assert {char for _, _, char in drawn_with(rows, Ink.CHOSEN)} == {"│"}
    places = drawn_with(rows, Ink.CHOSEN)
    assert {x for _, x, _ in places} == {
        x for y, x, char in drawn_with(rows, Ink.GLOBAL) if (y, char) == (3, GLOBAL_MARK)
    }
    assert {y for y, _, _ in places} == set(range(HEIGHT - 2)) - {3}
    assert Ink.CHOSEN not in inks(draw(Plot(line, {}, chosen=7), WIDTH, HEIGHT))


@pytest.mark.parametrize(("width", "height"), [(0, 0), (1, 1), (15, 9), (40, 3), (-3, -3)])
def test_where_there_is_no_room_nothing_is_drawn(width: int, height: int) -> None:
    assert draw(Plot(values([1, 2]), {}), width, height) == []


NUMBERS = st.lists(st.floats(), max_size=30)


@settings(max_examples=60)
@given(st.none() | NUMBERS, st.lists(NUMBERS, max_size=12), st.integers(16, 70), st.integers(4, 20))
def test_whatever_the_values_the_plot_has_its_size_and_no_control_characters(
    overall: list[float] | None, sites: list[list[float]], width: int, height: int
) -> None:
    plot = Plot(None if overall is None else values(overall), {n: values(ys) for n, ys in enumerate(sites)}, 1.0)
    rows = draw(plot, width, height)
    assert len(rows) in (0, 1, height)
    assert all(sum(len(part) for part, _ in row) <= width for row in rows)
    assert all(part.isprintable() for row in rows for part, _ in row)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_the_terminal_is_neither_asked_nor_written_to() -> None:
    code = (
        "from array import array; from fltui.console.plots.plot import Plot, draw\n"
        "rows = draw(Plot((array('d', [0, 1]), array('d', [0, 1])), {}), 150, 50)\n"
        "raise SystemExit(len(rows) != 50 or sum(len(text) for text, _ in rows[0]) != 150)"
    )
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)
    try:
        said = os.read(ours, 1000)
    except OSError:  # Linux: nothing was written, and the other end is closed
        said = b""
    os.close(ours)
    assert (done.returncode, said) == (0, b"")
