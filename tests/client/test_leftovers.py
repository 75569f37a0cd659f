"""What scripts that were killed have left in the folder of their site."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.client.leftovers import remove_leftovers, remove_spares
from fltui.exchange.layout import ExchangeFolder, SiteFolder
from fltui.exchange.lock import hold, let_go
from fltui.exchange.publish import open_site, site_lock

RUN = "hello-20260101T000000Z-abcd"


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """The folder of site ``a``, prepared by the site."""
    folder = ExchangeFolder(tmp_path).site("a")
    open_site(folder, "site")
    return folder


def clear(site: SiteFolder, run: str = "") -> None:
    """Clear away what a session of `run`, or of any, does when it begins."""
    remove_leftovers(site, "status.json.*")
    remove_spares(site, run)


def test_what_a_script_of_a_run_that_was_broken_off_kept_to_write_over_goes(site: SiteFolder) -> None:
    staging = site.staging("site")
    for name in ("ended.spare.json", "live.spare.json", "status.json.0a1b2c3d.0", "live.lock"):
        (staging / name).touch()
    live = hold(staging / "live.lock")
    clear(site)
    assert sorted(path.name for path in staging.iterdir()) == ["live.lock", "live.spare.json"]
    assert live is not None
    let_go(staging / "live.lock", live)
    clear(site)
    assert list(staging.iterdir()) == []


def test_a_script_of_one_run_leaves_what_one_of_any_run_keeps(site: SiteFolder) -> None:
    spare = site.staging("site") / "other.spare.json"
    spare.touch()
    lock = site_lock(site, "")
    held = hold(lock)
    assert held is not None
    clear(site, RUN)
    assert spare.exists()
    let_go(lock, held)
    clear(site, RUN)
    assert not spare.exists()
