"""The panel of the exchange folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from fltui.console.exchange.preview import Preview, preview
from fltui.console.exchange.tree import Kind, Node, Tree, Wanted, scan
from fltui.console.runs.view import RunView
from fltui.console.widgets import exchange as module
from fltui.console.widgets.exchange import ExchangePanel
from fltui.console.widgets.preview import PreviewView
from fltui.console.widgets.table import Table
from fltui.exchange.npy import write_array
from fltui.run.events import RunStarted
from fltui.run.folder import RunFolder
from fltui.run.state import apply
from tests.console.exchanges import OTHER, RUN, TASK, exchange

HOSTILE = "\x1b]52;c;aGk=\x07\x9b31m\u202e[@click=app.quit]x"


class ExchangeApp(App[None]):
    """One panel."""

    def __init__(self) -> None:
        super().__init__()
        self.panel = ExchangePanel()

    def compose(self) -> ComposeResult:
        yield self.panel

    @property
    def table(self) -> Table:
        return self.panel.query_one(Table)

    @property
    def preview(self) -> PreviewView:
        return self.panel.query_one(PreviewView)


def seen(root: Path, *sites: str) -> RunView:
    """A view of a run in this exchange folder."""
    view = RunView(RunFolder(Path("/runs") / RUN))
    view.state = apply(
        view.state,
        RunStarted(
            run=RUN,
            job="hello",
            workflow="FedAvg",
            sites=list(sites or ("site-1",)),
            start_round=0,
            total_rounds=3,
            exchange=str(root),
        ),
    )
    return view


def names(app: ExchangeApp) -> list[str]:
    """The first words of the lines in sight."""
    table = app.table
    lines = [table.render_line(y).text.strip() for y in range(1, table.size.height)]
    return [line.removeprefix("▾ ").removeprefix("▸ ").split("  ")[0] for line in lines if line]


def text_of(view: PreviewView) -> str:
    """What a preview shows."""
    return "\n".join(view.render_line(y).text.rstrip() for y in range(view.size.height)).rstrip()


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Let the app go on until something holds."""
    async with asyncio.timeout(20):
        while not holds():
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()


async def opened(app: ExchangeApp, pilot: Pilot[None], root: Path, *sites: str) -> ExchangePanel:
    """The panel, with the tree of `root`."""
    app.panel.show_run(seen(root, *sites))
    await until(pilot, lambda: app.table.row_count > 0)
    return app.panel


async def go_to(app: ExchangeApp, pilot: Pilot[None], *parts: str) -> None:
    """Put the cursor on a file and wait for its preview."""
    assert app.table.go_to_key("/".join(parts))
    await until(pilot, lambda: app.preview.preview.path == "/".join(parts))


async def test_before_the_run_the_folder_is_not_known(tmp_path: Path) -> None:
    app = ExchangeApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.panel.show_run(RunView(RunFolder(tmp_path)))
        await pilot.press("enter", "h", "o")
        await pilot.pause()
        assert app.table.render_line(0).text.strip() == "the exchange folder is not known yet"
        assert app.panel.copied() == ""


async def test_a_folder_that_is_not_here_is_one_sentence(tmp_path: Path) -> None:
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        app.panel.show_run(seen(tmp_path / "gone"))
        await until(pilot, lambda: "not here" in app.table.placeholder)
        assert app.table.row_count == 0


async def test_the_tree_shows_the_files_of_the_run(tmp_path: Path) -> None:
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, exchange(tmp_path))
        assert names(app) == [
            "site-1",
            "tasks",
            "…beef.r0000.train.a01",
            "…beef.r0000.train.a01.json",
            "results",
            "logs",
            "…beef.log",
            "status.json",
            "exchange.json",
        ]


async def test_enter_opens_and_closes_a_folder(tmp_path: Path) -> None:
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, exchange(tmp_path))
        await go_to(app, pilot, "site-1", "tasks", TASK)
        await pilot.press("enter")
        await until(pilot, lambda: "w.npy" in names(app))
        await pilot.press("enter")
        await until(pilot, lambda: "w.npy" not in names(app))


async def test_a_second_click_on_a_folder_opens_it(tmp_path: Path) -> None:
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, exchange(tmp_path))
        await pilot.click(app.table, offset=(8, 3))
        await pilot.click(app.table, offset=(8, 3))
        await until(pilot, lambda: "w.npy" in names(app))


async def test_h_closes_a_folder_or_goes_to_the_one_around(tmp_path: Path) -> None:
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        panel = await opened(app, pilot, exchange(tmp_path))
        await go_to(app, pilot, "site-1", "logs", f"{RUN}.log")
        await pilot.press("h")
        assert panel.copied() == str(tmp_path / "site-1" / "logs")
        await pilot.press("h")
        await until(pilot, lambda: "…beef.log" not in names(app))
        await pilot.press("h")
        assert panel.copied() == str(tmp_path / "site-1")


