"""What a model looks like that nobody gave."""

from __future__ import annotations

import pytest

from fltui.errors import RunFailedError
from fltui.exchange.manifest import ArrayEntry
from fltui.model import ParamsType
from fltui.run.events import ResultAccepted
from fltui.server.plurality import odd_ones_out


def sent(*lengths: int) -> dict[str, ResultAccepted]:
    """Answers of a site each, of vectors of these lengths."""
    found = {}
    for number, length in enumerate(lengths):
        site = f"site-{number}"
        entry = ArrayEntry("w", "w.npy", "<f4", [length], 128 + 4 * length, "0" * 64)
        found[site] = ResultAccepted(
            round=0,
            site=site,
            task_id="t",
            params_type=ParamsType.FULL,
            weight=1.0,
            metrics={},
            arrays=[entry],
            bytes=9,
        )
    return found


@pytest.mark.parametrize(
    ("lengths", "odd"),
    [((3,), []), ((3, 3), []), ((3, 4, 3), ["site-1"]), ((4, 3, 3, 5, 6), ["site-0", "site-3", "site-4"])],
)
def test_the_most_frequent_look_wins_also_without_half_of_the_sites(lengths: tuple[int, ...], odd: list[str]) -> None:
    found = odd_ones_out(0, "t", sent(*lengths))
    assert sorted(found) == odd
    assert all(f"of {len(lengths)} sites sent 'w' <f4 (3,)" in reason for reason in found.values())


@pytest.mark.parametrize("lengths", [(3, 4), (3, 3, 4, 4, 5)])
def test_of_two_looks_that_are_as_frequent_none_wins(lengths: tuple[int, ...]) -> None:
    with pytest.raises(RunFailedError, match="round 0: the sites disagree on the model"):
        odd_ones_out(0, "t", sent(*lengths))
