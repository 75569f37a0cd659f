"""What a site keeps for itself, from round to round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fltui.client.kept import Kept, forget, kept_folder
from fltui.errors import NotYetError
from fltui.exchange.layout import SiteFolder
from tests.client.by_hand import RUN, end, open_session, publish

STEM = f"{RUN}.scaffold"


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """What is kept in a folder that is not there yet."""
    return Kept(tmp_path / "kept", None, STEM, durable=True)


def test_arrays_are_kept_by_their_round(kept: Kept, tmp_path: Path) -> None:
    assert kept.rounds() == []
    for number in (3, 12, 10_000):
        kept.put(number, {"w": np.full(2, number, np.float64), "a/b": np.array(1.0)})
    kept.put(12, {"w": np.full(2, 7.0)})  # the round was done again, with another model
    (tmp_path / "kept" / f"{STEM}.r0004").mkdir()  # a process was killed while it wrote
    (tmp_path / "kept" / "other.scaffold.r0005.json").touch()
    assert kept.rounds() == [3, 12, 10_000]
    assert {name: value.tolist() for name, value in kept.get(12).items()} == {"w": [7, 7]}
    assert {name: value.tolist() for name, value in kept.get(3).items()} == {"w": [3, 3], "a/b": 1}
    kept.drop_others({12})
    assert kept.rounds() == [12]


def test_what_is_not_whole_is_not_given(kept: Kept, tmp_path: Path) -> None:
    kept.rounds()
    kept.put(3, {"w": np.zeros(2)})
    array = tmp_path / "kept" / f"{STEM}.r0003" / "w.npy"
    array.write_bytes(array.read_bytes()[:-8] + bytes(7) + b"\x01")
    with pytest.raises(NotYetError, match=r"r0003/w.npy"):
        kept.get(3)
    with pytest.raises(NotYetError, match=r"r0004.json"):
        kept.get(4)


def test_only_one_run_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    forget(folder, RUN)
    one, other = (Kept(folder, None, f"{run}.scaffold", durable=False) for run in (RUN, "other"))
    for kept in (one, other):
        kept.rounds()
        kept.put(0, {"w": np.zeros(2)})
    (folder / f"{STEM}.r0001").mkdir()
    forget(folder, RUN)
    assert sorted(path.name for path in folder.iterdir()) == ["other.scaffold.r0000", "other.scaffold.r0000.json"]
    forget(folder, "other")
    assert not folder.exists()


@pytest.mark.parametrize("completed", [True, False])
def test_a_run_that_can_be_resumed_is_not_forgotten(site: SiteFolder, completed: bool) -> None:
    session = open_session(site)
    publish(site, 0, {})
    assert session.wait_for_task()
    kept = Kept(kept_folder(site), site.staging("site"), STEM, durable=False)
    kept.rounds()
    kept.put(0, {"w": np.zeros(2)})
    end(site, state="FINISHED:COMPLETED" if completed else "FINISHED:FAILED")
    assert not session.wait_for_task()
    session.close()
    assert kept_folder(site).exists() is not completed
