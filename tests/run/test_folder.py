from __future__ import annotations

import os
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.run.events import RunPaused
from fltui.run.folder import RunFolder, create_chosen_run, create_run, find_run, list_runs
from fltui.run.journal import Chain, Journal
from fltui.run.state import RunState
from tests.run.journals import RUN, started


def make(runs: Path, run: str) -> RunFolder:
    """A run that has begun."""
    folder = RunFolder(runs / run)
    folder.root.mkdir(parents=True)
    make_in(folder)
    return folder


def test_a_new_run_has_its_folders_and_a_name_of_its_own(tmp_path: Path) -> None:
    first, second = create_run(tmp_path / "runs", "hello"), create_run(tmp_path / "runs", "hello")
    assert first.run != second.run
    assert first.run.startswith("hello-")
    assert sorted(entry.name for entry in first.root.iterdir()) == ["control", "logs", "models", "store"]


def test_a_run_whose_id_was_chosen_before_begins_once(tmp_path: Path) -> None:
    """What a server left there that died before the run began is removed; a run that has begun is not."""
    first = create_chosen_run(tmp_path, RUN)
    (first.job / "half").mkdir(parents=True)
    (first.root / ".fltui-1234").mkdir()
    first.journal.touch()
    again = create_chosen_run(tmp_path, RUN)
    assert again == first
    assert sorted(entry.name for entry in again.root.iterdir()) == ["control", "logs", "models", "store"]
    make_in(again)
    with pytest.raises(BadInputError, match="has begun already; 'fltui resume"):
        create_chosen_run(tmp_path, RUN)


def test_a_chosen_id_removes_nothing_but_what_a_server_left(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    data = tmp_path / RUN / "data.npy"
    data.parent.mkdir()
    data.write_text("x")
    for name in ("precious", "..", "../elsewhere", ""):
        with pytest.raises(BadInputError, match="cannot be used"):
            create_chosen_run(tmp_path, name)
    with pytest.raises(BadInputError, match=r"its folder holds data\.npy"):
        create_chosen_run(tmp_path, RUN)
    assert data.exists()
    other = tmp_path / RUN.replace("hello", "other")
    other.write_text("x")
    with pytest.raises(BadInputError, match="is not a folder"):
        create_chosen_run(tmp_path, other.name)
    other.unlink()
    other.symlink_to(tmp_path / "precious")
    with pytest.raises(BadInputError, match="is not a folder"):
        create_chosen_run(tmp_path, other.name)
    assert (tmp_path / "precious").is_dir()


def make_in(folder: RunFolder) -> None:
    """Let a run begin."""
    journal = Journal(folder.journal)
    journal.append(started())
    journal.close()


def test_a_file_is_no_folder_for_runs(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(BadInputError, match=r"runs folder .*runs"):
        create_run(tmp_path / "runs", "hello")


def test_the_state_of_a_run_is_folded_from_its_journal(tmp_path: Path) -> None:
    assert make(tmp_path, RUN).state().job == "hello"


def test_a_run_without_events_has_the_first_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.journal.touch()
    assert folder.state() == RunState()


def test_runs_are_the_folders_with_a_journal(tmp_path: Path) -> None:
    make(tmp_path, "a-run")
    (tmp_path / "no-run").mkdir()
    (tmp_path / "file").write_text("")
    assert [run.run for run in list_runs(tmp_path)] == ["a-run"]


def test_a_folder_that_does_not_exist_holds_no_runs(tmp_path: Path) -> None:
    assert list(list_runs(tmp_path / "none")) == []


@pytest.mark.parametrize("name", [RUN, "beef", "last", "hello-2026"])
def test_a_run_is_found_by_what_a_person_types(tmp_path: Path, name: str) -> None:
    make(tmp_path, RUN)
    assert find_run(name, tmp_path).run == RUN


def test_a_run_is_found_by_its_folder(tmp_path: Path) -> None:
    folder = make(tmp_path / "elsewhere", RUN)
    assert find_run(str(folder.root), tmp_path / "runs").root.samefile(folder.root)


def test_a_whole_id_wins_over_the_beginning_of_another(tmp_path: Path) -> None:
    make(tmp_path, "run-1")
    make(tmp_path, "run-10")
    assert find_run("run-1", tmp_path).run == "run-1"


@pytest.mark.parametrize(("name", "reason"), [("cafe", "names no run"), ("hello", "names 2 runs")])
def test_a_name_must_mean_one_run(tmp_path: Path, name: str, reason: str) -> None:
    make(tmp_path, "hello-1")
    make(tmp_path, "hello-2")
    with pytest.raises(BadInputError, match=reason):
        find_run(name, tmp_path)


def test_there_is_no_last_run_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="names no run"):
        find_run("last", tmp_path)


def test_a_run_is_alive_while_it_is_held(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert not run.is_alive()
    with run.held():
        assert run.is_alive()
    assert not run.is_alive()


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither the only one there is, nor the folder one is in."""
    folder = make(tmp_path, RUN)
    monkeypatch.chdir(folder.root)
    with pytest.raises(BadInputError, match="no run is named, the name is empty"):
        find_run(name, tmp_path)


def test_a_run_is_held_by_one_engine(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.held(), pytest.raises(BadInputError, match="being run by another process"), run.held():
        pass
    with run.held():
        pass


def test_a_look_at_a_run_reads_only_what_is_new(tmp_path: Path) -> None:
    folder = make(tmp_path, RUN)
    states = folder.states()
    assert next(states).events == 1
    with folder.journal.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        head = Chain.at(file).head
        file.seek(0)
        file.write(b"not to be read again")
    journal = Journal(folder.journal, seq=1, head=head)
    assert next(states).events == 1
    journal.append(RunPaused(reason="lunch"))
    journal.close()
    state = next(states)
    assert (state.events, state.job, state.reason) == (2, "hello", "lunch")


def test_a_journal_that_is_not_there_has_no_states(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"journal\.jsonl cannot be read: No such file"):
        next(RunFolder(tmp_path).states())
