"""The queue and the sites on the home screen, under a pilot."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from textual.widgets import Button, Static

from fltui.console.app import ConsoleApp
from fltui.console.host import Places
from fltui.console.runs.presence import SiteLine, SiteList
from fltui.console.screens.home import HomeScreen
from fltui.console.screens.question import Question
from fltui.console.screens.run_screen import RunScreen
from fltui.console.widgets.service import Service
from fltui.console.widgets.table import Table
from fltui.errors import BadInputError
from fltui.exchange.layout import PROTOCOL, ExchangeFolder
from fltui.exchange.manifest import Status, encode
from fltui.queue.documents import Claim, EntryEnd
from fltui.queue.entries import Standing, read_entry, read_queue
from fltui.queue.folder import EntryFolder, QueueFolder
from tests.console.books import Book
from tests.console.pilots import AnyPilot, settled, until
from tests.jobs import HELLO
from tests.queue.made import RUN, put_entry, queue_in


def _console(folder: Path) -> ConsoleApp:
    return ConsoleApp(Places(folder / "runs", folder / "exchange", [HELLO], folder / "queue"))


def _site(folder: Path, name: str) -> None:
    site = ExchangeFolder(folder / "exchange").site(name)
    site.root.mkdir(parents=True)
    site.status.write_bytes(encode(Status(PROTOCOL, name, "waiting", 1, "s")))


async def _service(pilot: AnyPilot, shown: int = 1) -> Service:
    """The queue and the sites, once so many of the two tables are shown."""
    screen = pilot.app.screen
    await until(pilot, lambda: bool(screen.query(Service)) and screen.query_one("#jobs", Table).row_count == 1)
    service = screen.query_one(Service)
    await until(pilot, lambda: len(service.tables) == shown)
    return service


@pytest.fixture
def queue(tmp_path: Path) -> QueueFolder:
    return queue_in(tmp_path)


async def _to_queue(pilot: AnyPilot) -> Service:
    service = await _service(pilot)
    await pilot.press("tab", "tab")
    await until(pilot, lambda: service.queue.has_focus)
    return service


async def test_without_queue_and_sites_home_is_as_it_was(tmp_path: Path) -> None:
    async with _console(tmp_path).run_test() as pilot:
        await until(pilot, lambda: pilot.app.screen.query_one("#jobs", Table).row_count == 1)
        await settled(pilot)
        assert not pilot.app.screen.query(Service)
        assert len(pilot.app.screen.query(Table)) == 2
        await pilot.press("u")
        assert isinstance(pilot.app.screen, HomeScreen)


async def test_sites_are_shown_where_there_is_no_queue(tmp_path: Path) -> None:
    _site(tmp_path, "site-1")
    async with _console(tmp_path).run_test() as pilot:
        service = await _service(pilot)
        queued, sites = service.queue, service.sites
        assert (queued.display, sites.display, sites.row_count) == (False, True, 1)
        await pilot.press("tab", "tab")
        assert sites.has_focus
        await pilot.press("tab")
        assert pilot.app.screen.query_one("#jobs").has_focus


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_tab_reaches_every_list_also_on_a_small_screen(
    tmp_path: Path, queue: QueueFolder, size: tuple[int, int]
) -> None:
    put_entry(queue, "a")
    _site(tmp_path, "site-1")
    async with _console(tmp_path).run_test(size=size) as pilot:
        service = await _service(pilot, shown=2)
        seen = []
        for _ in range(5):
            focused = pilot.app.screen.focused
            assert focused is not None
            assert focused.region.area > 0
            seen.append(focused.id)
            await pilot.press("tab")
            await pilot.pause()
        assert seen == ["jobs", "runs", "queue", "sites", "jobs"]
        await pilot.press("shift+tab", "shift+tab")
        assert service.sites.has_focus
        assert (service.region.height > 0) is True


async def test_an_entry_is_aborted_after_a_question(tmp_path: Path, queue: QueueFolder) -> None:
    folder = put_entry(queue, "a")
    async with _console(tmp_path).run_test() as pilot:
        service = await _to_queue(pilot)
        await pilot.press("a")
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("enter")  # the first answer lets it be
        await settled(pilot)
        assert read_entry(folder).standing is Standing.WAITING
        await pilot.press("a", "right", "enter")
        await settled(pilot)
        entry = read_entry(folder)
        assert (entry.standing, entry.reason) == (Standing.OVER, "before it began: asked for in the console")
        await until(pilot, lambda: "0 waiting" in str(service.queue.border_title))


async def test_an_entry_is_cloned_and_deleted(tmp_path: Path, queue: QueueFolder) -> None:
    folder = put_entry(queue, "a", end=EntryEnd(state="FINISHED:FAILED", reason="no disk"))
    async with _console(tmp_path).run_test() as pilot:
        service = await _to_queue(pilot)
        await pilot.press("c", "right", "enter")
        await until(pilot, lambda: service.queue.row_count == 2)
        clone = next(entry for entry in read_queue(queue).entries if entry.id != "a")
        assert (clone.about.clone_of, clone.standing) == ("a", Standing.WAITING)
        assert service.queue.cursor_key == "a"
        await pilot.press("d", "right", "enter")
        await until(pilot, lambda: service.queue.row_count == 1)
        assert not folder.root.exists()


async def test_what_runs_is_not_deleted_and_what_is_over_not_aborted(tmp_path: Path, queue: QueueFolder) -> None:
    put_entry(queue, "a", claim=Claim(run=RUN, runs=str(tmp_path / "runs")))
    put_entry(queue, "b", end=EntryEnd(state="FINISHED:COMPLETED"))
    async with _console(tmp_path).run_test() as pilot:
        await _to_queue(pilot)
        await pilot.press("d")
        assert isinstance(pilot.app.screen, HomeScreen)
        await pilot.press("down", "a")
        assert isinstance(pilot.app.screen, HomeScreen)


async def test_enter_opens_the_run_of_an_entry(tmp_path: Path, queue: QueueFolder) -> None:
    put_entry(queue, "a", claim=Claim(run=RUN, runs=str(tmp_path / "runs")))
    Book(tmp_path / "runs", RUN).start()
    async with _console(tmp_path).run_test() as pilot:
        await _to_queue(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))


async def test_the_highlighted_job_is_submitted_for_a_group(tmp_path: Path, queue: QueueFolder) -> None:
    queue.groups.write_text(json.dumps({"both": ["site-0", "site-1"]}))
    async with _console(tmp_path).run_test() as pilot:
        service = await _service(pilot)
        await pilot.press("u")
        labels = [str(button.label) for button in pilot.app.screen.query(Button)]
        assert labels == ["Submit", "For both"]
        assert any("until it has its turn" in str(text.render()) for text in pilot.app.screen.query(Static))
        await pilot.press("right", "enter")
        await until(pilot, lambda: service.queue.row_count == 1)
    (entry,) = read_queue(queue).entries
    assert (entry.about.job, entry.about.wishes.groups) == ("hello-fedavg-numpy", ["both"])


async def test_names_in_the_queue_act_on_nothing(tmp_path: Path, queue: QueueFolder) -> None:
    (queue.root / "x\x1b]0;title\x07[@click=app.quit]y").mkdir()
    async with _console(tmp_path).run_test(size=(120, 36)) as pilot:
        service = await _service(pilot)
        await until(pilot, lambda: service.queue.row_count == 1 and service.queue.size.width > 0)
        text = "".join(segment.text for segment in service.queue.render_line(1))
        assert "\x1b" not in text
        assert "UNREADABLE" in text


async def test_a_queue_that_cannot_be_read_has_nothing_that_could_be_deleted(
    tmp_path: Path, queue: QueueFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: QueueFolder) -> list[EntryFolder]:
        raise BadInputError(f"queue {self.root} cannot be read: Permission denied")

    monkeypatch.setattr(QueueFolder, "entries", closed)
    async with _console(tmp_path).run_test() as pilot:
        service = await _to_queue(pilot)
        assert service.queue.row_count == 0
        assert "cannot be read: Permission denied" in service.queue.placeholder
        await pilot.press("d")
        assert isinstance(pilot.app.screen, HomeScreen)
    assert queue.root.is_dir()


async def test_an_exchange_that_hangs_holds_up_nothing_else(
    tmp_path: Path, queue: QueueFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = Event()

    def read(self: SiteList) -> list[SiteLine]:
        hangs.wait(30)
        return []

    monkeypatch.setattr(SiteList, "read", read)
    put_entry(queue, "a")
    try:
        async with _console(tmp_path).run_test() as pilot:
            service = await _to_queue(pilot)
            put_entry(queue, "b")
            await until(pilot, lambda: service.queue.row_count == 2)
            hangs.set()
    finally:
        hangs.set()
