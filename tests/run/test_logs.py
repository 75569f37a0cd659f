from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from fltui.run.logs import AT_ONCE, LONGEST_LINE, LogFollower, LogLine, ServerLog, merged, parse_line, read_log
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


def test_the_servers_own_error_is_in_its_log_line_by_line(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "server.log")
    try:
        raise ValueError("bad \x1b[2J\nbytes")
    except ValueError as error:
        log.failed(error)
    log.close()
    lines = list(read_log(tmp_path / "server.log"))
    assert {(line.source, line.level) for line in lines} == {("server", "ERROR")}
    assert lines[0].text == "Traceback (most recent call last):"
    assert [line.text for line in lines[-2:]] == ["ValueError: bad \\x1b[2J", "bytes"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_costs_lines_of_the_servers_log_and_nothing_else(tmp_path: Path) -> None:
    log = ServerLog(Path("/dev/full"))
    log.event(started())
    log.close()


def test_a_line_has_time_level_and_text() -> None:
    assert parse_line("site-1", f"{NOON} INFO loss  0.5", "") == LogLine(NOON, "site-1", "INFO", "loss  0.5")


@pytest.mark.parametrize(
    "line",
    [
        "Segmentation fault",
        "",
        f"{NOON} LOUD hello",
        "yesterday INFO hello",
        NOON,
        "\x1b]52;c;YQ==T\x07..........Z INFO hello",
    ],
)
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


# Logs that are too much, or no logs.


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def fill(path: Path, lines: int, text: str = "x" * 70) -> None:
    path.write_text(f"{NOON} INFO {text}\n" * lines)


def test_an_endless_line_is_given_as_far_as_it_is_kept_and_its_rest_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "site-1.log"
    follower = LogFollower(tmp_path)
    path.write_bytes(f"{NOON} INFO ".encode() + b"x" * (3 * AT_ONCE))
    (line,) = follower.new_lines()
    assert line.time == NOON
    assert LONGEST_LINE < len(line.text) + 30 <= AT_ONCE + LONGEST_LINE
    with path.open("ab") as log:
        log.write(b"x" * AT_ONCE)
    assert follower.new_lines() == []
    with path.open("ab") as log:
        log.write(f"x\n{LATER} INFO again\n".encode())
    assert texts(follower.new_lines()) == ["again"]


def test_a_long_line_among_others_is_cut(tmp_path: Path) -> None:
    write(tmp_path, "site-1", f"{NOON} INFO a", f"{NOON} INFO {'x' * (2 * LONGEST_LINE)}", f"{NOON} INFO b")
    first, long, last = LogFollower(tmp_path).new_lines()
    assert texts([first, last]) == ["a", "b"]
    assert long.text == "x" * LONGEST_LINE + "…"
    assert texts(list(read_log(tmp_path / "site-1.log"))) == texts([first, long, last])


def test_a_character_that_comes_in_two_pieces_is_one(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path)
    whole = f"{NOON} INFO ä\n".encode()
    (tmp_path / "site-1.log").write_bytes(whole[:-2])
    assert follower.new_lines() == []
    (tmp_path / "site-1.log").write_bytes(whole)
    assert texts(follower.new_lines()) == ["ä"]


def test_only_the_end_of_a_large_log_is_read_and_a_line_says_so(tmp_path: Path) -> None:
    fill(tmp_path / "site-1.log", 1000)
    write(tmp_path, "site-1", "Killed")
    size = (tmp_path / "site-1.log").stat().st_size
    lines = LogFollower(tmp_path, tail=1000).new_lines()
    assert lines[0] == LogLine(NOON, "site-1", "INFO", f"… {size - 1000:,} bytes left out, they are in logs/site-1.log")
    assert texts(lines[1:]) == ["x" * 70] * 9 + ["Killed"]


def test_the_end_of_a_log_has_the_time_of_the_line_that_was_left_out(tmp_path: Path) -> None:
    write(tmp_path, "site-1", f"{NOON} INFO a", "Fatal error", *(f"  at {number:#06x}" for number in range(100)))
    times = {line.time for line in LogFollower(tmp_path, tail=100).new_lines()}
    assert times == {NOON}


def test_the_end_of_a_log_may_begin_with_a_whole_line(tmp_path: Path) -> None:
    write(tmp_path, "site-1", f"{NOON} INFO a", f"{NOON} INFO b")
    line = len(f"{NOON} INFO b\n")
    assert texts(LogFollower(tmp_path, tail=line).new_lines())[1:] == ["b"]
    assert texts(LogFollower(tmp_path, tail=line - 1).new_lines())[1:] == []


def test_small_logs_are_whole_and_large_ones_share_the_rest(tmp_path: Path) -> None:
    write(tmp_path, "server", f"{NOON} INFO a")
    for site in ("site-1", "site-2"):
        fill(tmp_path / f"{site}.log", 1000)
    lines = LogFollower(tmp_path, tail=20_000).new_lines()
    amounts = [sum(line.source == source for line in lines) for source in ("server", "site-1", "site-2")]
    assert amounts[0] == 1
    assert amounts[1] == amounts[2] == pytest.approx(20_000 / 2 / 101, abs=2)


def test_what_comes_too_fast_comes_in_several_calls(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path, tail=10 * AT_ONCE)
    write(tmp_path, "site-1", f"{NOON} INFO first")
    follower.new_lines()
    many = 3 * AT_ONCE // 100
    with (tmp_path / "site-1.log").open("a") as log:
        log.write(f"{NOON} INFO {'x' * 69}\n" * many)
    amounts: list[int] = []
    while not amounts or follower.behind:
        amounts.append(len(follower.new_lines()))
    assert sum(amounts) == many
    assert len(amounts) == 3


def test_a_flood_of_one_site_does_not_hold_up_another(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path, tail=10 * AT_ONCE)
    follower.new_lines()
    fill(tmp_path / "site-1.log", 50_000)
    write(tmp_path, "site-2", f"{NOON} INFO quiet")
    assert "quiet" in texts(follower.new_lines())
    assert follower.behind


def test_of_a_log_that_ran_away_the_end_is_read_and_a_warning_says_so(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path, tail=1000)
    write(tmp_path, "site-1", f"{NOON} INFO first")
    follower.new_lines()
    with (tmp_path / "site-1.log").open("a") as log:
        log.write(f"{LATER} INFO {'x' * 69}\n" * 1000)
    told, *lines = follower.new_lines()
    assert (told.level, told.time) == ("WARN", LATER)
    assert "bytes left out" in told.text
    assert len(lines) == 10
    assert not follower.behind


def test_without_a_tail_everything_comes_at_once(tmp_path: Path) -> None:
    fill(tmp_path / "site-1.log", 3 * AT_ONCE // 100)
    follower = LogFollower(tmp_path)
    assert len(follower.new_lines()) == 3 * AT_ONCE // 100
    assert not follower.behind


def test_a_log_that_was_cut_short_is_read_again(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path)
    write(tmp_path, "site-1", f"{NOON} INFO a", f"{NOON} INFO b")
    follower.new_lines()
    (tmp_path / "site-1.log").write_text(f"{LATER} INFO c\n")
    assert texts(follower.new_lines()) == ["c"]


def test_a_log_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path)
    write(tmp_path, "site-1", f"{NOON} INFO a")
    follower.new_lines()
    write(tmp_path, "new", f"{NOON} INFO b", f"{NOON} INFO c")
    (tmp_path / "new.log").replace(tmp_path / "site-1.log")
    assert texts(follower.new_lines()) == ["b", "c"]


def test_a_log_that_vanishes_and_comes_back_is_read_again(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path)
    for _ in range(2):
        write(tmp_path, "site-1", f"{NOON} INFO a")
        assert texts(follower.new_lines()) == ["a"]
        (tmp_path / "site-1.log").unlink()
        assert follower.new_lines() == []


def test_a_folder_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert LogFollower(tmp_path / "logs").new_lines() == []


def test_nothing_waits_for_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "site-1.log")
    write(tmp_path, "site-2", f"{NOON} INFO a")
    assert texts(LogFollower(tmp_path).new_lines()) == ["a"]
    assert texts(list(merged(tmp_path))) == ["this log cannot be read: it is not a plain file", "a"]


