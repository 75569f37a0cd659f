"""The banner below the head of a run screen."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from fltui.console.widgets.header import Banner


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
