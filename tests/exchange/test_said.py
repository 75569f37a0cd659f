"""The last sentence of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.exchange.said import last_sentence, tail


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "nothing"),
        (" \n\n", "nothing"),
        ("error: no such job\n", "no such job"),
        ("Traceback:\n  File\nValueError: 5\n\n", "ValueError: 5"),
        ("error: first\nerror: the run failed\nwarning: tracking: nobody answers\n", "the run failed"),
        ("error: a \x1b[2J\u202e", "a \\x1b[2J\\u202e"),
    ],
)
def test_an_error_is_told_before_anything_else(text: str, sentence: str) -> None:
    assert last_sentence(text, "nothing") == sentence


def test_the_end_of_a_file_is_read_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "said"
    path.write_text("".join(f"line {number}\n" for number in range(10)))
    with path.open("rb") as file:
        assert tail(file.fileno(), 12) == "line 9\n"
        assert tail(file.fileno()) == path.read_text()
        assert tail(file.fileno(), since=63) == "line 9\n"
        assert tail(file.fileno(), 3, since=68) == "9\n"
        assert file.tell() == 0
