"""The Metrics panel."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown
from textual.pilot import Pilot

from fltui.console.runs.series import MOST_METRICS
from fltui.console.runs.view import RunView
from fltui.console.safe import safe
from fltui.console.widgets.metrics import EMPTY, MetricsPanel, PlotGrid
from fltui.run.events import AnyEvent, MetricLogged, ResultAccepted, RoundFinished
from fltui.run.folder import RunFolder
from fltui.run.state import apply
from tests.run.journals import accepted, round_finished, round_started, started, whole_run

HOSTILE = "\x1b]0;x\x07\x1b]52;c;aGk=\x07\x9b2J\u202eevil[@click=app.quit]x[/]"


class Shown(App[None]):
    """The panel alone."""

    def compose(self) -> ComposeResult:
        """The panel."""
        yield MetricsPanel()


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw again at once."""
    monkeypatch.setattr(PlotGrid, "PAUSE", 0.001)


def view_of(*events: AnyEvent) -> RunView:
    """A run after `events`."""
    view = RunView(RunFolder(Path("/runs/hello")))
    take(view, events)
    return view


def take(view: RunView, events: Iterable[AnyEvent]) -> None:
    """Go on."""
    for event in events:
        view.state = apply(view.state, event)
        view.series.add(event)


def finished(number: int, **metrics: float) -> RoundFinished:
    """A round's end with metrics."""
    values = {name: getattr(round_finished(number), name) for name in RoundFinished.__struct_fields__}
    return RoundFinished(**{**values, "weights": {}, "metrics": metrics})


def result(site: str, number: int, **metrics: float) -> ResultAccepted:
    """A result with metrics."""
    values = {name: getattr(accepted(site, number), name) for name in ResultAccepted.__struct_fields__}
    return ResultAccepted(**{**values, "metrics": metrics})


def rounds(count: int, *names: str) -> list[AnyEvent]:
    """Rounds that give these metrics, two sites answering."""
    found: list[AnyEvent] = [started()]
    for number in range(count):
        found.append(round_started(number))
        for shift, site in ((-0.125, "site-1"), (0.125, "site-2")):
            found.append(result(site, number, **dict.fromkeys(names, number + shift)))
        found.append(finished(number, **dict.fromkeys(names, float(number))))
    return found


async def settled(pilot: Pilot[None]) -> None:
    """Until nothing is being drawn any more."""
    grid = pilot.app.query_one(PlotGrid)
    await pilot.pause()
    while grid.is_drawing:
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def show(pilot: Pilot[None], view: RunView) -> list[str]:
    """Show a run; the lines of the panel."""
    pilot.app.query_one(MetricsPanel).show_run(view)
    await settled(pilot)
    return lines(pilot)


def lines(pilot: Pilot[None]) -> list[str]:
    """What the panel shows."""
    grid = pilot.app.query_one(PlotGrid)
    return [grid.render_line(y).text.rstrip() for y in range(grid.size.height)]


async def test_without_metrics_it_says_how_they_come() -> None:
    async with Shown().run_test(size=(90, 10)) as pilot:
        shown = await show(pilot, view_of(started()))
        assert shown == [EMPTY, *[""] * 9]
        await pilot.resize_terminal(30, 10)
        assert " ".join(lines(pilot)).split() == EMPTY.split()


async def test_a_metric_has_a_title_a_legend_and_a_plot() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        shown = await show(pilot, view_of(*rounds(3, "accuracy")))
        assert shown[0] == "accuracy 2 · round 2"
        assert shown[1] == "━ global  ○ site-1  △ site-2"
        assert shown[18].startswith("      └┬")
        assert shown[19].split() == ["0", "1", "2"]
        assert any("●" in line for line in shown)


async def test_the_chosen_round_is_told_and_marked() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        view = view_of(*rounds(3, "accuracy"))
        before = await show(pilot, view)
        view.chosen = 1
        shown = await show(pilot, view)
        assert shown[0] == "accuracy 1 · round 1"
        assert sum("│" in line[7:] for line in before) == 0
        assert sum("│" in line[7:] for line in shown) > 10
        view.chosen = 7
        assert (await show(pilot, view))[0] == "accuracy - · round 7"


async def test_values_that_only_sites_have_are_told_as_a_range() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        view = view_of(started(), round_started(), result("site-1", 0, loss=0.25))
        assert (await show(pilot, view))[0] == "loss 0.25 · round 0"
        take(view, [result("site-2", 0, loss=1 / 3)])
        assert (await show(pilot, view))[0] == "loss 0.25 to 0.3333 · round 0"
        assert lines(pilot)[1] == "○ site-1  △ site-2"


async def test_what_scripts_log_is_plotted_by_step() -> None:
    logged = [MetricLogged(site="site-2", key="loss", value=3.0 - step, round=0, step=step * 10) for step in range(3)]
    async with Shown().run_test(size=(80, 20)) as pilot:
        shown = await show(pilot, view_of(started(), *logged))
        assert shown[:2] == ["loss 1 · step 20", "△ site-2"]
        assert shown[19].split() == ["0", "5", "10", "15", "20"]


