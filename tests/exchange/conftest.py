from __future__ import annotations

from pathlib import Path

import pytest

from fltui.exchange.layout import SiteFolder
from fltui.exchange.publish import open_site


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """The folder of site-1, made by both sides."""
    site = SiteFolder(tmp_path / "site-1", "site-1")
    open_site(site, "server")
    open_site(site, "site")
    return site


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The run's private store."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder
