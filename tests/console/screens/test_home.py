"""The home screen under a pilot: every key of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Static

from fltui.console.app import ConsoleApp
from fltui.console.screens.home import HomeScreen
from fltui.console.screens.job_screen import JobScreen
from fltui.console.screens.question import Question
from fltui.console.screens.run_screen import RunScreen
from fltui.console.widgets.table import Table
from fltui.exchange.lock import hold
from tests.console.books import RUN, failed, hello
from tests.console.pilots import AnyPilot, console, settled, until
from tests.jobs import HELLO_JOB


async def _home(pilot: AnyPilot) -> HomeScreen:
    """The home screen once its lists are read."""
    screen = pilot.app.screen
    assert isinstance(screen, HomeScreen)
    await until(pilot, lambda: screen.query_one("#jobs", Table).row_count == 1)
    return screen


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the app was asked to start, and did not."""
    found: list[list[str]] = []
    monkeypatch.setattr(ConsoleApp, "launch", lambda _, command, job, doing: found.append([command, str(job)]))
    return found


async def test_jobs_and_runs_are_listed(tmp_path: Path) -> None:
    hello(tmp_path / "runs")
    async with console(tmp_path).run_test() as pilot:
        screen = await _home(pilot)
        assert screen.query_one("#jobs", Table).cursor_key == str(HELLO_JOB)
        assert screen.query_one("#runs", Table).cursor_key == RUN


async def test_empty_lists_say_what_to_do(tmp_path: Path) -> None:
    async with console(tmp_path).run_test() as pilot:
        screen = await _home(pilot)
        assert "r runs a job" in screen.query_one("#runs", Table).placeholder


@pytest.mark.parametrize(("key", "what"), [("r", "run"), ("s", "server")])
async def test_a_key_starts_the_job(tmp_path: Path, launched: list[list[str]], key: str, what: str) -> None:
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press(key)
        assert launched == [[what, str(HELLO_JOB)]]


@pytest.mark.parametrize(("key", "what"), [("r", ["run"]), ("s", ["server"]), ("escape", []), ("q", [])])
async def test_a_job_is_opened_and_started_or_left(
    tmp_path: Path, launched: list[list[str]], key: str, what: list[str]
) -> None:
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, JobScreen)
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(pilot.app.screen, HomeScreen)
        assert [arguments[0] for arguments in launched] == what


async def test_enter_opens_a_run_and_escape_comes_back(tmp_path: Path) -> None:
    hello(tmp_path / "runs")
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, HomeScreen)


async def test_a_run_that_cannot_be_read_is_told_instead_of_opened(tmp_path: Path) -> None:
    broken = tmp_path / "runs" / "broken-20260131T130000Z-bbbb"
    broken.mkdir(parents=True)
    (broken / "journal.jsonl").write_text("nonsense\n")
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, HomeScreen)
        assert [note for note in _notes(pilot) if "not an event" in note]


def _notes(pilot: AnyPilot) -> list[str]:
    return [str(note.message) for note in pilot.app._notifications]


@pytest.mark.parametrize(("keys", "stays"), [(["enter"], True), (["right", "enter"], False), (["escape"], True)])
async def test_a_run_is_deleted_only_after_a_yes(tmp_path: Path, keys: list[str], stays: bool) -> None:
    book = hello(tmp_path / "runs")
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("d")
        assert isinstance(pilot.app.screen, Question)
        await pilot.press(*keys)
        await settled(pilot)
        assert book.folder.root.exists() is stays


