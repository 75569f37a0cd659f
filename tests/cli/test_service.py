"""What commands share that stay up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fltui.cli.service import printer, refuse_given
from fltui.errors import BadInputError
from fltui.server.dispatch.notices import Notice


def test_sentences_and_objects_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show = printer()
    show("a\x1b[31mb")
    show(Notice("taken", "x", "a"))
    assert capsys.readouterr().out == 'a\\x1b[31mb\n{"event":"taken","text":"x","entry":"a"}\n'


def test_a_reader_that_goes_away_stops_nobody() -> None:
    """Neither at once nor at the end of the process, when what is left of its output is written."""
    begin = "import sys; from fltui.cli.service import printer; show = printer(); sys.stdin.read()"
    command, pipe = [sys.executable, "-c", f"{begin}; show('a'); show('b')"], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate("")
    assert (said, process.returncode) == ("", 0)


def test_the_first_option_that_means_nothing_is_named() -> None:
    refuse_given({"--a": False}, str)
    with pytest.raises(BadInputError, match=r"^--b is not for this$"):
        refuse_given({"--a": False, "--b": True, "--c": True}, lambda name: f"{name} is not for this")
