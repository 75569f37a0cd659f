"""``fltui queue``, ``fltui server --queue`` and ``fltui client --jobs`` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fltui.cli import exit_code
from fltui.cli.app import app
from fltui.errors import FltuiError
from fltui.exchange.lock import hold
from fltui.queue.documents import Claim, EntryEnd, Wishes
from fltui.queue.folder import QueueFolder
from fltui.run.events import RunStatus
from tests.console.books import Book
from tests.queue.entries import RUN, put_entry, queue_in
from tests.queue.test_submitting import job  # noqa: F401 - a fixture


class Shell:
    """Runs commands in this process, with their files in a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, place in (("RUNS", "runs"), ("EXCHANGE", "exchange"), ("QUEUE", "queue"), ("CONFIG", "config.toml")):
            monkeypatch.setenv(f"FLTUI_{name}", str(folder / place))
        self.code = 0

    def __call__(self, *arguments: str | Path) -> str:
        """What a command prints; `code` is its exit code."""
        done = CliRunner().invoke(app, [*map(str, arguments)])
        self.code = done.exit_code
        if isinstance(done.exception, FltuiError):
            self.code = exit_code(done.exception)
            return f"error: {done.exception}"
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.output

    def json(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """The objects that a command prints."""
        return [json.loads(line) for line in self(*arguments, "--json").splitlines()]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tmp_path, monkeypatch)


@pytest.fixture
def queue(tmp_path: Path) -> QueueFolder:
    return queue_in(tmp_path)


def test_a_job_is_submitted_listed_cloned_aborted_and_deleted(shell: Shell, tmp_path: Path, job: Path) -> None:  # noqa: F811
    said = shell("queue", "submit", job, "--rounds", "7")
    assert "waits in" in said
    assert f"fltui server --queue {tmp_path / 'queue'}" in said
    (first,) = shell.json("queue", "list")
    assert (first["job"], first["state"], first["status"], first["run"]) == ("hello", "waiting", "SUBMITTED", "")
    (second,) = shell.json("queue", "clone", "last", "--sites", "site-1,site-2", "--seed", "4")
    assert (second["clone_of"], second["order"], second["sites"]) == (first["entry"], 1, "site-1, site-2")
    (shown,) = shell.json("queue", "show", "last")
    assert (shown["wishes"]["rounds"], shown["wishes"]["seed"]) == (7, 4)
    said = shell("queue", "abort", "last", "--reason", "wrong data")
    assert said == f"entry {second['entry']} ended: FINISHED:ABORTED: before it began: wrong data\n"
    assert shell("queue", "abort", "last").startswith("error: entry")
    assert shell.code == 2
    assert "is deleted" in shell("queue", "delete", first["entry"])
    assert [row["entry"] for row in shell.json("queue", "list")] == [second["entry"]]


def test_the_list_tells_how_each_stands(shell: Shell, queue: QueueFolder, tmp_path: Path) -> None:
    claim = Claim(run=RUN, runs=str(tmp_path / "runs"), sites=["site-1"])
    put_entry(queue, "over", 0, end=EntryEnd(state="FINISHED:FAILED", reason="no \x1b[31mdisk"))
    put_entry(queue, "runs", 1, claim=claim)
    put_entry(queue, "waits", 2, wishes=Wishes(groups=["labs"]))
    (queue.root / "garbage").mkdir()
    Book(tmp_path / "runs", RUN).start()
    lines = shell("queue", "list").splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["over", "FAILED"], ["runs", "running"], ["waits", "waiting"]]
    assert "no \\x1b[31mdisk" in lines[0]
    assert "0/3 rounds" in lines[1]
    assert "for labs" in lines[2]
    assert lines[3].startswith("UNREADABLE: ")
    assert "no server of this machine" in lines[4]
    assert [row["state"] for row in shell.json("queue", "list")] == ["over", "running", "waiting", "UNREADABLE"]
    assert f"fltui show {tmp_path / 'runs' / RUN}" in shell("queue", "show", "runs")
    assert "garbage is deleted" in shell("queue", "delete", "garbage")
    assert "aborted as soon as its queue is served again" in shell("queue", "abort", "runs")
    assert "to be aborted: asked for" in shell("queue", "show", "runs")


def test_an_abort_waits_for_the_server_of_the_queue(
    shell: Shell, queue: QueueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put_entry(queue, "runs", claim=Claim(run=RUN, runs=str(tmp_path / "runs")))
    served, held = hold(queue.lock), folder.hold()
    assert served is not None
    assert held is not None
    monkeypatch.setattr("fltui.cli.queue._PATIENCE", 0.05)
    assert "has not ended within 0.05 s" in shell("queue", "abort", "runs")
    assert shell.code == 1
    book = Book(tmp_path / "runs", RUN)
    book.start()
    book.finish(RunStatus.ABORTED, "asked for")
    assert "has ended already" in shell("queue", "abort", "runs")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["server"], "no job is named"),
        (["server", "--parallel", "2"], "no job is named"),
        (["server", ".", "--drain"], "--parallel and --drain are for a queue"),
        (["server", ".", "--queue", "q"], "JOB is for one job"),
        (["server", "--queue", "q", "--rounds", "2"], "--rounds is for one job"),
        (["server", "--queue", "q", "--sites", "2"], "--sites is for one job"),
        (["server", "--queue", "q", "--seed", "2"], "--seed is for one job"),
        (["client", "--site", "a"], "no script is named"),
        (["client", "--site", "a", "--jobs", "nowhere"], "does not exist; 'fltui export"),
        (["client", "x.py", "--site", "a", "--jobs", "."], "give a SCRIPT or --jobs, not both"),
        (["client", "--site", "a", "--jobs", ".", "--run", "r"], "--run is for one script"),
        (["client", "--site", "a", "--jobs", ".", "--transfer", "DIFF"], "--transfer is for one script"),
        (["queue", "list"], "'fltui queue submit JOB --queue DIR' makes one"),
        (["queue", "submit", "nowhere"], "job nowhere does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused(shell: Shell, words: list[str], said: str) -> None:
    assert said in shell(*words)
    assert shell.code == 2


def test_the_queue_of_the_config_is_used(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLTUI_QUEUE")
    (tmp_path / "config.toml").write_text(f'queue = "{tmp_path / "elsewhere"}"\n')
    put_entry(QueueFolder(tmp_path / "elsewhere"), "here")
    assert [row["entry"] for row in shell.json("queue", "list")] == ["here"]
    monkeypatch.delenv("FLTUI_QUEUE", raising=False)
