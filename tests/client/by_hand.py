"""The server's side of a conversation with one site, ``a``, played by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.client.config import ClientConfig, Durability
from fltui.client.output import LogFile
from fltui.client.session import Session
from fltui.exchange.collect import read_result
from fltui.exchange.layout import END, PROTOCOL, SiteFolder, TaskId
from fltui.exchange.manifest import End, Result, RunOutcome, Task, digest, encode
from fltui.exchange.publish import put_arrays, put_document
from fltui.model import ParamsType

RUN = "hello-20260101T000000Z-abcd"
WEIGHTS = np.arange(9, dtype=np.float32).reshape(3, 3)


def open_session(site: SiteFolder, **settings: Any) -> Session:
    """A session that does not fsync."""
    config = ClientConfig("a", str(site.root.parent), durability=Durability.PROCESS, **settings)
    return Session(config, LogFile())


def publish(
    site: SiteFolder,
    number: int,
    params: dict[str, NDArray[Any]],
    run: str = RUN,
    attempt: int = 1,
    name: str = "train",
    **meta: Any,
) -> Task:
    """Publish a task as the server does."""
    task_id = TaskId(run, number, name, attempt)
    entries = put_arrays(params, site.tasks / str(task_id), site.staging("server"))
    task = Task(PROTOCOL, run, str(task_id), name, "a", number, 0, 3, ParamsType.FULL, entries, meta)
    put_document(task, site.tasks / f"{task_id}.json", site.staging("server"))
    return task


def end(site: SiteFolder, run: str = RUN, state: RunOutcome = "FINISHED:COMPLETED") -> None:
    """End a run as the server does."""
    last = TaskId(run, 9, END)
    put_document(End(PROTOCOL, run, state), site.task(last), site.staging("server"))


def answer(site: SiteFolder, task: Task) -> Result:
    """The answer to a task as the server reads it."""
    expected = {entry.name: (entry.dtype, tuple(entry.shape)) for entry in task.arrays} or None
    return read_result(site, task, digest(encode(task)), expected)[0]
