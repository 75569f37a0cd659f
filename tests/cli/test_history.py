"""The commands that look at runs and files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import GOOD, HELLO, Done, fltui, script, write_job


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished hello run."""
    path = tmp_path_factory.mktemp("history")
    assert fltui(path, "run", HELLO).code == 0
    return path


def only(done: Done) -> dict[str, Any]:
    """The one JSON object that a command printed."""
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_no_arguments_print_the_help(tmp_path: Path) -> None:
    done = fltui(tmp_path)
    assert done.code == 0
    assert "Usage: fltui" in done.out


@pytest.mark.parametrize(
    "name",
    [
        "run",
        "server",
        "client",
        "runs",
        "show",
        "logs",
        "pause",
        "resume",
        "drop",
        "abort",
        "export",
        "inspect",
        "locate",
    ],
)
def test_every_command_has_help_with_an_example(tmp_path: Path, name: str) -> None:
    done = fltui(tmp_path, name, "--help")
    assert done.code == 0
    assert f"Example: fltui {name}" in done.out


def test_runs_lists_them(folder: Path) -> None:
    row = only(fltui(folder, "runs", "--json"))
    assert (row["state"], row["rounds"], row["metrics"]) == ("FINISHED:COMPLETED", 3, {"accuracy": 7.0})
    assert "3/3 rounds" in fltui(folder, "runs").out


def test_runs_of_nothing_says_so(tmp_path: Path) -> None:
    done = fltui(tmp_path, "runs")
    assert (done.code, "no runs in" in done.out) == (0, True)


def test_a_broken_journal_does_not_hide_the_other_runs(tmp_path: Path) -> None:
    assert fltui(tmp_path, "run", HELLO).code == 0
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "journal.jsonl").write_text("{\n")
    done = fltui(tmp_path, "runs")
    assert done.code == 0
    assert "FINISHED:COMPLETED" in done.out
    assert "UNREADABLE" in done.out


def test_show_gives_rounds_sites_and_model(folder: Path) -> None:
    found = only(fltui(folder, "show", "last", "--json"))
    assert sorted(found["sites"]) == ["site-0", "site-1"]
    text = fltui(folder, "show", "last").out
    assert "round 2  2/2 sites" in text
    assert "models/final/numpy_key.npy" in text


def test_show_of_an_unknown_run_is_bad_input(folder: Path) -> None:
    done = fltui(folder, "show", "nothing")
    assert (done.code, "'nothing' names no run" in done.err) == (2, True)


def test_logs_are_merged_by_time(folder: Path) -> None:
    lines = [json.loads(line) for line in fltui(folder, "logs", "last", "--json").out.splitlines()]
    assert {line["source"] for line in lines} == {"server", "site-0", "site-1"}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def test_logs_of_one_site(folder: Path) -> None:
    done = fltui(folder, "logs", "last", "--site", "site-1", "-f")
    assert done.code == 0
    assert "received weights: {}" in done.out
    assert "site-0" not in done.out
    assert fltui(folder, "logs", "last", "--site", "x").code == 2


def test_text_of_sites_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    text = script("print('\\x1b]0;title\\x07 \\x9b2J \\u202e')", "raise ValueError('\\x1b[2J')")
    run = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text, "b": GOOD}))
    shown = [run, fltui(tmp_path, "logs", "last"), fltui(tmp_path, "show", "last"), fltui(tmp_path, "runs")]
    for done in shown:
        assert not set("\x1b\x07\x9b\u202e") & set(done.out + done.err)
    assert "\\x1b]0;title\\x07 \\x9b2J \\u202e" in shown[1].out
    assert "ValueError: \\x1b[2J" in run.err


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("exchange", "sites: 2"),
        ("exchange/site-0", "tasks: 4"),
        ("exchange/site-0/status.json", "state: finished"),
        ("exchange/site-0/results/*.r0002.train.a01.json", "check matches its digest"),
        ("exchange/site-0/tasks/*.end.*.json", "state: FINISHED:COMPLETED"),
        ("exchange/exchange.json", "exchange_id: "),
        ("runs/*", "FINISHED:COMPLETED"),
        ("runs/*/models/final/numpy_key.npy", "mean: 8.0"),
    ],
)
def test_inspect_says_what_things_hold(folder: Path, pattern: str, told: str) -> None:
    (path,) = folder.glob(pattern)
    done = fltui(folder, "inspect", path)
    assert (done.code, told in done.out) == (0, True), done.out + done.err
    assert only(fltui(folder, "inspect", path, "--json"))


@pytest.mark.parametrize("name", ["nothing", "junk.npy", "junk.json", "junk.txt"])
def test_inspect_of_junk_is_bad_input(tmp_path: Path, name: str) -> None:
    for junk in ("junk.npy", "junk.json", "junk.txt"):
        (tmp_path / junk).write_text("junk")
    done = fltui(tmp_path, "inspect", name)
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_inspect_is_held_up_by_nothing_that_a_site_puts_in_its_folder(tmp_path: Path) -> None:
    results = tmp_path / "exchange" / "site-0" / "results"
    results.mkdir(parents=True)
    os.mkfifo(results / "fifo.json")
    (results / "link.json").symlink_to("/dev/zero")
    with (results / "huge.json").open("wb") as huge:
        huge.truncate(1 << 40)
    (results / "bomb.npy").write_bytes(b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little"))
    found = only(fltui(tmp_path, "inspect", results.parent, "--json"))
    assert {one["file"]: one["error"] for one in found["results"]} == {
        "fifo.json": "it is not a plain file",
        "huge.json": "huge.json has 1099511627776 bytes; 1048576 are the most",
        "link.json": "it is not a plain file",
    }
    for name, told in (
        ("fifo.json", "it is not a plain file"),
        ("huge.json", "1048576 are the most"),
        ("bomb.npy", "a header of at most 65536 bytes"),
    ):
        done = fltui(tmp_path, "inspect", results / name)
        assert (done.code, told in done.err) == (2, True), done.err


def test_export_names_a_missing_script(tmp_path: Path) -> None:
    done = fltui(tmp_path, "export", write_job(tmp_path / "job", {"a": ""}), tmp_path / "jobs")
    assert (done.code, "the script a.py of a does not exist" in done.err) == (2, True)


def test_locate_prints_places(tmp_path: Path) -> None:
    found = only(fltui(tmp_path, "locate", "--json"))
    assert found["runs"] == str(tmp_path / "runs")