async def test_it_follows_the_run() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        view = view_of(*rounds(1, "accuracy"))
        before = await show(pilot, view)
        take(view, rounds(4, "accuracy")[5:])
        shown = await show(pilot, view)
        assert (before[0], shown[0]) == ("accuracy 0 · round 0", "accuracy 3 · round 3")
        assert before[19].split() == ["0"]
        assert shown[19].split() == ["0", "1", "2", "3"]


async def test_a_value_that_came_while_others_were_drawn_is_drawn_too() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        view = view_of(*rounds(1, "accuracy"))
        panel = pilot.app.query_one(MetricsPanel)
        panel.show_run(view)
        take(view, rounds(3, "accuracy")[5:])
        panel.show_run(view)
        await settled(pilot)
        assert lines(pilot)[19].split() == ["0", "1", "2"]


async def test_what_did_not_change_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Shown().run_test(size=(80, 40)) as pilot:
        view = view_of(*rounds(2, "accuracy", "loss"))
        await show(pilot, view)
        drawn: list[str] = []
        handle = PlotGrid.on_plot_grid_drawn

        def note(grid: PlotGrid, event: PlotGrid.Drawn) -> None:
            drawn.extend(tile.metric for tile, _, _ in event.plots)
            handle(grid, event)

        monkeypatch.setattr(PlotGrid, "on_plot_grid_drawn", note)
        take(view, [round_started(2), result("site-1", 2, loss=9.0)])
        await show(pilot, view)
        await show(pilot, view)
        assert drawn == ["loss"]


async def test_a_run_that_starts_anew_is_shown_anew() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        await show(pilot, view_of(*rounds(3, "accuracy")))
        assert (await show(pilot, view_of(*rounds(2, "loss"))))[0] == "loss 1 · round 1"
        assert (await show(pilot, view_of()))[0] == EMPTY


@pytest.mark.parametrize(
    ("size", "count", "columns"),
    [((80, 20), 1, 1), ((80, 28), 2, 1), ((80, 20), 4, 2), ((60, 60), 9, 1), ((200, 60), 6, 2), ((200, 60), 30, 3)],
)
async def test_plots_are_tiled_as_there_is_room(size: tuple[int, int], count: int, columns: int) -> None:
    names = [f"metric{number}" for number in range(count)]
    async with Shown().run_test(size=size) as pilot:
        shown = await show(pilot, view_of(*rounds(2, *names)))
        assert sum(name in shown[0].split() for name in names) == columns


async def test_more_sites_than_lines_are_told_as_a_band() -> None:
    sites = [f"site-{number}" for number in range(40)]
    events = [result(site, number, loss=float(number)) for number in range(2) for site in sites]
    both: list[AnyEvent] = [started(), round_started(0), *events[:40], round_started(1), *events[40:]]
    async with Shown().run_test(size=(80, 20)) as pilot:
        assert (await show(pilot, view_of(*both)))[1] == "⣿ lowest to highest of 40 sites"


async def test_a_legend_that_does_not_fit_says_how_many_are_missing() -> None:
    names = [f"a-site-with-a-long-name-{number}" for number in range(5)]
    events = [result(name, 0, loss=1.0) for name in names]
    async with Shown().run_test(size=(60, 20)) as pilot:
        shown = await show(pilot, view_of(started(), round_started(), *events))
        assert shown[1].count("a-site") == 2
        assert shown[1].endswith(" +3")


async def test_a_long_name_is_cut_and_the_round_left_out() -> None:
    async with Shown().run_test(size=(30, 20)) as pilot:
        shown = await show(pilot, view_of(*rounds(2, "a" * 50)))
        assert shown[0] == "a" * 25 + "… 1"


async def test_values_that_are_not_finite_do_no_harm() -> None:
    events: list[AnyEvent] = [
        started(),
        round_started(0),
        finished(0, loss=math.nan),
        round_started(1),
        finished(1, loss=math.inf),
    ]
    async with Shown().run_test(size=(80, 20)) as pilot:
        shown = await show(pilot, view_of(*events))
        assert shown[0] == "loss inf · round 1"
        assert "no finite value" in shown[2]
        view = view_of(*events[:3])
        await show(pilot, view)
        assert not pilot.app.query_one(PlotGrid).is_drawing


async def test_hostile_names_are_shown_as_they_are() -> None:
    name, site = safe(HOSTILE), safe(f"site{HOSTILE}")
    async with Shown().run_test(size=(120, 20)) as pilot:
        shown = await show(pilot, view_of(started(), round_started(), result(site, 0, **{name: 1.0})))
        assert shown[0] == f"{name} 1 · round 0"
        assert "[@click=app.quit]x[/]" in shown[1]
        await pilot.click(PlotGrid, offset=(60, 0))
        assert pilot.app.is_running
        strips = [pilot.app.query_one(PlotGrid).render_line(y) for y in range(20)]
        assert all(segment.style is None or not segment.style.meta for strip in strips for segment in strip)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (20, 4), (34, 9), (33, 100), (300, 2)])
