"""Who is there."""

from __future__ import annotations

import pytest

from fltui.server.roster import Roster


class Told:
    """A roster, and what it says."""

    def __init__(self) -> None:
        self.joined: list[str] = []
        self.lost: list[tuple[str, str]] = []
        self.changes = 0
        self.roster = Roster(self.joined.append, lambda site, reason: self.lost.append((site, reason)), self._changed)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def told() -> Told:
    """A roster with the site ``a``."""
    told = Told()
    told.roster.join("a")
    return told


def test_a_site_joins_once(told: Told) -> None:
    told.roster.join("a")
    assert (told.joined, told.roster.present, told.changes) == (["a"], {"a"}, 1)


def test_a_site_is_lost_once_and_may_come_back(told: Told) -> None:
    told.roster.lose("a", "silent", silent=True)
    told.roster.lose("a", "silent again", silent=True)
    assert (told.lost, told.roster.present, told.roster.silent) == ([("a", "silent")], set(), {"a"})
    told.roster.join("a")
    assert (told.roster.present, told.roster.absent, told.roster.silent) == ({"a"}, {}, set())
    assert (told.joined, told.changes) == (["a", "a"], 3)


def test_a_silent_site_of_which_the_end_is_heard_is_awaited_no_longer(told: Told) -> None:
    told.roster.lose("a", "silent", silent=True)
    told.roster.lose("a", "its script ended")
    assert (told.lost, told.roster.silent, told.roster.absent) == ([("a", "silent")], set(), {"a": "silent"})


def test_a_site_that_was_dropped_stays_out(told: Told) -> None:
    told.roster.drop("a", "dropped: wrong data")
    told.roster.drop("a", "dropped: again")
    told.roster.join("a")
    assert (told.lost, told.roster.present, told.joined) == ([("a", "dropped: wrong data")], set(), ["a"])
    assert told.roster.possible(["a", "b"]) == {"b"}


def test_a_site_that_is_absent_is_dropped_with_a_new_reason(told: Told) -> None:
    told.roster.lose("a", "silent", silent=True)
    told.roster.drop("a", "dropped")
    assert (told.lost, told.roster.silent) == ([("a", "silent"), ("a", "dropped")], set())


def test_of_a_site_that_was_dropped_before_nobody_is_told(told: Told) -> None:
    told.roster.drop_before("b", "dropped")
    told.roster.join("b")
    assert (told.joined, told.lost, told.roster.absent) == (["a"], [], {"b": "dropped"})


def test_a_site_that_cannot_be_let_in_has_not_joined() -> None:
    def refuse(_: str) -> None:
        raise PermissionError

    roster = Roster(refuse, lambda *_: None, lambda: None)
    with pytest.raises(PermissionError):
        roster.join("a")
    assert roster.present == set()