async def test_o_shows_and_hides_what_is_of_other_runs(tmp_path: Path) -> None:
    app = ExchangeApp()
    async with app.run_test(size=(160, 40)) as pilot:
        await opened(app, pilot, exchange(tmp_path))
        await pilot.press("o")
        await until(pilot, lambda: f"~ {OTHER}.log" in names(app))
        assert "…beef.log" in names(app)
        await pilot.press("o")
        await until(pilot, lambda: f"~ {OTHER}.log" not in names(app))


async def test_an_array_is_previewed_as_numbers(tmp_path: Path) -> None:
    root = exchange(tmp_path)
    path = root / "site-1" / "tasks" / TASK / "w.npy"
    write_array(path, "w", np.arange(4, dtype=np.float32).reshape(2, 2), file="w.npy")
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, root)
        await go_to(app, pilot, "site-1", "tasks", TASK)
        await pilot.press("enter")
        await until(pilot, lambda: "w.npy" in names(app))
        await pilot.press("down")
        await until(pilot, lambda: app.preview.preview.about.startswith("array"))
        assert text_of(app.preview).splitlines()[-2:] == [" 0  0.000  1.000", " 1  2.000  3.000"]


async def test_the_tree_and_the_preview_follow_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESCAN", 0.0)
    root = exchange(tmp_path)
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, root)
        log = root / "site-1" / "logs" / f"{RUN}.log"
        await go_to(app, pilot, "site-1", "logs", f"{RUN}.log")
        with log.open("a") as file:
            file.write("one line more\n")
        await until(pilot, lambda: "one line more" in app.preview.preview.lines)
        (root / "site-1" / "results" / f"{TASK}.json").write_text("{}")
        await until(pilot, lambda: names(app).count("…beef.r0000.train.a01.json") == 2)
        assert app.table.cursor_key == f"site-1/logs/{RUN}.log"
        log.unlink()
        await until(pilot, lambda: "…beef.log" not in names(app))
        assert app.table.cursor_key == "site-1/status.json"


async def test_events_of_the_file_system_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESCAN", 1000.0)
    root = exchange(tmp_path)
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, root)
        (root / "site-1" / "results" / f"{TASK}.json").write_text("{}")
        await until(pilot, lambda: names(app).count("…beef.r0000.train.a01.json") == 2)


async def test_a_panel_that_cannot_be_seen_does_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESCAN", 0.0)
    looked: list[Wanted] = []

    def counted(wanted: Wanted, is_cancelled: Callable[[], bool]) -> Tree:
        looked.append(wanted)
        return scan(wanted, is_cancelled)

    monkeypatch.setattr(module, "scan", counted)
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        app.panel.display = False
        await pilot.pause()
        app.panel.show_run(seen(exchange(tmp_path)))
        for _ in range(3):
            app.panel._look()
        assert looked == []
        app.panel.display = True
        await until(pilot, lambda: app.table.row_count > 0)
        assert looked


async def test_a_preview_that_comes_late_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, reached = threading.Event(), threading.Event()
    root = exchange(tmp_path)

    def slow(where: Path, node: Node) -> Preview:
        if node.parts[-1] == "tasks":
            reached.set()
            held.wait(20)
        return preview(where, node)

    monkeypatch.setattr(module, "preview", slow)
    app = ExchangeApp()
    shown: list[str] = []
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, root)
        await until(pilot, lambda: app.preview.preview.path == "site-1")
        app.table.go_to_key("site-1/tasks")
        while not reached.is_set():
            await pilot.pause()
        show = app.preview.show

        def noted(found: Preview) -> None:
            shown.append(found.path)
            show(found)

        monkeypatch.setattr(app.preview, "show", noted)
        app.table.go_to_key("site-1/status.json")
        app.table.go_to_key("exchange.json")
        await pilot.pause()
        held.set()
        await until(pilot, lambda: app.preview.preview.path == "exchange.json")
        assert shown == ["exchange.json"]


async def test_enter_on_a_file_goes_to_its_preview_and_back(tmp_path: Path) -> None:
    root = exchange(tmp_path)
    (root / "site-1" / "logs" / f"{RUN}.log").write_text("".join(f"line {number}\n" for number in range(100)))
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(app, pilot, root)
        await go_to(app, pilot, "site-1", "logs", f"{RUN}.log")
        await pilot.press("enter")
        found = [app.focused]
        await pilot.press("enter")
        found.append(app.focused)
        await pilot.press("enter", "h")
        await pilot.pause()
        assert [*found, app.focused] == [app.preview, app.table, app.table]