async def test_any_size_will_do(size: tuple[int, int]) -> None:
    async with Shown().run_test(size=(80, 24)) as pilot:
        await show(pilot, view_of(*rounds(3, "accuracy", "loss", "auc")))
        await pilot.resize_terminal(*size)
        await settled(pilot)
        grid = pilot.app.query_one(PlotGrid)
        assert {grid.render_line(y).cell_length for y in range(grid.size.height)} <= {grid.size.width}


def title(pilot: Pilot[None]) -> str:
    """The first metric in sight."""
    return next(line for line in lines(pilot) if line.startswith("metric")).split()[0]


@pytest.fixture
def many() -> RunView:
    """More metrics than there is room for."""
    return view_of(*rounds(2, *(f"metric{number}" for number in range(9))))


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        (["down"] * 9, 9),
        (["j"] * 9, 9),
        (["down", "down", "up"], 1),
        (["j", "j", "k"], 1),
        (["pagedown"], 18),
        (["pagedown", "pageup"], 0),
        (["end"], 9 * 9 - 1 - 18),
        (["end", "home"], 0),
    ],
)
async def test_keys_scroll(many: RunView, keys: list[str], first: int) -> None:
    app = Shown()
    app.animation_level = "none"
    async with app.run_test(size=(40, 18)) as pilot:
        await show(pilot, many)
        pilot.app.query_one(PlotGrid).focus()
        await pilot.press(*keys)
        await settled(pilot)
        assert pilot.app.query_one(PlotGrid).scroll_offset.y == first


async def test_a_plot_that_comes_into_sight_is_drawn(many: RunView) -> None:
    app = Shown()
    app.animation_level = "none"
    async with app.run_test(size=(40, 18)) as pilot:
        await show(pilot, many)
        pilot.app.query_one(PlotGrid).focus()
        await pilot.press("end")
        await settled(pilot)
        assert "metric8 1 · round 1" in lines(pilot)
        assert "└┬" in lines(pilot)[-2]


async def test_the_wheel_scrolls(many: RunView) -> None:
    app = Shown()
    app.animation_level = "none"
    async with app.run_test(size=(40, 18)) as pilot:
        await show(pilot, many)
        grid = pilot.app.query_one(PlotGrid)
        grid.post_message(MouseScrollDown(grid, 5, 5, 0, 1, 0, False, False, False))
        await settled(pilot)
        assert grid.scroll_offset.y > 0


def test_every_key_has_an_id_and_a_description() -> None:
    bindings = [binding for binding in PlotGrid.BINDINGS if not isinstance(binding, tuple)]
    ids = [binding.id for binding in bindings]
    assert len(set(ids)) == len(PlotGrid.BINDINGS)
    assert all(name and name.startswith("metrics.") for name in ids)
    assert all(binding.description for binding in bindings)


async def test_no_key_of_the_run_screen_is_taken() -> None:
    async with Shown().run_test() as pilot:
        taken = set(pilot.app.query_one(PlotGrid)._bindings.key_to_bindings)
        assert not taken & {"left", "right", "space", "enter", "escape", "tab", "a", "l", "y", "plus", "minus"}


async def test_the_values_are_copied() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        panel = pilot.app.query_one(MetricsPanel)
        assert panel.copied() == ""
        await show(pilot, view_of(started()))
        assert panel.copied() == "/runs/hello/metrics.csv"
        view = view_of(*rounds(2, "accuracy", "loss"), finished(1, accuracy=2 / 3, loss=1.0))
        await show(pilot, view)
        assert panel.copied() == "accuracy 0.666667\nloss 1"
        view.chosen = 0
        await show(pilot, view)
        assert panel.copied() == "accuracy 0\nloss 0"


@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark", "nord"])
async def test_it_takes_the_colours_of_the_theme(theme: str) -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        await show(pilot, view_of(*whole_run()))
        grid = pilot.app.query_one(PlotGrid)
        before = grid.render_line(0)
        pilot.app.theme = theme
        await pilot.pause()
        after = grid.render_line(0)
        assert after.text == before.text
        assert [segment.style for segment in after] != [segment.style for segment in before]


async def test_leaving_while_plots_are_drawn_does_no_harm() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        pilot.app.query_one(MetricsPanel).show_run(view_of(*rounds(3, "accuracy")))
        await pilot.app.query_one(MetricsPanel).remove()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def test_what_is_left_out_is_told() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        panel = pilot.app.query_one(MetricsPanel)
        names = [f"m{number}" for number in range(MOST_METRICS + 2)]
        await show(pilot, view_of(*rounds(1, *names)))
        assert panel.border_subtitle == "the first 200 metrics are shown, not 6 values of others"
        await show(pilot, view_of(*rounds(1, "accuracy")))
        assert not panel.border_subtitle


async def test_any_number_of_metrics_costs_little() -> None:
    async with Shown().run_test(size=(80, 20)) as pilot:
        flood = dict.fromkeys([f"m{number}" for number in range(100_000)], 0.5)
        view = view_of(started(), round_started(), result("site-1", 0, **flood))
        await show(pilot, view)
        begun_at = time.process_time()
        for number in range(20):
            take(view, [result("site-1", 0, m0=float(number))])
            pilot.app.query_one(MetricsPanel).show_run(view)
        assert time.process_time() - begun_at < 0.5
