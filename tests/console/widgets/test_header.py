"""The banner below the head of a run screen."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from fltui.console.widgets.header import Banner


class BannerApp(App[None]):
    """One banner."""

    def __init__(self) -> None:
        super().__init__()
        self.banner = Banner()

    def compose(self) -> ComposeResult:
        yield self.banner


async def test_the_screen_is_arranged_anew_only_where_the_banner_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    app, arranged = BannerApp(), list[bool]()
    async with app.run_test() as pilot:
        banner = app.banner
        monkeypatch.setattr(banner, "refresh", lambda *, layout=False: arranged.append(layout))
        for text, kind, seen in [
            ("", "hint", False),
            ("why", "error", True),
            ("why", "hint", True),
            ("", "hint", False),
        ]:
            for _ in range(2):
                banner.show_text(text, kind)
            await pilot.pause()
            assert (banner.text, banner.display, arranged) == (text, seen, [True])
            arranged.clear()
