"""The order in which people count."""

from __future__ import annotations

from fltui.console.natural import natural


def test_digits_are_ordered_by_value_and_letters_whatever_their_case() -> None:
    assert sorted(["b", "A10", "a9", "a09", "", "9"], key=natural) == ["", "9", "a09", "a9", "A10", "b"]


def test_any_digits_can_be_ordered() -> None:
    names = ["a" + "9" * 5000, "a²", "a٣", "a-1", "a1"]
    assert sorted(names, key=natural)[0] == "a1"
