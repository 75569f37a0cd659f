"""Which worker gets which site."""

from __future__ import annotations

from collections import Counter

import pytest

from fltui.errors import BadInputError
from fltui.simulator.cluster.placing import Seat, check_places, seat_for
from fltui.simulator.needs import Needs

GPU = Needs("a", resources={"GPU": 1})


def _place(needs: list[Needs], seats: list[Seat]) -> dict[str, str]:
    found = {}
    for one in needs:
        if (seat := seat_for(one, seats)) is not None:
            seat.sites[one.site] = one
            found[one.site] = seat.address
    return found


def test_sites_are_dealt_out_by_threads() -> None:
    seats = [Seat("1", "x"), Seat("2", "x", threads=3)]
    assert Counter(_place([Needs(f"s{number}") for number in range(40)], seats).values()) == {"1": 10, "2": 30}


def test_a_resource_is_taken_once() -> None:
    seats = [Seat("1", "x", resources={"GPU": 2}), Seat("2", "x")]
    needs = [Needs(name, resources={"GPU": 1}) for name in "abc"]
    assert _place(needs, seats) == {"a": "1", "b": "1"}
    del seats[0].sites["a"]
    assert seat_for(needs[2], seats) is seats[0]


def test_who_is_to_be_alone_is_where_that_can_be() -> None:
    seats = [Seat("1", "x", threads=8, sites={"b": Needs("b")}), Seat("2", "x")]
    assert [seat_for(Needs("a"), seats, alone=alone) for alone in (False, True)] == seats
    assert seat_for(Needs("a"), seats[:1], alone=True) is seats[0]


def test_a_site_goes_where_its_data_is() -> None:
    seats = [Seat("1", "x"), Seat("2", "y", sees=frozenset({"/data/a"}))]
    assert _place([Needs("a", "/data/a"), Needs("b", "/data/a")], seats) == {"a": "2", "b": "2"}
    assert seat_for(Needs("c", "/data/c"), seats) is None


@pytest.mark.parametrize(
    ("needs", "seats", "told"),
    [
        ([GPU], [Seat("1", "x")], "site a needs GPU=1, and no worker of it has that; .*--resources"),
        ([GPU], [Seat("1", "x", resources={"GPU": 0.5})], "site a needs GPU=1, and no worker"),
        (
            [GPU, Needs("b", resources={"GPU": 1})],
            [Seat("1", "x", resources={"GPU": 1})],
            r"too little for all sites at the same time, .* \(GPU: 2 needed, 1 there\)",
        ),
        ([Needs("a", "/d")], [Seat("1", "x"), Seat("2", "y")], r"the data of site a, /d, is on no worker .*x, y"),
        (
            [Needs("a", "/d", {"GPU": 1})],
            [Seat("1", "x", resources={"GPU": 1}), Seat("2", "y", sees=frozenset({"/d"}))],
            "site a needs GPU=1, and no worker of it has that where its data, /d, is",
        ),
    ],
)
def test_what_cannot_be_placed_is_said_before(needs: list[Needs], seats: list[Seat], told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        check_places(needs, seats, "it")


def test_who_has_the_least_choice_comes_first() -> None:
    seats = [Seat("1", "x", resources={"GPU": 1}, sees=frozenset({"/d"})), Seat("2", "x", resources={"GPU": 1})]
    check_places([GPU, Needs("b", "/d", {"GPU": 1})], seats, "it")
    assert not any(seat.sites for seat in seats)  # that was a trial