@pytest.mark.parametrize(
    ("keys", "top"),
    [
        ("up", "line 77"),
        ("k", "line 77"),
        ("pageup", "line 54"),
        ("home", "line 0"),
        ("home,down", "line 1"),
        ("home,j", "line 1"),
        ("home,pagedown", "line 24"),
        ("home,end", "line 78"),
    ],
)
async def test_keys_scroll_the_preview(tmp_path: Path, keys: str, top: str) -> None:
    root = exchange(tmp_path)
    (root / "site-1" / "logs" / f"{RUN}.log").write_text("".join(f"line {number}\n" for number in range(100)))
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        app.animation_level = "none"
        await opened(app, pilot, root)
        await go_to(app, pilot, "site-1", "logs", f"{RUN}.log")
        await pilot.press("enter")
        await pilot.pause()
        assert text_of(app.preview).splitlines()[2].strip() == "line 78"
        await pilot.press(*keys.split(","))
        await pilot.pause()
        assert text_of(app.preview).splitlines()[2].strip() == top


async def test_hostile_names_and_contents_stay_text(tmp_path: Path) -> None:
    root = exchange(tmp_path)
    (root / "site-1" / "logs" / f"{RUN}.log").unlink()
    (root / "site-1" / "logs" / f"{RUN}.{HOSTILE}.log").write_text(f"{HOSTILE}\n")
    app = ExchangeApp()
    async with app.run_test(size=(200, 24)) as pilot:
        panel = await opened(app, pilot, root)
        app.table.go_to_key(f"site-1/logs/{RUN}.{HOSTILE}.log")
        await until(pilot, lambda: app.preview.preview.about.startswith("text"))
        text = f"{names(app)} {text_of(app.preview)} {panel.copied()}"
        assert text.count("[@click=app.quit]x") == 4
        assert not set(text) & set("\x1b\x07\x9b\u202e")


async def test_a_link_out_of_the_exchange_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret text")
    root = exchange(tmp_path / "exchange")
    (root / "site-1" / "logs" / f"{RUN}.a.log").symlink_to(tmp_path / "secret")
    app = ExchangeApp()
    async with app.run_test(size=(160, 24)) as pilot:
        await opened(app, pilot, root)
        await go_to(app, pilot, "site-1", "logs", f"{RUN}.a.log")
        assert app.preview.preview.about == "symbolic link"
        assert "secret text" not in text_of(app.preview)


@pytest.mark.parametrize(
    ("size", "beside", "preview_is_shown"),
    [
        ((80, 24), False, True),
        ((120, 36), True, True),
        ((200, 60), True, True),
        ((80, 12), True, True),
        ((40, 8), False, False),
    ],
)
async def test_the_preview_stands_beside_the_tree_or_below_it(
    tmp_path: Path, size: tuple[int, int], beside: bool, preview_is_shown: bool
) -> None:
    app = ExchangeApp()
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot, exchange(tmp_path))
        await pilot.pause()
        assert (app.preview.region.x > 0) == beside
        assert app.preview.display == preview_is_shown
        await pilot.press("end", "enter")
        assert (app.focused is app.preview) == preview_is_shown


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (10, 4)])
async def test_no_size_is_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    app = ExchangeApp()
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot, exchange(tmp_path))
        await pilot.press("down", "down", "enter", "o", "h", "end")
        await pilot.resize_terminal(120, 36)
        await pilot.pause()
        assert app.table.row_count > 0


async def test_another_run_or_a_new_site_is_looked_for_and_the_same_is_not(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    exchange(first, "site-1", "site-2")
    exchange(second)
    app = ExchangeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        panel = await opened(app, pilot, first)
        assert "site-2" not in names(app)
        await go_to(app, pilot, "site-1", "logs")
        await pilot.press("enter")
        await until(pilot, lambda: "…beef.log" not in names(app))
        panel.show_run(seen(first, "site-1", "site-2"))
        await until(pilot, lambda: "site-2" in names(app))
        assert names(app).count("…beef.log") == 1  # what a person closed stays closed
        panel.show_run(seen(second))
        await until(pilot, lambda: "site-2" not in names(app))
        assert panel.copied().startswith(str(second))


async def test_what_cannot_be_opened_is_shown_and_can_be_tried_again(private_folder: Path) -> None:
    root = exchange(private_folder / "exchange")
    (root / "site-1" / "tasks").chmod(0)
    app = ExchangeApp()
    async with app.run_test(size=(120, 24)) as pilot:
        panel = await opened(app, pilot, root)
        await go_to(app, pilot, "site-1", "tasks")
        assert panel._node is not None
        assert panel._node.kind is Kind.UNREADABLE
        assert app.preview.preview.problem == "this folder cannot be opened by this user"
