"""The help screen and the command palette: every key is told of, from the table that makes it work."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.dom import DOMNode
from textual.widgets import Static

from fltui.console.config import Config
from fltui.console.keys import AREAS, all_bindings, binding_ids, keys_of
from fltui.console.screens.help import HelpScreen
from fltui.console.widgets.service import QueueTable
from tests.console.books import hello
from tests.console.evaluated import evaluated_book
from tests.console.pilots import console, event_count, followed, settled, until
from tests.queue.made import queue_in

MODAL = ("question", "help", "job", "chooser")
"""Areas of screens that show their keys in a footer or on buttons of their own."""


def _console_kinds() -> Iterator[type[DOMNode]]:
    kinds: list[type[DOMNode]] = [DOMNode]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("fltui.console"):
            yield kind


def _own_bindings() -> list[Binding]:
    found = [binding for kind in _console_kinds() for binding in vars(kind).get("BINDINGS", ())]
    assert len(found) > 40
    return found


def test_every_binding_has_an_id_of_its_own_a_description_and_an_area() -> None:
    found = _own_bindings()
    for binding in found:
        assert isinstance(binding, Binding)
        assert binding.id
        assert binding.description
        assert binding.id.partition(".")[0] in {*AREAS, *MODAL}
    ids = [binding.id for binding in found]
    assert len(ids) == len(set(ids))
    assert set(ids) == binding_ids()


def test_no_key_is_handled_outside_the_tables() -> None:
    for kind in _console_kinds():
        handlers = [name for name in vars(kind) if name in ("on_key", "_on_key") or name.startswith("key_")]
        assert not handlers, f"{kind.__name__} handles keys in {handlers}"


async def test_every_binding_of_both_screens_is_in_help(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    told: set[str] = set()
    app = console(tmp_path)
    app.places = replace(app.places, queue=queue_in(tmp_path).root)
    async with app.run_test() as pilot:
        await until(pilot, lambda: any(table.display for table in pilot.app.screen.query(QueueTable)))
        told |= {key.binding.id or "" for key in keys_of(pilot.app.screen)}
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        await followed(pilot, event_count(book.folder))
        told |= {key.binding.id or "" for key in keys_of(pilot.app.screen)}
    crossed = evaluated_book(tmp_path / "other")
    async with console(tmp_path, crossed.folder).run_test(size=(120, 36)) as pilot:
        await followed(pilot, event_count(crossed.folder))
        await pilot.press("x")
        told |= {key.binding.id or "" for key in keys_of(pilot.app.screen)}
    assert told == {name for name in binding_ids() if name.partition(".")[0] not in MODAL}


async def test_question_mark_shows_the_keys_and_closes_them(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    async with console(tmp_path, book.folder).run_test(size=(120, 60)) as pilot:
        screen = await followed(pilot, event_count(book.folder))
        for close in ("question_mark", "escape", "q"):
            await pilot.press("question_mark")
            assert isinstance(pilot.app.screen, HelpScreen)
            text = str(pilot.app.screen.query_one(Static).render())
            for area in ("Everywhere", "Run", "Weights", "Log", "Exchange"):
                assert area in text
            for key in keys_of(screen):
                assert (key.binding.tooltip or key.binding.description) in text
            await pilot.press(close)
            assert pilot.app.screen_stack[-1] is screen


async def test_every_command_is_in_the_palette_and_runs(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    async with console(tmp_path, book.folder).run_test(size=(120, 36)) as pilot:
        screen = await followed(pilot, event_count(book.folder))
        commands = {command.title: command for command in pilot.app.get_system_commands(screen)}
        assert {"Theme", "Run: Weights", "Run: Round before", "Everywhere: Quit"} <= commands.keys()
        found = commands["Run: Round before"].callback()
        if inspect.isawaitable(found):
            await found
        assert screen.view.chosen == 1


async def test_the_palette_opens(tmp_path: Path) -> None:
    async with console(tmp_path).run_test() as pilot:
        await pilot.press("ctrl+p")
        assert isinstance(pilot.app.screen, CommandPalette)


async def test_own_keys_replace_and_are_told_of(tmp_path: Path) -> None:
    config = Config(keys={"app.help": "h", "app.quit": "x,ctrl+x"})
    async with console(tmp_path, config=config).run_test() as pilot:
        await pilot.press("question_mark")
        assert not isinstance(pilot.app.screen, HelpScreen)
        await pilot.press("h")
        assert isinstance(pilot.app.screen, HelpScreen)
        text = str(pilot.app.screen.query_one(Static).render())
        assert "x ^x  Quit" in text
        await pilot.press("escape", "x")
        await pilot.pause()
        assert pilot.app.return_code == 0


async def test_q_leaves(tmp_path: Path) -> None:
    async with console(tmp_path).run_test() as pilot:
        await pilot.press("q")
        await pilot.pause()
        assert pilot.app.return_code == 0


async def test_e_saves_the_screen_as_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(tmp_path).run_test() as pilot:
        await pilot.press("e")
        await settled(pilot)
    (picture,) = tmp_path.glob("*.svg")
    assert "<svg" in picture.read_text()


def test_areas_name_what_there_is() -> None:
    used = {name.partition(".")[0] for name in binding_ids()}
    assert used == {*AREAS, *MODAL}


def test_the_page_of_keys_is_that_of_the_tables() -> None:
    page = (Path(__file__).parent.parent.parent.parent / "docs" / "keys.md").read_text(encoding="utf-8")
    for binding in all_bindings():
        assert f"| `{binding.id}` | `{binding.key}` | {binding.tooltip or binding.description} |" in page
    assert page.count("\n| `") == len(all_bindings())
