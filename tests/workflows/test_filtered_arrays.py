"""Filters at the server: what updates are seen against, and how many files are open and on disk for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fltui.aggregation.filters import Change, ClipNorm, Filter, View
from fltui.aggregation.terms import Row
from fltui.model import Params, ParamsType
from fltui.workflows.fedavg import FedAvg
from tests.workflows.hall import Reply, Site, adds, run


@dataclass(frozen=True)
class Halve(Filter):
    """Sends half of the model."""

    def task(self, view: View) -> Change:
        def change(_name: str, _start: int, values: Row) -> None:
            values *= 0.5

        return change


@pytest.mark.parametrize("kind", list(ParamsType))
@pytest.mark.parametrize("after", [(), (ClipNorm(2.0),), (ClipNorm(0.5),)], ids=repr)
async def test_whole_answers_and_differences_give_the_same_where_another_model_was_sent(
    tmp_path: Path, kind: ParamsType, after: tuple[Filter, ...]
) -> None:
    def one(_: int, params: Params) -> Reply:
        if kind is ParamsType.DIFF:
            return other(0, params)
        return Reply({"w": params["w"] + np.float32(1), "n": params["n"]})

    def other(_: int, __: Params) -> Reply:
        return Reply({"w": np.array([1.0], np.float32), "n": np.zeros(1, np.int64)}, params_type=ParamsType.DIFF)

    sites: dict[str, Site] = {"a": one, "b": other}
    model: Params = {"w": np.array([100], np.float32), "n": np.array([7])}
    hall = await run(tmp_path, FedAvg(2, 2, model=model, filters=(Halve(), *after)), sites)
    assert [hall.model(number)["w"].tolist() for number in (1, 2)] == (
        [[100.5], [101.0]] if after == (ClipNorm(0.5),) else [[101.0], [102.0]]
    )
    assert hall.model(2)["n"].tolist() == [7]


@contextmanager
def few_files(most: int) -> Iterator[None]:
    """No more than so many files beside those that are open already."""
    resource = pytest.importorskip("resource")
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc/self/fd, which tells what is open")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("parameters", "sites"), [(300, 1), (1, 300)])
async def test_neither_many_parameters_nor_many_sites_need_many_files(
    tmp_path: Path, parameters: int, sites: int
) -> None:
    model = {f"w{number}": np.zeros(1) for number in range(parameters)}
    everybody = {f"site-{number}": adds(3.0) for number in range(sites)}
    with few_files(50):
        hall = await run(tmp_path, FedAvg(sites, 1, model=model, filters=(Halve(), ClipNorm(1.0))), everybody)
    assert hall.model(1)["w0"].tolist() == pytest.approx([1 / math.sqrt(parameters)])


@dataclass(frozen=True)
class Weighed(Filter):
    """Counts what the filters before it have left on disk."""

    folder: Path = field(default=Path(), compare=False)
    seen: list[list[str]] = field(default_factory=list, compare=False)

    def _look(self) -> None:
        scratch = self.folder / "hall" / "models" / "scratch"
        self.seen.append(sorted(path.name for path in scratch.glob("*") if any(path.iterdir())))

    def task(self, view: View) -> Change:
        self._look()
        return Halve().task(view)

    def result(self, view: View) -> Change:
        self._look()
        return Halve().task(view)


async def test_what_the_next_filter_has_replaced_does_not_stay_on_disk(tmp_path: Path) -> None:
    one = Weighed(tmp_path)
    hall = await run(tmp_path, FedAvg(2, 1, model=np.ones(3), filters=(one, one, one)), {"a": adds(1), "b": adds(2)})
    assert one.seen == [
        [],
        ["sent-0"],
        ["sent-1"],
        ["sent-2"],
        ["sent-2", "update-0-a"],
        ["sent-2", "update-1-a"],
        ["sent-2", "update-2-a"],
        ["sent-2", "update-0-b", "update-2-a"],
        ["sent-2", "update-1-b", "update-2-a"],
    ]
    assert hall.model(1)["numpy_key"].tolist() == [1 + 1.5 / 8] * 3
