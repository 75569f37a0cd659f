"""The lines of a journal that ``docs/run-folder.md`` shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import fields

from fltui.run.events import AnyEvent
from fltui.run.options import RunOptions

DOCUMENT = (Path(__file__).parents[2] / "docs" / "run-folder.md").read_text("utf-8")
LINES = re.findall(r'^\{"event":.*\}$', DOCUMENT, re.MULTILINE)


@pytest.mark.parametrize("line", LINES, ids=lambda line: json.loads(line)["event"])
def test_a_line_has_the_fields_that_such_lines_have(line: str) -> None:
    event = msgspec.json.decode(line, type=AnyEvent)
    names = {field.encode_name for field in fields(event)}
    assert json.loads(line).keys() == names | {"event", "chain"}


def test_all_options_are_shown() -> None:
    (line,) = (line for line in LINES if '"run_started"' in line)
    options = json.loads(line)["options"]
    assert options.keys() == {field.encode_name for field in fields(RunOptions)}
    assert [name for name in options if f"`{name}`" not in DOCUMENT] == []
