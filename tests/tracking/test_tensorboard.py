"""What TensorBoard's own reader says of a run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorboard")

from fltui.run.folder import RunFolder
from fltui.run.models import Models
from fltui.tracking.follow import track
from fltui.tracking.records import Kind, ModelChoice, Series
from fltui.tracking.targets import parse_target
from fltui.tracking.tensorboard import EXACT, tag_of
from tests.tracking.runs import append, table, whole, write_run


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
    found.Reload()
    return found


def values(tensors: Any) -> list[tuple[int, Any]]:
    from tensorboard.util import tensor_util

    return [(event.step, tensor_util.make_ndarray(event.tensor_proto)) for event in tensors]


def tell(folder: RunFolder, tb: Path, models: ModelChoice = "final") -> dict[str, str]:
    told = track(folder, [parse_target(f"tensorboard:{tb}")], models=models)
    assert not told.failed
    return {
        str(path.relative_to(tb)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(tb.rglob("events*"))
    }


def test_its_reader_says_what_the_table_says(tmp_path: Path) -> None:
    folder, tb = write_run(tmp_path / "runs", whole()), tmp_path / "tb"
    first = tell(folder, tb)
    for (site, metric), wanted in table(folder).items():
        reader = read(tb / folder.run / "sites" / site if site else tb / folder.run)
        tag = tag_of(Series(Kind.METRIC, metric))
        assert [(step, value.item()) for step, value in values(reader.Tensors(EXACT + tag))] == wanted
        assert [(event.step, event.value) for event in reader.Scalars(tag)] == [
            (step, float(np.float32(value))) for step, value in wanted
        ]
    reader = read(tb / folder.run)
    assert b"| rounds | 3 |" in values(reader.Tensors("run/parameters"))[0][1].item()
    assert b"FINISHED:COMPLETED" in values(reader.Tensors("run/outcome"))[0][1].item()
    ((step, rows),) = values(read(tb / folder.run / "models").Tensors("w/1"))
    assert (step, rows.shape[1], rows[:, 2].sum()) == (3, 3, 1000)
    assert tell(folder, tb) == first


def test_told_in_pieces_and_torn_it_is_the_same(tmp_path: Path) -> None:
    events = whole()
    once = tell(write_run(tmp_path / "once", events), tmp_path / "tb")
    del once  # its times are others: the journal is written again below
    folder = write_run(tmp_path / "runs", events[:12])
    tell(folder, tmp_path / "pieces", "all")
    append(folder, events[12:20])
    for number, path in enumerate((tmp_path / "pieces").rglob("events*")):
        path.write_bytes(path.read_bytes()[: -5 * number or None])
    tell(folder, tmp_path / "pieces", "all")
    append(folder, events[20:])
    Models(folder.models, durable=False).remove(1)  # as --keep-models does: what was told of it stays
    pieces = tell(folder, tmp_path / "pieces", "all")
    assert [step for step, _ in values(read(tmp_path / "pieces" / folder.run / "models").Tensors("w/1"))] == [1, 2, 3]
    whole_again = tell(folder, tmp_path / "whole", "all")
    differ = [name for name in pieces if pieces[name] != whole_again[name]]
    assert [Path(name).parent.name for name in differ] == ["models"], "of a model that is gone nothing can be told"
