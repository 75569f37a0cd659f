"""Who is asked in a round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.errors import BadInputError
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.sampling import draw, sample_size
from tests.workflows.hall import Hall, Site, adds, run

SITES: dict[str, Site] = {f"site-{number:02}": adds(1) for number in range(10)}


@pytest.mark.parametrize(
    ("sampling", "there", "most", "expected"),
    [
        (None, 10, 4, 4),
        (None, 3, 4, 3),
        (0.5, 10, 10, 5),
        (0.5, 10, 4, 2),
        (0.01, 10, 10, 1),
        (1.0, 10, 10, 10),
        (3, 10, 10, 3),
        (3, 2, 10, 2),
        (1, 10, 10, 1),
    ],
)
def test_how_many_are_asked(sampling: float | int | None, there: int, most: int, expected: int) -> None:
    assert sample_size(sampling, there, most) == expected


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**53), st.integers(0, 10**6))
def test_a_draw_is_the_same_for_the_same_seed_and_round(there: int, count: int, seed: int, number: int) -> None:
    sites = tuple(f"{place:02}" for place in range(there))
    found = draw(sites, count, seed, number)
    assert found == draw(sites, count, seed, number)
    assert list(found) == sorted(set(found))
    assert len(found) == min(count, there)
    assert set(found) <= set(sites)


def test_every_round_and_every_seed_has_a_draw_of_its_own() -> None:
    sites = tuple(SITES)
    assert len({draw(sites, 3, seed, number) for seed in range(5) for number in range(20)}) > 50


async def asked(folder: Path, seed: int, **arguments: Any) -> list[tuple[str, ...]]:
    hall = await run(folder, FedAvg(num_clients=10, num_rounds=6, model=[0.0], **arguments), SITES, seed=seed)
    return [request.sites for request in hall.requests]


@pytest.mark.parametrize(("sampling", "count"), [(0.3, 3), (4, 4), (1.0, 10)])
async def test_a_part_or_a_number_of_them_is_asked(tmp_path: Path, sampling: float | int, count: int) -> None:
    first = await asked(tmp_path / "a", 7, sampling=sampling)
    assert {len(sites) for sites in first} == {count}
    assert await asked(tmp_path / "b", 7, sampling=sampling) == first
    if count < 10:
        assert len(set(first)) > 1
        assert await asked(tmp_path / "c", 8, sampling=sampling) != first


async def test_a_run_that_is_resumed_asks_whom_it_would_have_asked(tmp_path: Path) -> None:
    workflow = FedAvg(num_clients=10, num_rounds=6, model=[0.0], sampling=3)
    whole = await asked(tmp_path / "a", 3, sampling=3)
    hall = Hall(tmp_path / "b", SITES, seed=3)
    hall.stop_before = 3
    with pytest.raises(InterruptedError):
        await workflow.run(hall)
    hall.stop_before = None
    await workflow.run(hall)
    assert [request.sites for request in hall.requests] == whole


async def test_the_quorum_is_that_of_those_who_are_asked(tmp_path: Path) -> None:
    hall = await run(tmp_path / "a", FedAvg(num_clients=10, num_rounds=1, model=[0.0], sampling=3), SITES)
    assert hall.requests[0].quorum == 3
    hall = await run(tmp_path / "b", FedAvg(10, 1, model=[0.0], sampling=3, min_clients=2), SITES)
    assert hall.requests[0].quorum == 2


@pytest.mark.parametrize("sampling", [0, 0.0, 1.5, -1, 11, float("nan"), True, "half"])
def test_sampling_out_of_range_is_refused(sampling: Any) -> None:
    with pytest.raises(BadInputError) as caught:
        FedAvg(num_clients=10, sampling=sampling)
    assert str(caught.value) == (
        f"FedAvg: sampling is {sampling!r}, expected a part of the sites such as 0.5, or a number of them from 1 to "
        "num_clients, which is 10"
    )


def test_fewer_sites_lower_the_number_that_is_asked() -> None:
    assert FedAvg(num_clients=10, sampling=5).for_sites(3).sampling == 3
    assert FedAvg(num_clients=10, sampling=0.5).for_sites(3).sampling == 0.5
