"""``fltui queue``, ``fltui server --queue`` and ``fltui client --jobs`` as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.exchange.lock import hold
from fltui.queue.documents import Claim, EntryEnd, Wishes
from fltui.queue.folder import QueueFolder
from fltui.run.events import RunStatus
from tests.cli.shell import Shell
from tests.console.books import Book
from tests.queue.made import RUN, export_job, put_entry, queue_in


@pytest.fixture
def queue(tmp_path: Path) -> QueueFolder:
    return queue_in(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return export_job(tmp_path)


def test_a_job_is_submitted_listed_cloned_aborted_and_deleted(shell: Shell, tmp_path: Path, job: Path) -> None:
    said = shell.said("queue", "submit", job, "--rounds", "7")
    assert "waits in" in said
    assert f"fltui server --queue {tmp_path / 'queue'}" in said
    (first,) = shell.json("queue", "list")
    assert (first["job"], first["state"], first["status"], first["run"]) == ("hello", "waiting", "SUBMITTED", "")
    (second,) = shell.json("queue", "clone", "last", "--sites", "site-1,site-2", "--seed", "4")
    assert (second["clone_of"], second["order"], second["sites"]) == (first["entry"], 1, "site-1, site-2")
    (shown,) = shell.json("queue", "show", "last")
    assert (shown["wishes"]["rounds"], shown["wishes"]["seed"]) == (7, 4)
    said = shell.said("queue", "abort", "last", "--reason", "wrong data")
    assert said == f"entry {second['entry']} ended: FINISHED:ABORTED: before it began: wrong data\n"
    assert shell.said("queue", "abort", "last").startswith("error: entry")
    assert shell.code == 2
    assert "is deleted" in shell.said("queue", "delete", first["entry"])
    assert [row["entry"] for row in shell.json("queue", "list")] == [second["entry"]]


def test_the_list_tells_how_each_stands(shell: Shell, queue: QueueFolder, tmp_path: Path) -> None:
    claim = Claim(run=RUN, runs=str(tmp_path / "runs"), sites=["site-1"])
    put_entry(queue, "over", 0, end=EntryEnd(state="FINISHED:FAILED", reason="no \x1b[31mdisk"))
    put_entry(queue, "runs", 1, claim=claim)
    put_entry(queue, "waits", 2, wishes=Wishes(groups=["labs"]))
    (queue.root / "garbage").mkdir()
    Book(tmp_path / "runs", RUN).start()
    lines = shell.said("queue", "list").splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["over", "FAILED"], ["runs", "running"], ["waits", "waiting"]]
    assert "no \\x1b[31mdisk" in lines[0]
    assert "0/3 rounds" in lines[1]
    assert "for labs" in lines[2]
    assert lines[3].startswith("UNREADABLE: ")
    assert "no server of this machine" in lines[4]
    assert [row["state"] for row in shell.json("queue", "list")] == ["over", "running", "waiting", "UNREADABLE"]
    assert f"fltui show {tmp_path / 'runs' / RUN}" in shell.said("queue", "show", "runs")
    assert "garbage is deleted" in shell.said("queue", "delete", "garbage")
    assert "aborted as soon as its queue is served again" in shell.said("queue", "abort", "runs")
    assert "to be aborted: asked for" in shell.said("queue", "show", "runs")


def test_an_abort_waits_for_the_server_of_the_queue(
    shell: Shell, queue: QueueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put_entry(queue, "runs", claim=Claim(run=RUN, runs=str(tmp_path / "runs")))
    served, held = hold(queue.lock), folder.hold()
    assert served is not None
    assert held is not None
    monkeypatch.setattr("fltui.cli.queue._PATIENCE", 0.05)
    assert "has not ended within 0.05 s" in shell.said("queue", "abort", "runs")
    assert shell.code == 1
    book = Book(tmp_path / "runs", RUN)
    book.start()
    book.finish(RunStatus.ABORTED, "asked for")
    assert "has ended already" in shell.said("queue", "abort", "runs")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["server"], "no job is named"),
        (["server", "--parallel", "2"], "no job is named"),
        (["server", ".", "--drain"], "--parallel and --drain are for a queue"),
        (["server", ".", "--queue", "q"], "give it to 'fltui queue submit JOB'"),
        (["server", "--queue", "q", "--rounds", "2"], "give it to 'fltui queue submit JOB --rounds ...'"),
        (["server", "--queue", "q", "--sites", "2"], "--sites is for one job"),
        (["server", "--queue", "q", "--seed", "2"], "--seed is for one job"),
        (["server", "--queue", "q", "--queued", "r"], "--queued is for one job"),
        (["client", "--site", "a"], "no script is named"),
        (["client", "--site", "a", "--jobs", "nowhere"], "does not exist; 'fltui export"),
        (["client", "x.py", "--site", "a", "--jobs", "."], "give a SCRIPT or --jobs, not both"),
        (["client", "--site", "a", "--jobs", ".", "--run", "r"], "--run is for one script"),
        (["client", "--site", "a", "--jobs", ".", "--transfer", "DIFF"], "--transfer is for one script"),
        (["queue", "submit", ".", "--rounds", str(2**70)], "Invalid value for '--rounds'"),
        (["queue", "submit", ".", "--seed", str(2**62)], "Invalid value for '--seed'"),
        (["queue", "submit", ".", "--keep-models", str(2**62)], "Invalid value for '--keep-models'"),
        (["queue", "submit", ".", "--wait", "nan"], "the options cannot be used"),
        (["queue", "submit", ".", "--sites", "²"], "site name '²'"),
        (["queue", "submit", ".", "--sites", str(2**70)], "expected 1 to"),
        (["queue", "list"], "'fltui queue submit JOB --queue DIR' makes one"),
        (["queue", "submit", "nowhere"], "job nowhere does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused(shell: Shell, words: list[str], said: str) -> None:
    assert said in shell.said(*words)
    assert shell.code == 2


def test_the_queue_of_the_config_is_used(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text(f'queue = "{tmp_path / "elsewhere"}"\n')
    put_entry(QueueFolder(tmp_path / "elsewhere"), "here")
    assert [row["entry"] for row in shell.json("queue", "list")] == ["here"]


def test_a_run_of_a_queue_comes_of_a_job_folder_and_of_nothing_that_leads_elsewhere(
    shell: Shell, job: Path, tmp_path: Path
) -> None:
    """What lies in a queue, people have put there who must not act, or read, as its server."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "job.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')  # a FedJob")
    assert "script/meta.json cannot be read" in shell.said("server", tmp_path / "script", "--queued", RUN)
    (tmp_path / "secret").write_text("x")
    (job / "app_site-1" / "custom" / "leak").symlink_to(tmp_path / "secret")
    assert "leak is neither a plain file nor a folder" in shell.said("server", job, "--queued", RUN)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "runs" / RUN).exists()


def test_a_queue_goes_on_with_no_run_that_it_has_not_begun(shell: Shell, tmp_path: Path) -> None:
    Book(tmp_path / "runs", RUN).start()
    other = RUN.replace("beef", "beee")
    assert "was begun by 'fltui run'" in shell.said("resume", RUN, "--queued", RUN)
    assert f"is not run {other}" in shell.said("resume", RUN, "--queued", other)
