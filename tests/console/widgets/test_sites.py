"""The panel of the sites."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.widgets import Static

from fltui.console.pace import LONGEST
from fltui.console.runs.view import RunView
from fltui.console.safe import safe_struct
from fltui.console.widgets.sites import SitesPanel, line_of
from fltui.console.widgets.table import Table
from fltui.run.events import AnyEvent, ModelSaved, RoundStarted, RunStatus, SiteJoined, SiteLost
from fltui.run.folder import RunFolder
from fltui.run.state import apply
from tests.run import journals

HOSTILE = "\x1b]52;c;aGk=\x07 \x9b31m \u202e [@click=app.quit]x[/]"


class SitesApp(App[None]):
    """One panel."""

    def __init__(self) -> None:
        super().__init__()
        self.panel = SitesPanel()

    def compose(self) -> ComposeResult:
        yield self.panel


def seen(*events: AnyEvent) -> RunView:
    """A view of these events, a second apart."""
    view = RunView(RunFolder(Path("/runs/hello")))
    more(view, *events)
    return view


def more(view: RunView, *events: AnyEvent) -> None:
    """Let more happen."""
    for event in events:
        at = float(view.state.events)
        found = safe_struct(msgspec.structs.replace(event, time=1000 + at, monotonic=100 + at))
        view.state = apply(view.state, found)
        view.series.add(found)


def begun() -> list[AnyEvent]:
    """Both sites are asked in round 0."""
    return journals.whole_run()[:7]


def shown(panel: SitesPanel) -> list[str]:
    """The lines of its table that hold anything."""
    table = panel.query_one(Table)
    return [line for y in range(table.size.height) if (line := table.render_line(y).text.rstrip())]


def states(view: RunView) -> list[tuple[str, str]]:
    """Glyph and word of both sites."""
    return [(line.glyph, line.word) for line in (line_of(view, name) for name in ("site-1", "site-2"))]


async def test_before_the_run_there_is_a_sentence() -> None:
    app = SitesApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.panel.show_run(seen())
        await pilot.pause()
        assert shown(app.panel) == [" no sites yet"]
        assert (app.panel.site, app.panel.copied()) == ("", "")


async def test_a_row_tells_state_round_time_metric_and_results() -> None:
    app = SitesApp()
    async with app.run_test(size=(70, 10)) as pilot:
        view = seen(*begun(), journals.accepted("site-1"))
        app.panel.show_run(view)
        await pilot.pause()
        head, first, second = shown(app.panel)
        assert head.split() == ["site", "state", "round", "time", "accuracy", "results"]
        assert first.split() == ["✓", "site-1", "sent", "0", "3.00", "s", "0.5000", "1"]
        assert second.split() == ["◐", "site-2", "training", "0", "3.00", "s", "0"]


def test_every_state_has_a_glyph_and_a_word_of_its_own() -> None:
    found = [
        *states(seen(journals.started())),
        *states(seen(journals.started(), SiteJoined(site="site-1"))),
        *states(seen(*begun(), journals.accepted("site-1"))),
        *states(seen(*begun(), journals.rejected("site-1"), SiteLost(site="site-2", reason="gone"))),
    ]
    words = {word for _, word in found}
    assert words == {"expected", "ready", "sent", "training", "rejected", "lost"}
    assert len({glyph for glyph, _ in found}) == len(words)
    assert all(cell_len(glyph) == 1 for glyph, _ in found)


def test_a_site_that_trained_when_the_run_ended_gave_no_answer() -> None:
    view = seen(*begun(), journals.finished(RunStatus.ABORTED))
    assert states(view) == [("◌", "no answer"), ("◌", "no answer")]


def test_a_site_that_a_person_dropped_is_said_to_be_dropped() -> None:
    view = seen(*begun(), SiteLost(site="site-1", reason="asked for in the console", dropped=True))
    assert states(view)[0] == ("⊘", "dropped")


def test_a_past_round_is_shown_as_it_was() -> None:
    first = [
        *begun(),
        journals.accepted("site-1"),
        journals.rejected("site-2"),
        journals.round_finished(sites=["site-1"]),
    ]
    view = seen(*first, journals.round_started(1), journals.asked("site-1", 1), journals.asked("site-2", 1))
    more(view, SiteJoined(site="site-3"))
    view.chosen = 0
    one, two, three = (line_of(view, name) for name in ("site-1", "site-2", "site-3"))
    assert (one.word, one.seconds, one.metrics, one.count) == ("answered", 3.0, {"accuracy": 0.5}, "8")
    assert (two.word, two.seconds, two.reason) == ("rejected", 4.0, "'w' holds NaN or Inf")
    assert (three.word, three.round) == ("not asked", 0)
    view.chosen = 1
    assert line_of(view, "site-2").word == "training"


def test_who_is_not_asked_in_the_round_is_said_not_to_be() -> None:
    one = RoundStarted(round=1, task_name="train", sites=["site-2"], model="a" * 64)
    view = seen(*begun(), journals.accepted("site-1"), journals.accepted("site-2"), journals.round_finished(), one)
    more(view, journals.asked("site-2", 1))
    assert states(view) == [("–", "not asked"), ("◐", "training")]  # noqa: RUF001 - a dash
    line = line_of(view, "site-1")
    assert (line.round, line.seconds, line.fresh, line.metrics) == (0, None, False, {"accuracy": 0.5})


def test_nobody_waits_for_a_site_whose_round_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    other = RoundStarted(round=1, task_name="train", sites=["site-1"], model="a" * 64)
    view = seen(*begun(), journals.accepted("site-1"), journals.round_finished(sites=["site-1"]), other)
    view.alive = True
    monkeypatch.setattr("fltui.console.widgets.sites.time.time", lambda: 1e9)
    line = line_of(view, "site-2")
    assert (line.word, line.seconds) == ("no answer", None)


def test_the_weight_of_a_past_round_is_that_in_its_model() -> None:
    judged = msgspec.structs.replace(journals.round_finished(), weights={"site-1": 0.0, "site-2": 1.0})
    view = seen(*begun(), journals.accepted("site-1"), journals.accepted("site-2"), judged, journals.round_started(1))
    view.chosen = 0
    assert [line_of(view, name).count for name in ("site-1", "site-2")] == ["0", "1"]


def test_who_did_not_answer_in_a_past_round_is_said_to_be_silent() -> None:
    view = seen(
        *begun(), journals.accepted("site-1"), journals.round_finished(sites=["site-1"]), journals.round_started(1)
    )
    view.chosen = 0
    assert states(view) == [("✓", "answered"), ("◌", "no answer")]


def test_seconds_are_unknown_if_the_clock_began_anew() -> None:
    view = seen(*begun())
    found = journals.accepted("site-1")
    view.state = apply(view.state, found)
    assert line_of(view, "site-1").seconds is None


def test_a_live_site_counts_on_until_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    view = seen(*begun())
    began = view.state.rounds[0].started.time
    monkeypatch.setattr("fltui.console.widgets.sites.time.time", lambda: began + 42.0)
    assert line_of(view, "site-1").seconds == 2.0
    view.alive = True
    assert line_of(view, "site-1").seconds == 42.0


async def test_the_clock_goes_on_once_what_was_shown_has_stood_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    app, view = SitesApp(), seen(*begun())
    view.alive = True
    async with app.run_test(size=(70, 10)) as pilot:
        await pilot.pause()
        drawn = list[bool]()
        with monkeypatch.context() as patch:
            patch.setattr(app.panel.query_one(Table), "refresh", lambda **_: drawn.append(True))
            app.panel.show_run(view)
            drawn.clear()
            app.panel._tick()
            assert not drawn
            app.panel._since -= LONGEST + 0.2
            app.panel._tick()
            assert drawn


async def test_metrics_of_an_earlier_round_have_a_mark() -> None:
    first = [*begun(), journals.accepted("site-1"), journals.accepted("site-2"), journals.round_finished()]
    view = seen(*first, journals.round_started(1), journals.asked("site-1", 1))
    assert line_of(view, "site-1").metrics == {"accuracy": 0.5}
    assert not line_of(view, "site-1").fresh
    assert line_of(view, "site-2").fresh
    app = SitesApp()
    async with app.run_test(size=(80, 10)) as pilot:
        app.panel.show_run(view)
        await pilot.pause()
        assert [line.split()[-2] for line in shown(app.panel)[1:3]] == ["~0.5000", "0.5000"]


async def test_the_reason_of_the_highlighted_site_is_below_and_can_be_copied() -> None:
    app = SitesApp()
    async with app.run_test(size=(60, 10)) as pilot:
        view = seen(*begun(), journals.rejected("site-2"))
        app.panel.show_run(view)
        await pilot.pause()
        below = app.panel.query_one(Static)
        assert (app.panel.site, app.panel.copied(), below.display) == ("site-1", "site-1", False)
        await pilot.press("down")
        await pilot.pause()
        assert (app.panel.site, app.panel.copied(), below.display) == ("site-2", "'w' holds NaN or Inf", True)
        assert str(below.render()) == "site-2: 'w' holds NaN or Inf"
        more(view, SiteLost(site="site-2", reason="killed"))
        app.panel.show_run(view)
        assert app.panel.copied() == "killed"


async def test_hostile_text_stays_text() -> None:
    app = SitesApp()
    async with app.run_test(size=(120, 10)) as pilot:
        view = seen(*begun(), journals.rejected("site-1", HOSTILE), journals.accepted("site-2"))
        more(view, SiteLost(site=f"a{HOSTILE}", reason=HOSTILE))
        app.panel.show_run(view)
        await pilot.pause()
        text = "".join(shown(app.panel)) + str(app.panel.query_one(Static).render())
        assert "[@click=app.quit]x[/]" in text
        assert "\\x1b]52" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e")


async def test_sites_are_in_natural_order_and_the_cursor_stays_on_its_site() -> None:
    app = SitesApp()
    async with app.run_test(size=(60, 10)) as pilot:
        view = seen(*(SiteJoined(site=f"site-{number}") for number in (10, 2)))
        app.panel.show_run(view)
        await pilot.pause()
        await pilot.press("end")
        more(view, SiteJoined(site="site-1"))
        app.panel.show_run(view)
        await pilot.pause()
        assert [line.split()[1] for line in shown(app.panel)[1:]] == ["site-1", "site-2", "site-10"]
        assert app.panel.site == "site-10"


async def test_the_same_run_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = SitesApp()
    async with app.run_test(size=(60, 10)) as pilot:
        view = seen(*begun())
        app.panel.show_run(view)
        await pilot.pause()
        calls: list[object] = []
        monkeypatch.setattr(app.panel.query_one(Table), "set_keys", lambda *given: calls.append(given))
        app.panel.show_run(view)
        assert calls == []
        view.chosen = 0
        app.panel.show_run(view)
        assert len(calls) == 1


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (80, ["site", "state", "round", "time", "accuracy", "loss", "results"]),
        (46, ["site", "state", "time", "accuracy"]),
        (21, ["site", "state"]),
        (8, ["site"]),
    ],
)
async def test_columns_that_matter_least_go_first(width: int, columns: Iterable[str]) -> None:
    app = SitesApp()
    async with app.run_test(size=(width, 10)) as pilot:
        view = seen(*begun(), journals.accepted("site-1"))
        view.series.by_round["loss"] = {}
        app.panel.show_run(view)
        await pilot.pause()
        assert shown(app.panel)[0].split() == columns


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 2)])
async def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    app = SitesApp()
    async with app.run_test(size=size) as pilot:
        app.panel.show_run(seen(*begun(), journals.rejected("site-1")))
        await pilot.press("down", "up")
        await pilot.pause()
        assert app.panel.site == "site-1"


async def test_a_site_that_is_selected_opens_nothing() -> None:
    app = SitesApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.panel.show_run(seen(*begun()))
        await pilot.pause()
        await pilot.press("enter")
        assert app.is_running


def test_events_that_say_nothing_of_a_site_change_nothing() -> None:
    view = seen(*begun())
    before = states(view)
    more(view, ModelSaved(round=1, model="b" * 64, path="models/round-0001", bytes=1))
    assert states(view) == before
