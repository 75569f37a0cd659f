from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.exchange.visible import visible, visible_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r", "a\\nb\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("half a pair \ud800", "half a pair \\ud800"),
    ],
)
def test_what_would_act_on_a_terminal_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["", "loss 0.5\t|", "Größe: 精度 🎉", "back\\slash", "[red]markup[/]"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_is_left_that_acts(text: str) -> None:
    assert not {unicodedata.category(letter) for letter in visible(text) if letter != "\t"} & {"Cc", "Cs", "Zl", "Zp"}


@given(st.text(st.characters(exclude_categories=[])))
def test_showing_twice_changes_nothing(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_shown_can_be_encoded(text: str) -> None:
    assert visible(text).encode().decode() == visible(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_that_is_shown_means_the_same(text: str) -> None:
    shown = visible_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(shown) == [text]
    assert visible(shown) == shown