def test_a_folder_that_calls_itself_a_log_is_none(tmp_path: Path) -> None:
    (tmp_path / "site-1.log").mkdir()
    assert LogFollower(tmp_path).new_lines() == []


def test_a_link_to_a_sites_log_is_followed(tmp_path: Path) -> None:
    logs, exchange = tmp_path / "logs", tmp_path / "exchange"
    logs.mkdir()
    exchange.mkdir()
    write(exchange, "run", f"{NOON} INFO a")
    (logs / "site-1.log").symlink_to(exchange / "run.log")
    (logs / "site-2.log").hardlink_to(exchange / "run.log")
    follower = LogFollower(logs)
    assert [line.source for line in follower.new_lines()] == ["site-1", "site-2"]
    write(exchange, "run", f"{NOON} INFO b")
    assert texts(follower.new_lines()) == ["b", "b"]


def test_a_site_cannot_lead_the_link_to_its_log_elsewhere(tmp_path: Path) -> None:
    logs, exchange = tmp_path / "logs", tmp_path / "exchange"
    logs.mkdir()
    exchange.mkdir()
    (tmp_path / "secret").write_text("secret\n")
    (exchange / "run.log").symlink_to(tmp_path / "secret")
    (logs / "site-1.log").symlink_to(exchange / "run.log")
    assert LogFollower(logs).new_lines() == []
    assert "secret" not in texts(list(merged(logs)))


def test_files_that_did_not_grow_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        write(tmp_path, f"site-{number}", f"{NOON} INFO a")
    follower = LogFollower(tmp_path)
    follower.new_lines()
    write(tmp_path, "site-3", f"{NOON} INFO b")
    opened: list[str] = []
    really_open = os.open

    def counted(path: str, flags: int) -> int:
        opened.append(Path(path).name)
        return really_open(path, flags)

    monkeypatch.setattr(os, "open", counted)
    assert texts(follower.new_lines()) == ["b"]
    assert opened == ["site-3.log"]


def test_a_link_that_becomes_a_copy_and_a_link_again_gives_every_line_once(tmp_path: Path) -> None:
    """So the simulator does at the end of a run, and when it is resumed."""
    logs, exchange = tmp_path / "logs", tmp_path / "exchange"
    logs.mkdir()
    exchange.mkdir()
    write(exchange, "run", f"{NOON} INFO a")
    log = logs / "site-1.log"
    log.symlink_to(exchange / "run.log")
    follower = LogFollower(logs)
    assert texts(follower.new_lines()) == ["a"]
    write(exchange, "run", f"{NOON} INFO b")
    log.unlink()
    log.write_bytes((exchange / "run.log").read_bytes())
    assert texts(follower.new_lines()) == ["b"]
    assert follower.new_lines() == []
    log.unlink()
    log.symlink_to(exchange / "run.log")
    write(exchange, "run", f"{NOON} INFO c")
    assert texts(follower.new_lines()) == ["c"]
