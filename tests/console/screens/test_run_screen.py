"""The run screen under a pilot: every key of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.widgets import Input

from fltui.console.app import ConsoleApp
from fltui.console.screens.home import HomeScreen
from fltui.console.screens.question import Question
from fltui.console.screens.run_screen import RunScreen
from fltui.console.widgets.header import Banner, RunHeader
from fltui.console.widgets.log import LogPanel
from fltui.console.widgets.weights import WeightsPanel
from fltui.exchange.lock import hold
from fltui.run import control
from fltui.run.events import RunPaused, RunStatus
from fltui.run.folder import RunFolder
from fltui.run.models import Models
from tests.console.books import RUN, Book, failed, hello, weights
from tests.console.pilots import AnyPilot, console, event_count, followed, settled, until


async def _open(pilot: AnyPilot, book: Book) -> RunScreen:
    return await followed(pilot, event_count(book.folder))


def _asked(folder: RunFolder) -> list[dict[str, Any]]:
    return [msgspec.json.decode(path.read_bytes()) for path in sorted(folder.control.glob("*.json"))]


@pytest.fixture
def ended(tmp_path: Path) -> Book:
    """The hello run."""
    return hello(tmp_path / "runs")


@pytest.fixture
def live(tmp_path: Path) -> Book:
    """The hello run after two rounds, held by this process."""
    book = hello(tmp_path / "runs", 2, end=False)
    book.held = hold(book.folder.lock) or -1
    return book


async def test_the_head_tells_job_state_rounds_and_sites(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        head = str(screen.query_one(RunHeader).render())
        for part in ("hello-fedavg-numpy", "#3f2a", "✓ COMPLETED", "3 of 3 rounds", "100%", "00:00:00", "2/2 sites"):
            assert part in head


@pytest.mark.parametrize("width", [1, 2, 10, 40, 79])
async def test_the_head_fits_any_width(tmp_path: Path, ended: Book, width: int) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(width, 24)) as pilot:
        screen = await _open(pilot, ended)
        head = screen.query_one(RunHeader)
        assert head.render().cell_length <= max(0, head.size.width)  # type: ignore[union-attr]  # it is Content


@pytest.mark.parametrize(
    ("key", "panel"),
    [("1", "weights"), ("2", "metrics"), ("3", "rounds"), ("4", "exchange"), ("5", "log"), ("6", "sites")],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=str)
async def test_a_number_shows_a_panel(tmp_path: Path, ended: Book, key: str, panel: str, size: tuple[int, int]) -> None:
    async with console(tmp_path, ended.folder).run_test(size=size) as pilot:
        screen = await _open(pilot, ended)
        await pilot.press(key)
        await pilot.pause()
        found = screen.query_one(f"#{panel}")
        assert found.display
        assert found.region.area > 0
        assert found.has_focus_within or found.has_focus


async def test_tab_walks_through_all_panels_and_back(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(80, 24)) as pilot:
        screen = await _open(pilot, ended)
        seen = []
        for _ in range(6):
            await pilot.press("tab")
            seen += [panel.id for panel in screen.query("Panel") if panel.display]
        assert seen == ["metrics", "rounds", "exchange", "log", "sites", "weights"]
        await pilot.press("shift+tab")
        assert [panel.id for panel in screen.query("Panel") if panel.display] == ["sites"]


async def test_the_panels_stand_side_by_side_where_there_is_room(tmp_path: Path, ended: Book) -> None:
    for size, names in [
        ((120, 36), {"sites", "weights", "log"}),
        ((200, 60), {"sites", "weights", "metrics", "log"}),
        ((80, 24), {"weights"}),
    ]:
        async with console(tmp_path, ended.folder).run_test(size=size) as pilot:
            screen = await _open(pilot, ended)
            assert {panel.id for panel in screen.query("Panel") if panel.display} == names


async def test_a_resize_changes_what_is_shown(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        for size in [(80, 24), (200, 60), (1, 1), (5, 3), (120, 10), (300, 100), (120, 36)]:
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert {panel.id for panel in screen.query("Panel") if panel.display} == {"sites", "weights", "log"}


async def test_arrows_walk_through_the_rounds_and_l_comes_back(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        view = screen.view
        assert (view.round, view.model) == (2, 3)
        await pilot.press("left")
        assert (view.chosen, view.round, view.model) == (1, 1, 2)
        await pilot.press("left", "left", "left")
        assert (view.round, view.model) == (0, 1)
        await pilot.press("right")
        assert view.round == 1
        await pilot.press("right")
        assert view.chosen is None
        await pilot.press("left", "l")
        assert view.chosen is None


async def test_a_run_without_rounds_has_none_to_walk_to(tmp_path: Path) -> None:
    book = Book(tmp_path / "runs")
    book.start()
    async with console(tmp_path, book.folder).run_test() as pilot:
        screen = await _open(pilot, book)
        await pilot.press("left", "right", "l")
        assert screen.view.round is None


async def test_what_happens_is_shown_as_it_happens(tmp_path: Path, live: Book) -> None:
    async with console(tmp_path, live.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, live)
        assert screen.view.alive
        live.ask(2)
        live.answer("site-0", 2, weights(3), accuracy=7.0)
        await _open(pilot, live)
        assert screen.view.state.sites["site-0"].state == "sent"
        assert "1/2 sites" in str(screen.query_one(RunHeader).render())


async def test_space_plays_an_ended_run_back(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs", end=False)
    book.seconds += 600
    book.finish()
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, book)
        await pilot.press("space")
        assert screen.feed.playback is not None
        assert "playback 1x" in str(screen.query_one(RunHeader).render())
        await pilot.press("minus", "space")
        assert not screen.feed.playback.playing
        assert "playback 1/2x, paused" in str(screen.query_one(RunHeader).render())
        assert not screen.view.state.status.is_finished
        await pilot.press(*["plus"] * 12, "space")
        await until(pilot, lambda: screen.view.state.status is RunStatus.COMPLETED)
        await until(pilot, lambda: screen.feed.playback is not None and screen.feed.playback.over)
        await pilot.press("space")
        assert not screen.feed.playback.over
        await pilot.press("l")
        await _open(pilot, book)
        assert "playback" not in str(screen.query_one(RunHeader).render())


async def test_space_pauses_a_live_run_and_resumes_it(tmp_path: Path, live: Book) -> None:
    async with console(tmp_path, live.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, live)
        await pilot.press("space")
        assert [request["request"] for request in _asked(live.folder)] == ["pause"]
        live.write(RunPaused(reason="the disk is being changed"))
        await until(pilot, lambda: screen.query_one(Banner).text == "paused: the disk is being changed")
        await pilot.press("space")
        assert [request["request"] for request in _asked(live.folder)] == ["pause", "resume"]


@pytest.mark.parametrize(("keys", "requests"), [(["right", "enter"], ["abort"]), (["enter"], []), (["escape"], [])])
async def test_abort_asks_first(tmp_path: Path, live: Book, keys: list[str], requests: list[str]) -> None:
    async with console(tmp_path, live.folder).run_test(size=(120, 36)) as pilot:
        await _open(pilot, live)
        await pilot.press("a")
        assert isinstance(pilot.app.screen, Question)
        await pilot.press(*keys)
        assert [request["request"] for request in _asked(live.folder)] == requests


@pytest.mark.parametrize(("keys", "sites"), [(["right", "enter"], ["site-1"]), (["enter"], []), (["escape"], [])])
async def test_a_site_is_dropped_after_a_yes(tmp_path: Path, live: Book, keys: list[str], sites: list[str]) -> None:
    async with console(tmp_path, live.folder).run_test(size=(120, 36)) as pilot:
        await _open(pilot, live)
        await pilot.press("6", "down", "d")
        assert isinstance(pilot.app.screen, Question)
        await pilot.press(*keys)
        assert [request["site"] for request in _asked(live.folder)] == sites


async def test_an_ended_run_cannot_be_aborted_or_lose_a_site(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        await pilot.press("a", "d", "r", "c")
        assert pilot.app.screen is screen
        assert _asked(ended.folder) == []


async def test_a_failed_run_says_why_and_enter_goes_to_the_traceback(tmp_path: Path) -> None:
    book = failed(tmp_path / "runs")
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, book)
        banner = screen.query_one(Banner)
        why = "site-1: ValueError: labels are missing (train.py, line 12)"
        assert banner.text == f"failed: round 1: 1 of 2 sites answered, 2 needed; {why}"
        assert banner.region.height == 1
        await until(pilot, lambda: pilot.app.focused is banner)
        await pilot.press("enter")
        assert screen.query_one(LogPanel).has_focus_within
        assert "Traceback (most recent call last)" in screen.query_one(LogPanel).copied()


async def test_groups_of_the_model_can_be_chosen_once_it_was_looked_at(tmp_path: Path, ended: Book) -> None:
    with Models(ended.folder.models, durable=False).new(3, ["numpy_key"]) as new:
        new.add_all({"numpy_key": weights(3)}, {"momentum": {"numpy_key": weights(70)}})
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        panel = (await _open(pilot, ended)).query_one(WeightsPanel)
        await pilot.press("s", "s")
        await settled(pilot)
        assert (str(panel.source), panel.copied()) == ("momentum", "numpy_key[0, 0] = 71.0")
        await pilot.press("left", "p")
        await settled(pilot)
        assert (str(panel.source), panel.copied()) == ("momentum", "")


async def test_a_run_that_ended_early_says_why(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs", 2, end=False)
    book.finish(reason="ended after round 1: accuracy >= 6 holds", rounds=2)
    async with console(tmp_path, book.folder).run_test(size=(80, 24)) as pilot:
        banner = (await _open(pilot, book)).query_one(Banner)
        assert (banner.text, banner.has_class("-hint")) == ("ended after round 1: accuracy >= 6 holds", True)


async def test_a_failed_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed: list[RunFolder] = []
    monkeypatch.setattr(ConsoleApp, "resume", lambda _, folder: resumed.append(folder))
    book = failed(tmp_path / "runs")
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        await _open(pilot, book)
        await pilot.press("r", "enter")
        assert resumed == []
        await pilot.press("r", "right", "enter")
        assert resumed == [book.folder]


async def test_a_run_whose_server_is_gone_says_so(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs", 2, end=False)
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, book)
        await until(pilot, lambda: "no server of this machine" in screen.query_one(Banner).text)
        assert "NO SERVER" in str(screen.query_one(RunHeader).render())


async def test_a_served_run_shows_and_copies_how_to_start_its_sites(tmp_path: Path) -> None:
    book = Book(tmp_path / "runs", exchange=str(tmp_path / "exchange"))
    book.start(mode="server", join=["site-1"])
    assert hold(book.folder.lock) is not None
    async with console(tmp_path, book.folder).run_test(size=(200, 60)) as pilot:
        screen = await _open(pilot, book)
        await until(pilot, lambda: "waiting for sites" in screen.query_one(Banner).text)
        command = f"fltui client SCRIPT --site site-0 --exchange {tmp_path / 'exchange'}"
        assert command in screen.query_one(Banner).text
        assert "--site site-1" not in screen.query_one(Banner).text
        await pilot.press("c")
        assert pilot.app.clipboard == command


async def test_y_copies_what_is_under_the_cursor(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        await pilot.press("6", "y")
        assert pilot.app.clipboard == "site-0"
        screen.set_focus(None)
        await pilot.press("y")
        assert pilot.app.clipboard == str(ended.folder.root)


async def test_escape_goes_home(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        await _open(pilot, ended)
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, HomeScreen)


async def test_a_journal_that_breaks_is_told(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        with ended.folder.journal.open("ab") as journal:
            journal.write(b"nonsense\n")
        await until(pilot, lambda: "cannot be followed" in screen.query_one(Banner).text)


async def test_a_round_chosen_in_the_table_is_shown(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        await pilot.press("3", "home", "enter")
        await until(pilot, lambda: screen.view.chosen == 0)


def test_requests_are_what_the_engine_reads(tmp_path: Path, ended: Book) -> None:
    control.ask(ended.folder, control.Drop("site-0", "x"))
    assert control.take_requests(ended.folder.control) == [control.Drop("site-0", "x")]
    assert ended.folder.run == RUN


async def test_v_and_f_reach_weights_and_log_from_anywhere(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(80, 24)) as pilot:
        screen = await _open(pilot, ended)
        await pilot.press("3", "v")
        assert screen.query_one("#weights").display
        assert "heat" in str(screen.query_one(WeightsPanel).query_one("PartsLine").render_line(0))
        await pilot.press("3", "f", *"round 2")
        assert isinstance(pilot.app.focused, Input)
        assert pilot.app.focused.value == "round 2"


async def test_a_request_that_cannot_be_laid_is_told(tmp_path: Path, live: Book) -> None:
    async with console(tmp_path, live.folder).run_test(size=(120, 36)) as pilot:
        await _open(pilot, live)
        live.folder.control.rmdir()
        await pilot.press("space")
        assert any("cannot be laid" in str(note.message) for note in pilot.app._notifications)


async def test_a_run_that_nobody_here_holds_is_resumed_only_after_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed: list[RunFolder] = []
    monkeypatch.setattr(ConsoleApp, "resume", lambda _, folder: resumed.append(folder))
    book = hello(tmp_path / "runs", 2, end=False)
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        await _open(pilot, book)
        await pilot.press("r", "enter")
        assert resumed == []
        await pilot.press("r", "right", "enter")
        assert resumed == [book.folder]


async def test_a_run_that_another_machine_writes_is_live(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs", 2, end=False)
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, book)
        assert not screen.view.alive
        book.ask(2)
        await _open(pilot, book)
        await until(pilot, lambda: screen.view.alive)
        assert "RUNNING" in str(screen.query_one(RunHeader).render())
        await pilot.press("space")
        assert [request["request"] for request in _asked(book.folder)] == ["pause"]


async def test_a_run_that_is_played_back_is_not_without_a_server(tmp_path: Path, ended: Book) -> None:
    async with console(tmp_path, ended.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, ended)
        await pilot.press("space")
        await until(pilot, lambda: screen.view.state.events > 2)
        assert "NO SERVER" not in str(screen.query_one(RunHeader).render())
        assert not screen.query_one(Banner).text


async def test_many_missing_sites_are_told_in_few_lines_and_copied_all(tmp_path: Path) -> None:
    book = Book(tmp_path / "runs", exchange=str(tmp_path / "exchange"))
    book.start(mode="server", sites=[f"site-{number}" for number in range(40)], join=[])
    assert hold(book.folder.lock) is not None
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, book)
        await until(pilot, lambda: "… and 37 more" in screen.query_one(Banner).text)
        await pilot.click(Banner)
        assert len(pilot.app.clipboard.splitlines()) == 40


async def test_space_says_what_it_does_now(tmp_path: Path, live: Book) -> None:
    async with console(tmp_path, live.folder).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, live)

        def words() -> str:
            return screen.active_bindings["space"].binding.description

        assert words() == "Pause"
        live.write(RunPaused(reason="asked for"))
        await until(pilot, lambda: words() == "Go on")
        live.finish(rounds=2)
        os.close(live.held)
        await until(pilot, lambda: words() == "Play back")
        await pilot.press("space")
        await until(pilot, lambda: words() == "Halt/play")
