"""What a run leaves besides its journal: ``metrics.csv`` and ``summary.json``."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fltui.run.events import RunFinished
from fltui.run.folder import RunFolder
from fltui.run.journal import to_json
from fltui.run.state import RunState


class MetricsTable:
    """Writes ``metrics.csv``: a row per round, site and metric; an empty site is the model as a whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", buffering=1)
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(("round", "site", "metric", "value"))

    def add(self, number: int, site: str, metrics: Mapping[str, float]) -> None:
        """Append one round's metrics of a site."""
        self._rows.writerows((number, site, name, value) for name, value in metrics.items())

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # a full disk was told when the row was added
            self._file.close()


def write_summary(folder: RunFolder, state: RunState, finished: RunFinished) -> None:
    """Write ``summary.json``: the outcome, the sites and the rounds."""
    summary = {
        **{
            name: value
            for name, value in to_json(finished).items()
            if name not in ("event", "seq", "time", "monotonic")
        },
        "job": state.job,
        "workflow": state.workflow,
        "started": state.started,
        "total_rounds": state.total_rounds,
        "sites": {
            name: {"results": site.results, "state": site.state, "reason": site.reason}
            for name, site in sorted(state.sites.items())
        },
    }
    folder.summary.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
