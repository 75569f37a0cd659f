"""The panel of the rounds."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from fltui.console.runs.view import RunView
from fltui.console.widgets.rounds import RoundsPanel
from fltui.console.widgets.table import Table
from fltui.run.events import AnyEvent, RunStatus
from fltui.run.folder import RunFolder
from fltui.run.state import RoundState, RunState
from tests.console.evaluated import begun, evaluation, trained
from tests.run import journals


class RoundsApp(App[None]):
    """One panel."""

    def __init__(self) -> None:
        super().__init__()
        self.panel = RoundsPanel()
        self.chosen: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.panel

    def on_rounds_panel_chosen(self, event: RoundsPanel.Chosen) -> None:
        self.chosen.append(event.round)

    @property
    def table(self) -> Table:
        return self.panel.query_one(Table)


def seen(*events: AnyEvent) -> RunView:
    """A view of these events."""
    view = RunView(RunFolder(Path("/runs/hello")))
    more(view, *events)
    return view


def more(view: RunView, *events: AnyEvent) -> None:
    """Let more happen, a second apart."""
    for event in events:
        at = float(view.state.events)
        view.add(msgspec.structs.replace(event, monotonic=100 + at))


def rounds(first: int, end: int) -> list[AnyEvent]:
    """Finished rounds that both sites answered."""
    found: list[AnyEvent] = []
    for number in range(first, end):
        found += [
            journals.round_started(number),
            journals.accepted("site-1", number),
            journals.accepted("site-2", number),
            journals.round_finished(number),
        ]
    return found


def shown(app: RoundsApp) -> list[list[str]]:
    """The words of every line that holds any."""
    table = app.table
    return [words for y in range(table.size.height) if (words := table.render_line(y).text.split())]


async def test_before_the_first_round_there_is_a_sentence() -> None:
    app = RoundsApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.panel.show_run(seen(journals.started()))
        await pilot.press("enter")
        await pilot.pause()
        assert shown(app) == [["no", "round", "has", "begun", "yet"]]
        assert (app.panel.copied(), app.chosen) == ("", [])


async def test_a_finished_round_tells_who_answered_how_long_it_took_and_what_came_out() -> None:
    app = RoundsApp()
    async with app.run_test(size=(140, 10)) as pilot:
        app.panel.show_run(seen(journals.started(), *rounds(0, 1)))
        await pilot.pause()
        head, row = shown(app)
        titles = [
            "round",
            "sites",
            "rejected",
            "first",
            "last",
            "aggr",
            "total",
            "out",
            "in",
            "‖Δ‖",
            "accuracy",
            "model",
        ]
        assert head == titles
        assert " ".join(row) == "▸ 0 2/2 1.00 s 1.25 s 0.25 s 1.50 s 328 B 328 B 2.500 0.5000 bbbbbbbb"


async def test_a_running_round_tells_what_is_known_and_a_left_one_that_it_is() -> None:
    app = RoundsApp()
    async with app.run_test(size=(140, 10)) as pilot:
        view = seen(journals.started(), journals.round_started(), journals.rejected("site-1"))
        more(view, journals.accepted("site-2"))
        app.panel.show_run(view)
        await pilot.pause()
        assert " ".join(shown(app)[1]) == "▸ 0 1/2 ✗ 1 2.00 s ◐ running"
        more(view, journals.finished(RunStatus.FAILED, "no quorum"))
        app.panel.show_run(view)
        assert shown(app)[1][-1] == "unfinished"


async def test_what_a_round_is_how_many_counted_and_the_best_model_are_told() -> None:
    app = RoundsApp()
    async with app.run_test(size=(76, 16)) as pilot:
        app.panel.show_run(seen(*begun(), *trained(), *evaluation()))
        await pilot.pause()
        found = [row[:5] for row in shown(app)]
        assert found[:4] == [
            ["round", "task", "sites", "counted", "total"],
            ["★0", "train", "3/3", "1", "0.12"],
            ["1", "train", "3/3", "1", "0.12"],
            ["2", "submit_model", "3/3", "0.12", "s"],
        ]
        assert [row[1:3] for row in found[4:7]] == [["validate", f"site-{number}"] for number in range(3)]
        assert found[7][:4] == ["▸", "6", "validate", "3/3"]
        assert app.panel.border_subtitle == "★ best model entered round 0: accuracy 0.4 · ε 2.5 (δ 1e-05)"


async def test_what_is_said_of_the_highlighted_round_stands_below() -> None:
    app = RoundsApp()
    async with app.run_test(size=(100, 16)) as pilot:
        app.panel.show_run(seen(*begun(), *trained(), *evaluation()))
        await pilot.pause()
        said = app.panel.query_one(Static)
        assert not said.display
        await pilot.press("home")
        await pilot.pause()
        assert str(said.render()) == "round 0: ε 1.5 (δ 1e-05) spent by then"
        await pilot.press("down")
        await pilot.pause()
        gave = "site-2 gave no model, which is therefore not evaluated"
        assert str(said.render()) == f"round 1: {gave}; FedAvg is over: accuracy >= 0.4 holds"


async def test_enter_chooses_the_round_under_the_cursor() -> None:
    app = RoundsApp()
    async with app.run_test(size=(100, 10)) as pilot:
        app.panel.show_run(seen(journals.started(), *rounds(0, 3)))
        await pilot.press("home", "enter")
        await pilot.pause()
        assert app.chosen == [0]


async def test_one_click_chooses_a_round() -> None:
    app = RoundsApp()
    async with app.run_test(size=(100, 10)) as pilot:
        app.panel.show_run(seen(journals.started(), *rounds(0, 3)))
        await pilot.pause()
        await pilot.click(app.table, offset=(5, 2))
        await pilot.pause()
        assert app.chosen == [1]


async def test_the_shown_round_is_marked_and_has_the_cursor() -> None:
    app = RoundsApp()
    async with app.run_test(size=(100, 10)) as pilot:
        view = seen(journals.started(), *rounds(0, 4))
        app.panel.show_run(view)
        view.chosen = 1
        app.panel.show_run(view)
        await pilot.pause()
        assert [row[0] for row in shown(app)[1:]] == ["0", "▸", "2", "3"]
        assert app.table.cursor_key == "1"
        view.chosen = None
        app.panel.show_run(view)
        assert app.table.cursor_key == "3"


async def test_the_cursor_follows_new_rounds_only_from_the_end() -> None:
    app = RoundsApp()
    async with app.run_test(size=(100, 6)) as pilot:
        view = seen(journals.started(), *rounds(0, 20))
        app.panel.show_run(view)
        await pilot.pause()
        more(view, *rounds(20, 30))
        app.panel.show_run(view)
        await pilot.pause()
        assert (app.table.cursor_key, shown(app)[-1][:2]) == ("29", ["▸", "29"])
        await pilot.press("up", "up")
        more(view, *rounds(30, 40))
        app.panel.show_run(view)
        await pilot.pause()
        assert app.table.cursor_key == "27"


async def test_the_whole_digest_of_the_highlighted_model_is_copied() -> None:
    app = RoundsApp()
    async with app.run_test(size=(100, 10)) as pilot:
        app.panel.show_run(seen(journals.started(), *rounds(0, 1), journals.round_started(1)))
        await pilot.pause()
        assert app.panel.copied() == "a" * 64
        await pilot.press("home")
        assert app.panel.copied() == "b" * 64


async def test_a_run_that_begins_anew_takes_the_place_of_what_was_shown() -> None:
    app = RoundsApp()
    async with app.run_test(size=(100, 10)) as pilot:
        view = seen(journals.started(), *rounds(0, 5))
        app.panel.show_run(view)
        view.state = RunState()
        more(view, journals.started(), *rounds(3, 5))
        app.panel.show_run(view)
        await pilot.pause()
        assert [row[0] for row in shown(app)[1:]] == ["3", "▸"]


async def test_ten_thousand_rounds_are_shown_and_updated_at_once() -> None:
    app = RoundsApp()
    view = seen(journals.started(), *rounds(0, 1))
    whole = view.state.rounds[0]
    for number in range(1, 10_000):
        begun = msgspec.structs.replace(whole.started, round=number)
        view.state.rounds[number] = RoundState(begun, accepted=whole.accepted, finished=whole.finished)
    async with app.run_test(size=(100, 30)) as pilot:
        app.panel.show_run(view)
        await pilot.pause()
        begun_at = time.process_time()
        for number in range(10_000, 10_020):
            more(view, *rounds(number, number + 1))
            app.panel.show_run(view)
        assert time.process_time() - begun_at < 2.0
        assert (app.table.row_count, app.table.cursor_key) == (10_020, "10019")


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (72, ["round", "sites", "rejected", "first", "total", "‖Δ‖", "accuracy"]),
        (45, ["round", "sites", "total", "accuracy"]),
        (30, ["round", "sites", "total"]),
    ],
)
async def test_columns_that_matter_least_go_first(width: int, titles: list[str]) -> None:
    app = RoundsApp()
    async with app.run_test(size=(width, 10)) as pilot:
        app.panel.show_run(seen(journals.started(), *rounds(0, 2)))
        await pilot.pause()
        assert shown(app)[0] == titles


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
async def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    app = RoundsApp()
    async with app.run_test(size=size) as pilot:
        app.panel.show_run(seen(journals.started(), *rounds(0, 9)))
        await pilot.press("up", "pageup", "end")
        await pilot.pause()
        assert app.table.cursor_key == "8"
