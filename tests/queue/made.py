"""Queues and entries, made without a job script: a folder that looks like a job is enough for most."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fltui import FedAvg, FedJob, ScriptExecutor
from fltui.exchange.publish import put_document
from fltui.queue.documents import Claim, EntryAbout, EntryEnd, Wishes
from fltui.queue.folder import EntryFolder, QueueFolder

RUN = "hello-20260131T120000Z-beef"
SITES = ("site-1", "site-2")


def queue_in(folder: Path) -> QueueFolder:
    """An empty queue."""
    queue = QueueFolder(folder / "queue")
    queue.make()
    return queue


def put_entry(
    queue: QueueFolder,
    name: str,
    order: int = 0,
    *,
    sites: Sequence[str] = SITES,
    wishes: Wishes | None = None,
    claim: Claim | None = None,
    end: EntryEnd | None = None,
) -> EntryFolder:
    """An entry whose job names `sites`, or is for whoever comes where there are none."""
    folder = queue.entry(name)
    folder.job.mkdir(parents=True)
    deploy = {"app_server": ["server"], **{f"app_{site}": [site] for site in sites}} if sites else {"app": ["@ALL"]}
    (folder.job / "meta.json").write_text(json.dumps({"name": "hello", "deploy_map": deploy}))
    about = EntryAbout(order=order, job="hello", wishes=wishes or Wishes())
    for document, path in ((about, folder.about), (claim, folder.claim), (end, folder.end)):
        if document is not None:
            put_document(document, path, folder.root)
    return folder


def export_job(folder: Path) -> Path:
    """A real job folder, for site-1 and site-2."""
    with contextlib.chdir(folder):
        Path("train.py").write_text("print()\n")
        made = FedJob("hello")
        made.to_server(FedAvg(num_clients=2, num_rounds=3, model=np.zeros(2, np.float32)))
        for site in SITES:
            made.to(ScriptExecutor("train.py"), site)
        made.export_job("jobs")
    return folder / "jobs" / "hello"
