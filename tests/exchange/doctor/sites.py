"""Exchanges on disk with sites that have shown themselves."""

from __future__ import annotations

from pathlib import Path

from fltui.exchange.layout import PROTOCOL, ExchangeFolder
from fltui.exchange.manifest import SiteActivity, Status
from fltui.exchange.publish import open_exchange, open_site, put_document


def exchange_with(tmp_path: Path, *sites: str) -> ExchangeFolder:
    """An exchange with sites that have shown themselves."""
    exchange = open_exchange(tmp_path / "exchange")
    for site in sites:
        say(exchange, site, "waiting", 1)
    return exchange


def say(exchange: ExchangeFolder, site: str, state: SiteActivity, counter: int, reason: str = "") -> None:
    """A site writes its status."""
    folder = exchange.site(site)
    open_site(folder, "site")
    open_site(folder, "server")
    put_document(Status(PROTOCOL, site, state, counter, "s", reason=reason), folder.status, folder.staging("site"))


def everything(root: Path) -> list[str]:
    """All names below a folder."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))
