"""Files of other times that a sync layer may bring back."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

from fltui.exchange.layout import END, PROTOCOL, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.manifest import End, Result, Status, Task
from fltui.exchange.publish import open_site, put_arrays, put_document
from fltui.model import Params, ParamsType

RUN = "sync-20260102T000000Z-beef"
EARLIER = "sync-20260101T000000Z-dead"
MODEL: Params = {
    "numpy_key": np.arange(9, dtype=np.float32).reshape(3, 3) / 7,
    "Layer 1/bias": np.array([0.1, -0.0, 1e-40, 3], np.float64),
}


@functools.cache
def earlier_files(site: str) -> dict[str, bytes]:
    """An earlier run of two rounds, with its answers, and the status of a script that could not even begin."""
    with tempfile.TemporaryDirectory() as place:
        folder = _opened(Path(place), site)
        for number in range(2):
            task_id = TaskId(EARLIER, number, "train")
            entries = put_arrays(MODEL, folder.tasks / str(task_id), folder.staging("server"))
            kind = ParamsType.FULL
            task = Task(PROTOCOL, EARLIER, str(task_id), "train", site, number, 0, 2, kind, entries)
            put_document(task, folder.task(task_id), folder.staging("server"))
            _answer(folder, task_id)
        end = End(PROTOCOL, EARLIER, "FINISHED:COMPLETED")
        put_document(end, folder.task(TaskId(EARLIER, 1, END)), folder.staging("server"))
        status = Status(PROTOCOL, site, "failed", 7, "0ld", reason="ImportError")
        put_document(status, folder.status, folder.staging("site"))
        return _files(Path(place))


@functools.cache
def ghost_files(site: str, number: int) -> dict[str, bytes]:
    """An answer to another task that had the name of this run's task."""
    with tempfile.TemporaryDirectory() as place:
        _answer(_opened(Path(place), site), TaskId(RUN, number, "train"))
        return _files(Path(place))


def _opened(root: Path, site: str) -> SiteFolder:
    folder = ExchangeFolder(root).site(site)
    open_site(folder, "server")
    open_site(folder, "site")
    return folder


def _answer(folder: SiteFolder, task_id: TaskId) -> None:
    arrays = {name: array + array.dtype.type(40) for name, array in MODEL.items()}
    entries = put_arrays(arrays, folder.results / str(task_id), folder.staging("site"))
    kind, other = ParamsType.FULL, "1" * 64
    result = Result(PROTOCOL, task_id.run, str(task_id), other, folder.name, task_id.round, kind, entries)
    put_document(result, folder.result(task_id), folder.staging("site"))


def _files(root: Path) -> dict[str, bytes]:
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}
