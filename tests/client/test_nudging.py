"""What a site tells the sync engine of, and what it does not do where one carries its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fltui.client import heartbeat
from fltui.exchange.layout import SiteFolder, TaskId
from fltui.exchange.publish import remove_published
from fltui.model import FLModel
from tests.client.by_hand import RUN, WEIGHTS, end, open_session, publish
from tests.exchange.syncthings import Played, played

STATUS = ["logs", "status.json"]


@pytest.fixture
def syncthing(site: SiteFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One that shares the site's folder."""
    with played(tmp_path_factory.mktemp("syncthing"), {"a": site.root}) as found:
        yield found


def test_the_status_is_told_of_at_first_and_at_last_and_each_result(site: SiteFolder, syncthing: Played) -> None:
    session = open_session(site, nudge=f"syncthing:{syncthing.home}")
    assert syncthing.next() == ("a", STATUS)
    publish(site, 0, {})
    session.receive()
    session.send(FLModel(params={"numpy_key": WEIGHTS}))
    assert syncthing.next() == ("a", [f"logs/{RUN}.metrics.jsonl", "results"])
    end(site)
    assert not session.wait_for_task()
    session.close()
    assert syncthing.next() == ("a", STATUS)
    assert syncthing.scans.empty()


def test_the_status_is_told_of_from_time_to_time(
    site: SiteFolder, syncthing: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TICK", "_SOONEST", "_NUDGED"):
        monkeypatch.setattr(heartbeat, name, 0.0)
    session = open_session(site, nudge=f"syncthing:{syncthing.home}")
    for _ in range(3):
        assert syncthing.next() == ("a", STATUS)
    session.close()


def test_no_file_or_folder_of_a_result_is_used_again(site: SiteFolder, syncthing: Played) -> None:
    session = open_session(site, nudge=f"syncthing:{syncthing.home}")
    for number in range(4):
        publish(site, number, {})
        session.receive()
        session.send(FLModel(params={"numpy_key": WEIGHTS}))
        if number:
            remove_published(site.tasks, str(TaskId(RUN, number - 1, "train")))
        assert not session.wait_for_task(timeout=0.01)
        folders = {path.name for path in site.results.iterdir() if path.is_dir()}
        assert folders == {path.stem for path in site.results.glob("*.json")}
        assert [path.name for path in site.staging("site").glob("*.spare.json")] == []
    session.close()


def test_trouble_with_nudges_is_told_to_the_sites_person(
    site: SiteFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = open_session(site, nudge=f"syncthing:{tmp_path / 'nowhere'}")
    publish(site, 0, {})
    session.receive()
    session.send(FLModel(params={"numpy_key": WEIGHTS}))
    session.close()
    assert capsys.readouterr().err.count("site a: no nudge: ") == 1
