"""Which columns fit, and text that is cut to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fltui.console.widgets.columns import GAP, Column, cut, fill, fit

NAME = Column("name", "name", least=4, most=10)
NOTE = Column("note", "note", least=4)
SIZE = Column("size", "size", 6, rank=1)


def test_flexible_columns_share_what_the_others_leave() -> None:
    assert fit([NAME, NOTE, SIZE], 40) == [(0, 10), (1, 20), (2, 6)]
    assert fit([NAME, NOTE, SIZE], 22) == [(0, 6), (1, 6), (2, 6)]


def test_columns_of_the_highest_rank_go_first_and_one_stays() -> None:
    assert fit([NAME, NOTE, SIZE], 17) == [(0, 7), (1, 8)]
    assert fit([SIZE, NAME, NOTE], 3) == [(1, 3)]
    assert fit([NAME], 0) == [(0, 0)]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=6), st.integers(0, 60))
def test_what_is_shown_fits(found: list[tuple[int, int]], room: int) -> None:
    columns = [Column("x", "x", width or None, rank=rank) for width, rank in found]
    shown = fit(columns, room)
    assert sum(width for _, width in shown) + GAP * (len(shown) - 1) <= room
    assert [place for place, _ in shown] == sorted(place for place, _ in shown)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abcd", 1, "…"), ("abcd", 0, ""), ("漢字", 4, "漢字"), ("漢字", 3, "漢…")],
)
def test_what_is_cut_is_marked(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


@given(st.text("ab漢é\u0301", max_size=20), st.integers(0, 20), st.sampled_from(["left", "right"]))
def test_a_filled_text_has_its_width(text: str, width: int, align: str) -> None:
    assert cell_len(fill(text, width, align)) == width


def test_a_filled_text_stands_at_its_side() -> None:
    assert (fill("ab", 4, "left"), fill("ab", 4, "right")) == ("ab  ", "  ab")
