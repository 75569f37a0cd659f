"""``--durability power``: what is told is synced before; seen through every call that a server and its sites make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from fltui.run.events import RunPaused, RunResumed
from fltui.run.folder import find_run
from fltui.run.journal import Journal, read_journal
from tests.faults.power.recorded import Call, await_stop, read_record, recorded
from tests.faults.power.straced import read_trace, strace
from tests.faults.power.synced import broken_rules
from tests.jobs import drifting, write_job

LOGS = "flare.log('round', round, step=round)"
SCRIPTS = {"a": drifting(0.3, LOGS), "b": drifting(0.7)}


def serve(
    folder: Path, durability: str, *options: str, stops: str = "", before: Sequence[str] = ()
) -> dict[str, list[Call]]:
    """Serve a job of 2 rounds to 2 sites; what each process did. A server that stops is killed, and the run resumed."""
    job = write_job(folder / "job", SCRIPTS)
    place = folder / "place"
    place.mkdir()
    records = {who: folder / f"{who}.record" for who in ("a", "b", "server", "resumed")}
    with ExitStack() as opened:
        sites = [
            opened.enter_context(
                recorded(
                    place, records[site], "fltui.client", job.parent / f"{site}.py", site=site, durability=durability
                )
            )
            for site in SCRIPTS
        ]
        command: tuple[str | Path, ...] = (
            "fltui",
            "server",
            job,
            "--json",
            "--wait",
            "60",
            "--durability",
            durability,
            *options,
        )
        server = opened.enter_context(recorded(place, records["server"], *command, stops=stops, before=before))
        if stops:
            await_stop(server)
            server.kill()
            server.wait()
            server = opened.enter_context(recorded(place, records["resumed"], "fltui", "resume", "last", "--json"))
        told = [process.communicate() for process in (server, *sites)]
        assert [process.returncode for process in (server, *sites)] == [0, 0, 0], told
    return {who: read_record(path) for who, path in records.items() if path.exists()}


@pytest.mark.parametrize("options", [(), ("--keep-results",)])
def test_the_order_is_kept_and_no_sync_is_needless(tmp_path: Path, options: tuple[str, ...]) -> None:
    for who, calls in serve(tmp_path, "power", *options).items():
        assert broken_rules(calls) == [], who
        begun = next(place for place, call in enumerate(calls) if "run_started" in call.text or ".r0000." in call.path)
        syncs = [place for place, call in enumerate(calls) if call.op == "sync" and place > begun]
        needless = [calls[place].label for place in syncs if not broken_rules(calls[:place] + calls[place + 1 :])]
        assert needless == [], who
        assert len(syncs) >= 10, who


def test_a_run_that_is_resumed_keeps_the_order(tmp_path: Path) -> None:
    stops = "write:*/journal.jsonl#result_accepted"
    for who, calls in serve(tmp_path, "power", "--keep-models", "1", stops=stops).items():
        cut_short = who == "server"
        assert [told for told in broken_rules(calls) if not (cut_short and told.endswith("at the end"))] == [], who
    assert find_run("last", tmp_path / "place" / "runs").state().rounds_done == 2


def test_nothing_is_synced_for_the_death_of_a_process(tmp_path: Path) -> None:
    for who, calls in serve(tmp_path, "process").items():
        assert [call.label for call in calls if call.op == "sync"] == [], who
        assert broken_rules(calls) != [], who


def test_strace_tells_the_same_order(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    before = strace(trace)
    if not before:
        pytest.skip("strace is not here, or may not trace")
    calls = serve(tmp_path, "power", before=before)["server"]
    ours = [msgspec.structs.replace(call, text="") for call in calls if call.op != "create"]
    theirs = read_trace(trace, tmp_path / "place")
    assert len(ours) > 100
    assert [call for call, _ in groupby(ours)] == [call for call, _ in groupby(theirs)]


@pytest.mark.parametrize("text", [b"", b"}\n", b'more text\n{"event":"run_resumed"}\n'])
def test_a_journal_goes_on_before_a_hole_that_the_power_cut_left(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path)) as journal:
        for _ in range(3):
            journal.append(RunPaused(reason="lunch"))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event":"metric_log' + bytes(100) + text)
    assert len(list(read_journal(path))) == 3
    with closing(Journal.reopen(path, lambda event: None, durable=True)) as journal:
        assert path.read_bytes() == whole
        journal.append(RunResumed())
    assert len(list(read_journal(path))) == 4


GOOD = """
mkdir runs
sync .
mkdir runs/r
mkdir runs/r/models
mkdir runs/r/store
sync runs
create runs/r/journal.jsonl
sync runs/r
event run_started
sync runs/r/journal.jsonl
mkdir runs/r/models/.round-0000
create runs/r/models/.round-0000/w.npy
write runs/r/models/.round-0000/w.npy
sync runs/r/models/.round-0000/w.npy
sync runs/r/models/.round-0000
rename runs/r/models/.round-0000 runs/r/models/round-0000
sync runs/r/models
event model_saved
event round_started
event task_published
sync runs/r/journal.jsonl
mkdir exchange/a/tasks/t
create exchange/a/.syncthing.fltui.server/w
write exchange/a/.syncthing.fltui.server/w
sync exchange/a/.syncthing.fltui.server/w
rename exchange/a/.syncthing.fltui.server/w exchange/a/tasks/t/w.npy
sync exchange/a/tasks/t
sync exchange/a/tasks
create exchange/a/.syncthing.fltui.server/t
write exchange/a/.syncthing.fltui.server/t
sync exchange/a/.syncthing.fltui.server/t
rename exchange/a/.syncthing.fltui.server/t exchange/a/tasks/t.json
sync exchange/a/tasks
create runs/r/store/.1
write runs/r/store/.1
sync runs/r/store/.1
rename runs/r/store/.1 runs/r/store/d.npy
sync runs/r/store
event result_accepted
sync runs/r/journal.jsonl
unlink runs/r/store/d.npy
"""
"""What a server does in short, and rightly."""

EVENTS: dict[str, dict[str, object]] = {
    "model_saved": {"path": "models/round-0000"},
    "round_started": {"round": 0},
    "task_published": {"site": "a", "task_id": "t"},
    "result_accepted": {"arrays": [{"blake3": "d"}]},
    "run_finished": {"seal": "d"},
}


def calls_of(text: str) -> list[Call]:
    """Calls from lines."""
    calls, event = [], ""
    for line in text.strip().splitlines():
        op, *paths = line.split()
        if op == "event":
            event = msgspec.json.encode({"event": paths[0], **EVENTS.get(paths[0], {})}).decode()
            calls.append(Call("write", "runs/r/journal.jsonl", text=event))
        else:
            text = event if op == "sync" and paths[0].endswith("/journal.jsonl") else ""
            calls.append(Call(op, paths[0], "".join(paths[1:]), text))
    return calls


def test_a_server_that_does_right_is_not_blamed() -> None:
    assert broken_rules(calls_of(GOOD)) == []


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("sync .", "the name runs is not safe before .*run_started"),
        ("sync runs", "the name runs/r is not safe before .*run_started"),
        ("sync runs/r", "the event run_started is not safe before mkdir:runs/r/models/.round-0000"),
        (
            "sync runs/r/models/.round-0000/w.npy",
            "models/round-0000 gets its name before the content of .*/round-0000/w.npy is safe",
        ),
        ("sync runs/r/models/.round-0000", "round-0000 gets its name before the name .*/round-0000/w.npy is safe"),
        ("sync runs/r/models", "the name runs/r/models/round-0000 is not safe before .*#model_saved"),
        ("sync runs/r/journal.jsonl", "the event run_started is not safe before mkdir:"),
        ("sync exchange/a/.syncthing.fltui.server/w", "w.npy gets its name before the content of .*w.npy is safe"),
        ("sync exchange/a/tasks/t", "the name exchange/a/tasks/t/w.npy is not safe before rename:.*/t.json"),
        ("sync exchange/a/tasks", "the name exchange/a/tasks/t is not safe before rename:exchange/a/tasks/t.json"),
        ("sync exchange/a/.syncthing.fltui.server/t", "t.json gets its name before the content of .*t.json is safe"),
        ("sync runs/r/store/.1", "d.npy gets its name before the content of runs/r/store/d.npy is safe"),
        ("sync runs/r/store", "the name runs/r/store/d.npy is not safe before .*#result_accepted"),
    ],
)
def test_what_a_power_cut_would_belie_is_told(missing: str, told: str) -> None:
    before, after = GOOD.split(f"\n{missing}\n", 1)
    assert re.search(told, "\n".join(broken_rules(calls_of(f"{before}\n{after}"))))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sync exchange/a/tasks", "the name exchange/a/tasks/t.json is not safe before create:runs/r/store/.1"),
        ("sync runs/r/journal.jsonl", "the event result_accepted is not safe before unlink:runs/r/store/d.npy"),
    ],
)
def test_what_is_synced_too_late_is_told(line: str, told: str) -> None:
    before, after = GOOD.rsplit(f"\n{line}\n", 1)
    assert re.search(told, "\n".join(broken_rules(calls_of(f"{before}\n{after}{line}\n"))))


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ("mkdir exchange/a/tasks/t", "the name exchange/a/tasks/t is not safe before rename:exchange/a/tasks/t.json"),
        ("sync runs/r/journal.jsonl", "exchange/a/tasks/t/w.npy comes after its manifest"),
    ],
)
def test_a_manifest_before_its_arrays_is_told(after: str, told: str) -> None:
    lines = GOOD.strip().splitlines()
    begin = lines.index("create exchange/a/.syncthing.fltui.server/t")
    manifest, rest = lines[begin : begin + 4], lines[:begin] + lines[begin + 5 :]
    place = rest.index(after, rest.index("event task_published")) + 1
    assert told in broken_rules(calls_of("\n".join([*rest[:place], *manifest, *rest[place:]])))


def test_an_event_that_is_written_after_what_follows_from_it_is_told() -> None:
    told = broken_rules(calls_of(GOOD.replace("event task_published\n", "event round_started\n")))
    assert "exchange/a/tasks/t.json is published before the journal tells of it" in told


def test_what_the_seal_says_is_gone_must_not_come_back() -> None:
    lines = GOOD + "event run_finished\nsync runs/r/journal.jsonl\n"
    told = "\n".join(broken_rules(calls_of(lines)))
    assert "the removal of runs/r/store/d.npy is not safe before write:runs/r/journal.jsonl#run_finished" in told
    assert broken_rules(calls_of(lines.replace("event run_f", "sync runs/r/store\nevent run_f"))) == []


def test_a_folder_that_is_renamed_before_its_content_is_safe_is_told() -> None:
    lines = GOOD.strip().splitlines()
    place = lines.index("sync runs/r/models/.round-0000")
    lines[place : place + 2] = reversed(lines[place : place + 2])
    lines[place + 1] = "sync runs/r/models/round-0000"
    assert "round-0000 gets its name before the name" in "\n".join(broken_rules(calls_of("\n".join(lines))))
