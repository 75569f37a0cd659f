from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fltui.run.logs import LogFollower, LogLine, ServerLog, merged, parse_line, read_log
from tests.run.journals import started

NOON = "2026-01-31T12:00:00.000Z"
LATER = "2026-01-31T12:00:01.000Z"
LATEST = "2026-01-31T12:00:02.000Z"


def write(logs: Path, source: str, *lines: str) -> None:
    with (logs / f"{source}.log").open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_the_servers_log_has_a_line_for_an_event(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "server.log")
    event = msgspec.structs.replace(started(), time=1_769_860_800.5)
    log.event(event)
    log.close()
    (line,) = read_log(tmp_path / "server.log")
    assert (line.time, line.source, line.level) == ("2026-01-31T12:00:00.500Z", "server", "INFO")
    assert line.text.endswith("started: 2 rounds, sites site-1, site-2")


def test_the_servers_log_is_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        log = ServerLog(tmp_path / "server.log")
        log.event(started())
        log.close()
    assert len(list(read_log(tmp_path / "server.log"))) == 2


def test_a_line_has_time_level_and_text() -> None:
    assert parse_line("site-1", f"{NOON} INFO loss  0.5", "") == LogLine(NOON, "site-1", "INFO", "loss  0.5")


@pytest.mark.parametrize("line", ["Segmentation fault", "", f"{NOON} LOUD hello", "yesterday INFO hello", NOON])
def test_a_line_of_another_kind_is_a_warning_at_the_time_before(line: str) -> None:
    assert parse_line("site-1", line, NOON) == LogLine(NOON, "site-1", "WARN", line)


def test_a_traceback_from_below_python_keeps_its_place(tmp_path: Path) -> None:
    write(tmp_path, "site-1", f"{NOON} INFO training", "Fatal error", "  at 0x00", f"{LATER} INFO again")
    assert [line.time for line in read_log(tmp_path / "site-1.log")] == [NOON, NOON, NOON, LATER]


def test_bytes_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    (tmp_path / "site-1.log").write_bytes(f"{NOON} INFO ".encode() + b"\xff\r\n")
    assert [line.text for line in read_log(tmp_path / "site-1.log")] == ["\\xff\r"]


def test_logs_are_merged_by_time(tmp_path: Path) -> None:
    write(tmp_path, "server", f"{NOON} INFO a", f"{LATEST} INFO c")
    write(tmp_path, "site-1", f"{LATER} INFO b")
    assert [(line.source, line.text) for line in merged(tmp_path)] == [
        ("server", "a"),
        ("site-1", "b"),
        ("server", "c"),
    ]


def test_the_lines_of_one_site(tmp_path: Path) -> None:
    write(tmp_path, "server", f"{NOON} INFO a")
    write(tmp_path, "site-1", f"{NOON} INFO b")
    assert [line.text for line in merged(tmp_path, "site-1")] == ["b"]


def test_a_follower_gives_every_line_once(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path)
    assert follower.new_lines() == []
    write(tmp_path, "server", f"{NOON} INFO a")
    assert [line.text for line in follower.new_lines()] == ["a"]
    write(tmp_path, "server", f"{LATEST} INFO c")
    write(tmp_path, "site-1", f"{LATER} INFO b")
    assert [line.text for line in follower.new_lines()] == ["b", "c"]
    assert follower.new_lines() == []


def test_a_follower_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path)
    path = tmp_path / "site-1.log"
    path.write_text(f"{NOON} INFO whole\n{LATER} INFO ha")
    assert [line.text for line in follower.new_lines()] == ["whole"]
    path.write_text(f"{NOON} INFO whole\n{LATER} INFO half\n")
    assert [line.text for line in follower.new_lines()] == ["half"]


def test_a_follower_remembers_the_time_of_the_line_before(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path)
    write(tmp_path, "site-1", f"{NOON} INFO a")
    follower.new_lines()
    write(tmp_path, "site-1", "Killed")
    assert follower.new_lines() == [LogLine(NOON, "site-1", "WARN", "Killed")]


def test_a_follower_of_one_site_sees_no_other(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path, "site-1")
    write(tmp_path, "site-1", f"{NOON} INFO a")
    write(tmp_path, "site-10", f"{NOON} INFO b")
    assert [line.source for line in follower.new_lines()] == ["site-1"]
