"""Nudges: who is told of what, and what happens where nobody listens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from fltui.errors import BadInputError
from fltui.exchange import nudge as nudges
from fltui.exchange.layout import SiteFolder
from fltui.exchange.nudge import NoNudge, SyncthingNudge, check_nudge, open_nudge
from tests.exchange.syncthings import KEY, played, write_config


def threads() -> list[str]:
    """The threads that nudge."""
    return [one.name for one in threading.enumerate() if one.name == "fltui-nudge"]


def untold(text: str) -> None:
    """Nothing is to be told."""
    raise AssertionError(text)


def opened(text: str, told: Callable[[str], None]) -> SyncthingNudge:
    """One that tells a Syncthing."""
    nudge = open_nudge(text, told)
    assert isinstance(nudge, SyncthingNudge)
    return nudge


def test_without_a_carrier_nothing_happens(tmp_path: Path) -> None:
    nudge = open_nudge("", untold)
    site = SiteFolder(tmp_path, "site-1")
    nudge.task(site)
    nudge.result(site, "run")
    nudge.status(site)
    nudge.close()
    assert type(nudge) is NoNudge
    assert not nudge.on
    assert check_nudge("", tmp_path) == ("", "")


def test_the_innermost_folder_is_looked_through_below_what_was_published(tmp_path: Path) -> None:
    site = tmp_path / "exchange" / "site-1"
    (site / "tasks").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "exchange")
    with played(tmp_path / "home", {"outer": site, "tasks": site / "tasks"}) as syncthing:
        nudge = opened(f"syncthing:{syncthing.home}", untold)
        assert threads() == []
        nudge.published(tmp_path / "link" / "site-1" / "tasks")
        assert syncthing.next() == ("tasks", [])
        nudge.published(site / "results", site / "status.json")
        assert syncthing.next() == ("outer", ["results", "status.json"])
        nudge.published(site)
        assert syncthing.next() == ("outer", [])
        nudge.close()
        assert syncthing.keys == {KEY}


def test_what_a_side_publishes_is_told_by_the_folders_it_lies_in(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path / "site-1", "site-1")
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        nudge = opened(f"syncthing:{syncthing.home}", untold)
        nudge.task(site)
        assert syncthing.next() == ("a", ["site-1/tasks"])
        nudge.result(site, "run")
        assert syncthing.next() == ("a", ["site-1/logs/run.metrics.jsonl", "site-1/results"])
        nudge.status(site)
        assert syncthing.next() == ("a", ["site-1/logs", "site-1/status.json"])
        nudge.close()


def test_what_is_published_while_it_is_at_work_is_told_of_at_once_and_once(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def answer() -> int:
        begun.set()
        go_on.wait(20)
        return 200

    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        syncthing.answer = answer
        nudge = opened(f"syncthing:{syncthing.home}", untold)
        nudge.published(tmp_path / "first")
        assert begun.wait(20)
        for number in range(1000):  # nobody waits
            nudge.published(tmp_path / f"{number % 3}")
        go_on.set()
        assert syncthing.next() == ("a", ["first"])
        assert syncthing.next() == ("a", ["0", "1", "2"])
        nudge.close()
        assert syncthing.scans.empty()


def test_what_was_published_last_is_told_of_before_the_end(tmp_path: Path) -> None:
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        nudge = opened(f"syncthing:{syncthing.home}", untold)
        nudge.published(tmp_path)
        nudge.close()
        assert not syncthing.scans.empty()
        nudge.published(tmp_path)
        assert syncthing.next() == ("a", [])
        assert syncthing.scans.empty()


def test_one_that_hangs_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudges, "_PATIENCE", 0.01)
    monkeypatch.setattr(nudges, "_FAREWELL", 0.01)
    hangs = threading.Event()
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        syncthing.answer = lambda: hangs.wait(20) or 200
        nudge = opened(f"syncthing:{syncthing.home}", untold)
        for _ in range(3):  # it answers other calls, so it is at work
            nudge.published(tmp_path)
            assert syncthing.next() == ("a", [])
        nudge.close()
        hangs.set()


def test_trouble_is_told_once_and_its_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudges, "_PATIENCE", 0.01)
    told: SimpleQueue[str] = SimpleQueue()
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        config = (syncthing.home / "config.xml").read_bytes()
    nudge = opened(f"syncthing:{syncthing.home}", told.put)
    nudge.published(tmp_path / "one")
    said = told.get(timeout=20)
    assert said.startswith(f"no nudge: Syncthing of {syncthing.home} at 127.0.0.1:")
    assert said.endswith(
        "does not answer: Connection refused; is it running?; the run goes on, and rounds take as long as its own looks"
    )
    nudge.published(tmp_path / "two")
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        assert config != (syncthing.home / "config.xml").read_bytes()  # it has another port now
        assert syncthing.next()[0] == "a"
        assert told.get(timeout=20) == "nudges of Syncthing get through again"
        nudge.close()
    assert told.empty()
    assert KEY not in said


def test_a_nudge_ends_though_nobody_answers(tmp_path: Path) -> None:
    told: SimpleQueue[str] = SimpleQueue()
    write_config(tmp_path / "home", "127.0.0.1:1")
    nudge = opened(f"syncthing:{tmp_path / 'home'}", told.put)
    nudge.published(tmp_path)
    assert "does not answer" in told.get(timeout=20)
    nudge.close()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(500, "answers 500: {}"), (404, "answers 404: {}")],
)
def test_a_refusal_is_told_with_what_it_says(tmp_path: Path, status: int, sentence: str) -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        syncthing.answer = lambda: status
        nudge = opened(f"syncthing:{syncthing.home}", told.put)
        nudge.published(tmp_path)
        assert sentence in told.get(timeout=20)
        nudge.close()


def test_another_key_is_told_without_being_shown(tmp_path: Path) -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        config = syncthing.home / "config.xml"
        config.write_text(config.read_text().replace(KEY, "a-key-of-others"))
        nudge = opened(f"syncthing:{syncthing.home}", told.put)
        nudge.published(tmp_path)
        said = told.get(timeout=20)
        nudge.close()
    assert f"refuses the key of {config}: is that its configuration?" in said
    assert "a-key-of-others" not in said


def test_what_nobody_shares_is_told_once(tmp_path: Path) -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with played(tmp_path / "home", {"a": tmp_path / "shared"}) as syncthing:
        nudge = opened(f"syncthing:{syncthing.home}", told.put)
        for _ in range(2):
            nudge.published(tmp_path / "other")
            nudge.published(tmp_path / "shared")
            assert syncthing.next() == ("a", [])
        nudge.close()
    assert f"Syncthing shares no folder that holds {tmp_path / 'other'}" in told.get()
    assert told.empty()


def test_a_check_tells_what_would_not_get_through(tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    with played(tmp_path / "home", {"a": exchange / "site-1" / "tasks"}) as syncthing:
        named = f"syncthing:{syncthing.home}"
        assert check_nudge(named, exchange) == (named, "")
        assert check_nudge(f"{named}/config.xml", exchange / "site-1") == (named, "")
        found, warning = check_nudge(named, tmp_path / "other")
    assert found == named
    assert f"shares nothing of {tmp_path / 'other'}" in warning
    assert "does not answer" in check_nudge(named, exchange)[1]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda home: None, "no configuration of Syncthing is there"),
        (lambda home: write_config(home, "192.0.2.7:8384"), "at an address of this machine alone"),
        (lambda home: write_config(home, "fl.example.org:8384"), "at an address of this machine alone"),
        (lambda home: write_config(home, "unix:///run/st.sock"), "at an address of this machine alone"),
        (lambda home: write_config(home, "127.0.0.1:99999"), "at an address of this machine alone"),
        (lambda home: write_config(home, "127.0.0.1:8384", key=""), "has no API key"),
        (lambda home: (home.mkdir(), (home / "config.xml").write_text("<a>")), "is no configuration of Syncthing"),
        (lambda home: (home.mkdir(), (home / "config.xml").write_text("<a/>")), "switches the REST interface off"),
        (lambda home: (home / "config.xml").mkdir(parents=True), "cannot be read: Is a directory"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_bad_input(
    tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    home = tmp_path / "home"
    make(home)
    with pytest.raises(BadInputError, match=sentence):
        check_nudge(f"syncthing:{home}", tmp_path)


def test_an_unknown_carrier_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="--nudge is 'dropbox', expected 'syncthing', or 'syncthing:DIR'"):
        check_nudge("dropbox", tmp_path)


def test_a_run_that_is_resumed_where_no_carrier_is_any_more_goes_on(tmp_path: Path) -> None:
    told: SimpleQueue[str] = SimpleQueue()
    nudge = opened(f"syncthing:{tmp_path / 'gone'}", told.put)
    nudge.published(tmp_path)
    assert "config.xml cannot be read: No such file or directory" in told.get(timeout=20)
    nudge.close()
