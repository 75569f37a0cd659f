"""A script's output as a log."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fltui.client.output import LogFile, LoggedStream

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARN) (.*)$")


def lines(path: Path) -> list[tuple[str, str]]:
    """Level and text of every line; every line has a time."""
    found = [LINE.match(line) for line in path.read_text().splitlines()]
    return [(match[1], match[2]) for match in found if match]


def test_lines_get_a_time_when_they_end(tmp_path: Path) -> None:
    log = LogFile()
    log.open(tmp_path / "log")
    log.feed("INFO", "one\ntw")
    assert lines(tmp_path / "log") == [("INFO", "one")]
    log.feed("INFO", "o\n")
    assert lines(tmp_path / "log") == [("INFO", "one"), ("INFO", "two")]


def test_what_was_printed_before_there_is_a_file_is_kept(tmp_path: Path) -> None:
    log = LogFile()
    log.feed("INFO", "early\n")
    log.open(tmp_path / "log")
    assert lines(tmp_path / "log") == [("INFO", "early")]


def test_a_line_that_never_ends_is_written_at_the_end(tmp_path: Path) -> None:
    log = LogFile()
    log.open(tmp_path / "log")
    log.feed("WARN", "last words")
    log.finish()
    assert lines(tmp_path / "log") == [("WARN", "last words")]


def test_a_progress_bar_leaves_its_last_state(tmp_path: Path) -> None:
    log = LogFile()
    log.open(tmp_path / "log")
    log.feed("WARN", "10%\r50%\r100%\n")
    assert lines(tmp_path / "log") == [("WARN", "100%")]


def test_windows_line_ends_leave_no_trace(tmp_path: Path) -> None:
    log = LogFile()
    log.open(tmp_path / "log")
    log.feed("INFO", "text\r\n")
    assert lines(tmp_path / "log") == [("INFO", "text")]


def test_the_terminal_sees_what_it_saw_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = LogFile()
    log.open(tmp_path / "log")
    stream = LoggedStream(log, "INFO", sys.stdout, sys.stdout)
    print("hello", file=stream, flush=True)
    assert capsys.readouterr().out == "hello\n"
    assert lines(tmp_path / "log") == [("INFO", "hello")]
