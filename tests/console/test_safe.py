"""The boundary through which text of sites enters the console."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.console.safe import LONGEST, safe, safe_struct
from fltui.exchange.visible import visible
from fltui.run.events import AnyEvent, MetricLogged, ResultAccepted, SiteLost
from fltui.run.logs import LogLine
from tests.run.journals import accepted, rejected, whole_run

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=[]))
SENT = st.text(st.characters(codec="utf-8"))


@given(ANY_TEXT, st.integers(1, 80))
def test_nothing_is_left_that_could_act_on_a_terminal(text: str, longest: int) -> None:
    found = safe(text, longest)
    assert visible(found) == found
    assert "\t" not in found
    assert "\n" not in found


@given(ANY_TEXT, st.integers(1, 80))
def test_a_text_is_never_longer_than_the_limit(text: str, longest: int) -> None:
    assert len(safe(text, longest)) <= longest


@given(ANY_TEXT)
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    found = safe(text, 10 * LONGEST)
    assert safe(found, 10 * LONGEST) == found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("site-1", "site-1"),
        ("Zürich 東京 🙂", "Zürich 東京 🙂"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
        ("a\tb", "a    b"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_would_act_is_shown(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert safe("a" * 50, 10) == "a" * 9 + "…"
    assert safe("a" * 10, 10) == "a" * 10
    assert len(safe("a" * 5000)) == LONGEST


@pytest.mark.parametrize("event", whole_run())
def test_a_clean_struct_is_the_same_object(event: AnyEvent) -> None:
    assert safe_struct(event) is event


def test_a_large_clean_struct_is_the_same_object() -> None:
    event = MetricLogged(site="site-1", key="k" * (LONGEST - 1), value=float("nan"), round=0)
    assert safe_struct(event) is event


def test_a_clean_struct_of_other_letters_is_the_same_object() -> None:
    event = SiteLost(site="Zürich", reason="weg")
    assert safe_struct(event) is event


def test_every_text_of_a_struct_is_made_safe_and_its_keys_too() -> None:
    values = {name: getattr(accepted("site-1"), name) for name in ResultAccepted.__struct_fields__}
    event = ResultAccepted(**{**values, "site": "a\x1bb", "metrics": {"\u202eloss": 1.0, "fine": 2.0}})
    found = safe_struct(event)
    assert isinstance(found, ResultAccepted)
    assert (found.site, found.metrics) == ("a\\x1bb", {"\\u202eloss": 1.0, "fine": 2.0})
    assert found.params_type is event.params_type


def test_a_log_line_is_made_safe() -> None:
    line = LogLine(time="", source="site-1", level="INFO", text="a\x07" + "b" * 5000)
    assert safe_struct(line).text == "a\\x07" + "b" * (LONGEST - 6) + "…"


@given(SENT, SENT)
def test_no_struct_keeps_what_could_act(site: str, reason: str) -> None:
    event = msgspec.structs.replace(rejected("site-1"), site=site, reason=reason)
    found = safe_struct(event)
    assert (found.site, found.reason) == (safe(site), safe(reason))
