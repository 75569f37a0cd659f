"""What a run leaves besides its journal: ``metrics.csv`` and ``summary.json``."""

from __future__ import annotations

import contextlib
import csv
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from fltui.exchange.durable import sync_file, sync_folder, sync_tree
from fltui.exchange.visible import visible
from fltui.run.events import ModelChosen, RunFinished
from fltui.run.folder import RunFolder
from fltui.run.journal import to_json
from fltui.run.logs import ServerLog
from fltui.run.seal import write_seal
from fltui.run.state import RunState


class MetricsTable:
    """Writes ``metrics.csv``: a row per round, site and metric; an empty site is the model as a whole.

    Sites name the metrics: what would act on a terminal or end a row stands here as an escape, as wherever it is shown.

    All of it stands in the journal, too: a full disk costs rows and not the run, and `write_metrics` makes them again.

    Attributes:
        lacks_rows: a row could not be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", buffering=1, encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(("round", "site", "metric", "value"))
        self.lacks_rows = False

    def add(self, number: int, site: str, metrics: Mapping[str, float]) -> None:
        """Append one round's metrics of a site."""
        try:
            self._rows.writerows((number, site, visible(name), value) for name, value in metrics.items())
        except OSError:
            self.lacks_rows = True

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()


def write_metrics(path: Path, state: RunState) -> MetricsTable:
    """A table with the rows of all finished rounds, open for more.

    Raises:
        OSError: it cannot be made.
    """
    table = MetricsTable(path)
    for number, found in state.rounds.items():
        if found.finished is not None and not found.started.part:
            for site in sorted(found.finished.weights):
                table.add(number, site, found.accepted[site].metrics)
            table.add(number, "", found.finished.metrics)
    return table


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a table of what a run has found; text of sites stands in it as in `MetricsTable`.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}")
    with beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows([visible(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    os.replace(beside, path)


def write_summary(folder: RunFolder, state: RunState, finished: RunFinished, *, durable: bool = False) -> None:
    """Write ``summary.json``: the outcome, the sites and the rounds.

    With `durable` its content survives a power cut, and so does that of ``metrics.csv``: nobody makes them again once
    the run is over. Its name does with `fltui.run.seal.write_seal`.
    """
    summary = {
        **{
            name: value
            for name, value in to_json(finished).items()
            if name not in ("event", "seq", "time", "monotonic", "seal")
        },
        "job": state.job,
        "workflow": state.workflow,
        "started": state.started,
        "total_rounds": state.total_rounds,
        **({"best": _chosen(state.best)} if state.best else {}),
        **({"privacy": {"epsilon": state.spent.epsilon, "delta": state.spent.delta}} if state.spent else {}),
        "sites": {
            name: {"results": site.results, "state": site.state, "reason": site.reason}
            for name, site in sorted(state.sites.items())
        },
    }
    folder.summary.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    if durable:
        sync_file(folder.summary)
        sync_file(folder.metrics)


def _chosen(best: ModelChosen) -> dict[str, object]:
    return {"round": best.round, "metric": best.metric, "value": best.value, "model": "models/best"}


def close_books(folder: RunFolder, state: RunState, finished: RunFinished, log: ServerLog) -> RunFinished:
    """Write what there is to write at the end of a run, then seal it; what fails, as on a full disk, is left out.

    Args:
        folder: the run.
        state: before its last event.
        finished: its last event, the next to be written. The log has it from here: what is sealed must not change.
        log: of the server.

    Returns:
        The last event with the seal's digest.
    """
    durable = state.options.durable
    with contextlib.suppress(OSError):
        write_summary(folder, state, finished, durable=durable)
    log.event(replace(finished, time=time.time()))
    with contextlib.suppress(OSError):
        if durable:
            sync_tree(folder.logs)
            # What was removed must not come back: the seal says that it is not there.
            if not state.options.keep_results:
                sync_folder(folder.store)
            if state.options.keep_models is not None:
                sync_folder(folder.models)
    with contextlib.suppress(OSError):
        return replace(finished, seal=write_seal(folder, durable=durable))
    return finished
