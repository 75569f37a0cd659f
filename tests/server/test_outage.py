"""Which errors a run sits out, and what it says of them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.outage import exchange_id
from fltui.exchange.publish import open_exchange
from fltui.run.folder import RunFolder
from fltui.server import outage
from fltui.server.outage import Outage, outage_of


class Place:
    """An exchange and a run on one disk."""

    def __init__(self, folder: Path) -> None:
        self.exchange: ExchangeFolder = open_exchange(folder / "exchange")
        self.run = RunFolder(folder / "runs" / "hello")
        self.run.root.mkdir(parents=True)
        self.known = exchange_id(self.exchange.root)

    def outage(self, number: int, path: Path | None = None) -> Outage | None:
        """What comes of an error at a path."""
        error = OSError(number, os.strerror(number), *([str(path)] if path else []))
        return outage_of(error, self.exchange, self.known, self.run, 1 << 20)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An exchange and a run."""
    return Place(tmp_path)


@pytest.mark.parametrize("where", ["run", "exchange"])
def test_a_full_disk_is_waited_for_until_there_is_room(
    place: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = {"run": place.run.journal, "exchange": place.exchange.root / "x"}[where]
    found = place.outage(errno.ENOSPC, path)
    assert found is not None
    assert found.reason.startswith(f"{os.strerror(errno.ENOSPC)} ({path}); the run goes on by itself when 2.")
    assert f"are free in {place.exchange.root} and {place.run.root}" in found.reason
    for room in (False, True):
        monkeypatch.setattr(outage, "has_room", lambda *_, room=room: room)
        assert found.is_over() is room


def test_an_exchange_that_is_away_is_waited_for(place: Place, tmp_path: Path) -> None:
    place.exchange.root.rename(tmp_path / "away")
    found = place.outage(errno.ENOENT, place.exchange.root / "a")
    assert found is not None
    assert "is away: there is no exchange.json that can be read" in found.reason
    assert not found.is_over()
    (tmp_path / "away").rename(place.exchange.root)
    assert found.is_over()


def test_another_exchange_in_its_place_is_none(place: Place) -> None:
    shutil.rmtree(place.exchange.root)
    other = exchange_id(open_exchange(place.exchange.root).root)
    found = place.outage(errno.ENOENT, place.exchange.root / "a")
    assert found is not None
    assert f"holds another exchange, {other} instead of {place.known}" in found.reason
    assert not found.is_over()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOENT])
def test_what_is_wrong_with_the_run_folder_does_not_pass(place: Place, number: int) -> None:
    assert place.outage(number, place.run.journal) is None


def test_an_exchange_that_answers_with_errors_is_waited_for(place: Place) -> None:
    found = place.outage(errno.EIO, place.exchange.root / "a" / "tasks")
    assert found is not None
    assert "does not work: Input/output error" in found.reason


def test_too_many_open_files_are_no_outage(place: Place) -> None:
    assert place.outage(errno.EMFILE) is None


@pytest.mark.parametrize("there", [True, False])
def test_a_disk_of_its_own_below_the_exchange_is_waited_for_as_long_as_it_is_there(
    place: Place, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    folder = place.exchange.root / "a" / "tasks"
    if there:
        folder.mkdir(parents=True)
    monkeypatch.setattr(outage, "_device", lambda path: None if not path.exists() else 7 if path == folder else 1)
    found = place.outage(errno.ENOSPC, folder / "x.npy")
    assert found is not None
    assert (str(folder) in found.reason.partition("are free in ")[2]) is there


@pytest.mark.parametrize("named", [True, False])
def test_nothing_is_asked_of_the_folder_that_an_exchange_is_mounted_in(
    place: Place, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    root = place.exchange.root
    monkeypatch.setattr(outage, "_device", lambda path: 7 if path == root.parent else 1)
    found = place.outage(errno.ENOSPC, root if named else None)
    assert found is not None
    assert found.reason.endswith(f"are free in {root} and {place.run.root}")
