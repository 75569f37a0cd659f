"""Who is there: by what changes, never by a clock of theirs."""

from __future__ import annotations

from pathlib import Path

from fltui.console.runs.presence import SiteList
from fltui.exchange.layout import PROTOCOL, ExchangeFolder
from fltui.exchange.manifest import SiteActivity, Status, encode
from fltui.exchange.silence import SILENCE


class Exchange:
    """Sites that say what a test lets them say."""

    def __init__(self, root: Path) -> None:
        self.folder = ExchangeFolder(root)
        self.now = 50.0
        self.sites = SiteList(root, lambda: self.now)

    def says(
        self, site: str, state: SiteActivity = "waiting", counter: int = 1, run: str = "", reason: str = ""
    ) -> None:
        folder = self.folder.site(site)
        folder.root.mkdir(parents=True, exist_ok=True)
        folder.status.write_bytes(encode(Status(PROTOCOL, site, state, counter, "s", run, "", reason)))


def test_no_exchange_has_no_sites(tmp_path: Path) -> None:
    assert SiteList(tmp_path / "nowhere").read() == []


def test_a_site_is_heard_of_when_its_status_changes(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.says("site-10")
    exchange.says("site-2", "training", run="hello-20260131T120000Z-beef")
    first, second = exchange.sites.read()
    assert (first.name, first.state, first.run) == ("site-2", "training", "hello-20260131T120000Z-beef")
    assert (second.name, second.heard, second.silent) == ("site-10", None, False)  # it may be of yesterday
    exchange.now += 5
    exchange.says("site-10", counter=2)
    exchange.sites.read()
    exchange.now += 3
    heard = {line.name: line.heard for line in exchange.sites.read()}
    assert heard == {"site-2": None, "site-10": 3.0}


def test_who_is_silent_for_long_is_told_and_who_has_gone_is_not_listed(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.says("dead")
    exchange.says("gone", "finished")
    exchange.says("alive")
    exchange.sites.read()
    exchange.now += SILENCE + 1
    exchange.says("alive", counter=2)
    assert [(line.name, line.silent) for line in exchange.sites.read()] == [("alive", False), ("dead", True)]


def test_whose_status_comes_seldom_is_silent_later(tmp_path: Path) -> None:
    """As its server judges: a sync engine may carry a status once a minute."""
    exchange = Exchange(tmp_path)
    for counter in range(4):
        exchange.says("slow", counter=counter)
        exchange.sites.read()
        exchange.now += 60
    assert [line.silent for line in exchange.sites.read()] == [False]
    exchange.now += 61
    assert [line.silent for line in exchange.sites.read()] == [True]


def test_what_others_wrote_is_harmless(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.says("a", "failed", run="r\x1b]0;x\x07", reason="\x1b[31m" + "x" * 5000)
    exchange.says("liar")
    exchange.folder.site("liar").status.write_bytes(exchange.folder.site("a").status.read_bytes())
    exchange.folder.site("b").root.mkdir()
    exchange.folder.site("b").status.write_text("{")
    (line,) = exchange.sites.read()
    assert "\x1b" not in line.run + line.reason
    assert len(line.reason) <= 2000