async def test_a_live_run_is_not_deleted(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs", end=False)
    assert hold(book.folder.lock) is not None
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("d")
        assert isinstance(pilot.app.screen, HomeScreen)
        assert [note for note in _notes(pilot) if "abort it first" in note]


async def test_the_filter_shows_what_has_it_in_its_name(tmp_path: Path) -> None:
    hello(tmp_path / "runs")
    failed(tmp_path / "runs")
    async with console(tmp_path).run_test() as pilot:
        screen = await _home(pilot)
        runs = screen.query_one("#runs", Table)
        await pilot.press("slash", *"3f2a")
        assert runs.row_count == 1
        assert screen.query_one("#jobs", Table).placeholder == "no job has that in its name"
        await pilot.press("enter")
        assert pilot.app.focused is runs
        await pilot.press("escape")
        assert runs.row_count == 2
        assert not screen.query_one("#filter", Input).display


async def test_tab_goes_to_the_other_list(tmp_path: Path) -> None:
    async with console(tmp_path).run_test() as pilot:
        screen = await _home(pilot)
        await pilot.press("tab")
        assert pilot.app.focused is screen.query_one("#runs")
        await pilot.press("shift+tab")
        assert pilot.app.focused is screen.query_one("#jobs")


async def test_y_copies_the_path_under_the_cursor(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("y")
        assert pilot.app.clipboard == str(HELLO_JOB)
        await pilot.press("tab", "y")
        assert pilot.app.clipboard == str(book.folder.root)


async def test_a_run_made_elsewhere_appears_by_itself(tmp_path: Path) -> None:
    async with console(tmp_path).run_test() as pilot:
        screen = await _home(pilot)
        hello(tmp_path / "runs")
        await until(pilot, lambda: screen.query_one("#runs", Table).row_count == 1)


async def test_a_job_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        from fltui.console.runs.child import NotStartedError

        raise NotStartedError("job script x failed: [@click=app.quit]no[/]", 2)

    monkeypatch.setattr("fltui.console.app.start", fail)
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("r")
        await until(pilot, lambda: bool(_notes(pilot)))
        assert "[@click=app.quit]no[/]" in _notes(pilot)[0]


async def test_escape_stops_what_is_being_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    stopped = asyncio.Event()

    async def hang(*_: Any, **__: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    monkeypatch.setattr("fltui.console.app.start", hang)
    async with console(tmp_path).run_test() as pilot:
        screen = await _home(pilot)
        await pilot.press("r")
        await until(pilot, lambda: screen.query_one("#doing", Static).display)
        await pilot.press("r")
        assert [note for note in _notes(pilot) if "being started already" in note]
        await pilot.press("escape")
        await stopped.wait()
        await until(pilot, lambda: not screen.query_one("#doing", Static).display)


async def test_a_read_that_takes_longer_than_a_look_is_shown_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hello(tmp_path / "runs")
    monkeypatch.setattr("fltui.console.screens.home._LOOK", 0.02)
    app = console(tmp_path)
    async with app.run_test() as pilot:
        await _home(pilot)
        assert len([worker for worker in app.workers if worker.group == "read" and not worker.is_finished]) <= 1


@pytest.mark.parametrize(("keys", "stays"), [(["enter"], True), (["right", "enter"], False)])
async def test_a_run_whose_server_is_gone_can_be_deleted(tmp_path: Path, keys: list[str], stays: bool) -> None:
    book = hello(tmp_path / "runs", 1, end=False)
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("d", *keys)
        await settled(pilot)
        assert book.folder.root.exists() is stays


async def test_a_run_that_cannot_be_deleted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    hello(tmp_path / "runs")
    monkeypatch.setattr("fltui.console.screens.home.shutil.rmtree", refuse)
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("d", "right", "enter")
        await until(pilot, lambda: any("Permission denied" in note for note in _notes(pilot)))


async def test_a_run_that_begins_under_a_question_does_not_push_it_away(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    app = console(tmp_path)
    async with app.run_test() as pilot:
        await _home(pilot)
        await pilot.press("question_mark")
        app.open_run(book.folder)
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, HomeScreen)
        assert [note for note in _notes(pilot) if "has begun" in note]


async def test_hostile_names_are_harmless_in_notes_and_questions(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs", run="a\x1b]0;x\x07b-20260131T120000Z-3f2a")
    async with console(tmp_path).run_test() as pilot:
        await _home(pilot)
        await pilot.press("tab", "y")
        assert pilot.app.clipboard == str(book.folder.root)
        assert not any("\x1b" in note for note in _notes(pilot))
        await pilot.press("d")
        assert all("\x1b" not in str(text.render()) for text in pilot.app.screen.query(Static))
