"""Site ``a``, its session, and the Client API bound to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fltui.client import api
from fltui.client.session import Session
from fltui.exchange.layout import ExchangeFolder, SiteFolder
from fltui.exchange.publish import open_site
from tests.client.by_hand import open_session


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """The folder of site ``a``, prepared by the server."""
    folder = ExchangeFolder(tmp_path).site("a")
    open_site(folder, "server")
    return folder


@pytest.fixture
def session(site: SiteFolder) -> Iterator[Session]:
    """A session of site ``a``."""
    opened = open_session(site)
    yield opened
    opened.close()


@pytest.fixture
def bound(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The session, as the one that `fltui.client.init` has opened."""
    monkeypatch.setattr(api, "_session", session)
    return session
