"""The banner below the head of a run screen."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from fltui.console.runs.view import RunView
from fltui.console.widgets.header import Banner, RunHeader
from fltui.run.events import RoundStarted
from tests.console.evaluated import begun, ended, evaluation, trained, view_of


class BannerApp(App[None]):
    """One banner."""

    def __init__(self) -> None:
        super().__init__()
        self.banner = Banner()

    def compose(self) -> ComposeResult:
        yield self.banner


async def test_the_screen_is_arranged_anew_only_where_the_banner_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    app = BannerApp()
    async with app.run_test() as pilot:
        banner = app.banner
        refresh, arranged = banner.refresh, list[bool]()

        def note(*regions: Region, layout: bool = False, **options: bool) -> Banner:
            arranged.append(layout)
            return refresh(*regions, layout=layout, **options)

        monkeypatch.setattr(banner, "refresh", note)
        for text, kind in [("why", "error"), ("why", "hint"), ("", "hint"), ("how", "hint")]:
            await pilot.pause()
            arranged.clear()
            banner.show_text(text, kind)
            assert True in arranged
            arranged.clear()
            banner.show_text(text, kind)
            assert (banner.text, banner.display, arranged) == (text, bool(text), [])


class HeaderApp(App[None]):
    """One head."""

    def __init__(self) -> None:
        super().__init__()
        self.header = RunHeader()

    def compose(self) -> ComposeResult:
        yield self.header


async def head_of(view: RunView, width: int = 160) -> str:
    """What the head says."""
    app = HeaderApp()
    async with app.run_test(size=(width, 5)) as pilot:
        app.header.show_run(view, 1.0)
        await pilot.pause()
        return str(app.header.render())


async def test_the_workflow_that_runs_stands_behind_those_that_are_over() -> None:
    assert "  FedAvg  " in await head_of(view_of(*begun(), *trained()[:2]))
    assert "FedAvg ✓ → CrossSiteEval  " in await head_of(view_of(*begun(), *trained(), *evaluation(models=2)))
    assert "FedAvg ✓ → CrossSiteEval ✓" in await head_of(view_of(*begun(), *trained(), *evaluation(), ended()))


async def test_of_many_workflows_the_one_that_runs_is_named_with_its_number() -> None:
    view = view_of(*begun(), *trained())
    view.state.workflow = ", ".join(["FedAvg", *["CrossSiteEval"] * 4])
    view.state.stages = 3
    assert "  4/5 CrossSiteEval  " in await head_of(view)


async def test_the_privacy_spent_is_told_and_fits_into_80_columns() -> None:
    head = await head_of(view_of(*begun(), *trained(), *evaluation(), ended()), 80)
    assert "ε 2.5 (δ 1e-05)" in head
    assert len(head) <= 80


async def test_a_round_that_asks_some_of_the_sites_says_of_how_many() -> None:
    one = RoundStarted(round=2, task_name="train", sites=["site-1"], model="a" * 64)
    assert "0/1 of 3 sites" in await head_of(view_of(*begun(), *trained(), one))
    assert "3/3 sites" in await head_of(view_of(*begun(), *trained()))
