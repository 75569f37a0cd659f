"""Whose turn it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fltui.queue.turns import Turn, next_turns

SITES = st.none() | st.frozensets(st.sampled_from("abcde"), min_size=1, max_size=3)


def turn(name: str, sites: str | None) -> Turn:
    return Turn(name, None if sites is None else frozenset(sites))


def names(found: list[Turn]) -> str:
    return "".join(one.id for one in found)


def test_disjoint_sites_run_at_once_and_shared_ones_one_after_another() -> None:
    waiting = [turn("1", "ab"), turn("2", "cd"), turn("3", "ac"), turn("4", "e")]
    assert names(next_turns(waiting, [], 9)) == "124"
    assert names(next_turns(waiting, [], 2)) == "12"
    assert names(next_turns(waiting[2:], [turn("0", "a")], 9)) == "4"


def test_who_waits_keeps_its_sites_from_those_after_it() -> None:
    """Else a job for all hospitals would starve beside a stream of jobs for one."""
    assert names(next_turns([turn("1", "ab"), turn("2", "b")], [turn("0", "a")], 9)) == ""


def test_a_job_for_whoever_comes_runs_alone() -> None:
    anybody = turn("1", None)
    assert names(next_turns([anybody, turn("2", "a")], [], 9)) == "1"
    assert names(next_turns([anybody, turn("2", "b")], [turn("0", "a")], 9)) == ""
    assert names(next_turns([turn("2", "b")], [turn("0", None)], 9)) == ""


@given(st.lists(SITES, max_size=8), st.lists(SITES, max_size=3), st.integers(1, 4))
def test_no_site_is_at_two_runs_and_the_first_is_never_passed_over(
    waiting: list[frozenset[str] | None], running: list[frozenset[str] | None], parallel: int
) -> None:
    queued = [Turn(str(place), sites) for place, sites in enumerate(waiting)]
    held = [Turn(f"r{place}", sites) for place, sites in enumerate(running)]
    found = next_turns(queued, held, parallel)
    assert len(found) + len(held) <= max(parallel, len(held))
    for place, one in enumerate(found):
        for other in [*held, *found[:place]]:
            assert one.sites is not None
            assert other.sites is not None
            assert not one.sites & other.sites
    if queued and not held:
        assert found[:1] == queued[:1]
    passed = [one for one in queued if one not in found]
    for one in found:
        for earlier in passed[: sum(int(other.id) < int(one.id) for other in passed)]:
            assert earlier.sites is not None
            assert one.sites is not None
            assert not earlier.sites & one.sites
