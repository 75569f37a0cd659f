from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.fedprox import FedProx
from tests.workflows.hall import adds, run


async def test_the_scripts_are_told_mu_and_the_rest_is_averaging(tmp_path: Path) -> None:
    sites = {"a": adds(1), "b": adds(2, weight=3)}
    hall = await run(tmp_path / "a", FedProx(num_clients=2, num_rounds=2, model=[0.5], mu=0.25), sites)
    assert [request.meta for request in hall.requests] == [{"fedprox_mu": 0.25}] * 2
    plain = await run(tmp_path / "b", FedAvg(num_clients=2, num_rounds=2, model=[0.5]), sites)
    assert plain.requests[0].meta == {}
    assert hall.models.load(2).digest == plain.models.load(2).digest


@pytest.mark.parametrize("mu", [-0.1, float("nan"), float("inf"), "0.1", True])
def test_a_mu_that_makes_no_sense_is_refused(mu: Any) -> None:
    with pytest.raises(BadInputError) as caught:
        FedProx(mu=mu)
    assert str(caught.value) == f"FedProx: mu is {mu!r}, expected a number of at least 0"


def test_it_stays_with_other_sites_and_rounds() -> None:
    assert FedProx(mu=0.5).for_sites(7).for_rounds(2) == FedProx(num_clients=7, num_rounds=2, mu=0.5)
