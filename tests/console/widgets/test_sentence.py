"""A sentence in place of what there is to show."""

from __future__ import annotations

import pytest
from rich.style import Style

from fltui.console.widgets.sentence import sentence_line

STYLE = Style(bold=True)


def test_it_is_wrapped_between_margins_with_blanks_around() -> None:
    lines = [sentence_line("there is nothing here", y, 14, STYLE) for y in range(-1, 3)]
    assert [line.text for line in lines] == [" " * 14, " there is     ", " nothing here ", " " * 14]
    assert all(segment.style == STYLE for line in lines for segment in line)


def test_it_can_stand_without_margins() -> None:
    assert sentence_line("nothing here", 0, 12, STYLE, margin=0).text == "nothing here"


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_no_width_is_too_small(width: int) -> None:
    assert sentence_line("漢字 [@click=app.quit]x", 0, width, STYLE).cell_length == width


def test_it_is_never_markup() -> None:
    assert sentence_line("[bold]x[/]", 0, 20, STYLE).text.strip() == "[bold]x[/]"
