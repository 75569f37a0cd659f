"""What a run leaves besides its journal: ``metrics.csv`` and ``summary.json``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fltui.run.events import RunFinished
from fltui.run.folder import RunFolder
from fltui.run.journal import to_json
from fltui.run.state import RunState


def start_metrics(path: Path) -> None:
    """Write the head of ``metrics.csv``."""
    path.write_text("round,site,metric,value\n")


def add_metrics(path: Path, number: int, site: str, metrics: Mapping[str, float]) -> None:
    """Append one round's metrics of a site, or of the model as a whole with an empty `site`."""
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((number, site, name, value) for name, value in metrics.items())


def write_summary(folder: RunFolder, state: RunState, finished: RunFinished) -> None:
    """Write ``summary.json``: the outcome, the sites and the rounds."""
    summary = {
        **{name: value for name, value in to_json(finished).items() if name not in ("event", "seq", "monotonic")},
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
