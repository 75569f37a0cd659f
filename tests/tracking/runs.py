"""Run folders to track, with figures that float32 cannot hold and names that trackers do not take."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from fltui.run.events import AnyEvent, MetricLogged, ModelChosen, ModelSaved, PrivacySpent
from fltui.run.folder import RunFolder
from fltui.run.journal import Journal
from fltui.run.models import Models
from fltui.server.books import write_metrics
from fltui.tracking.records import Record
from fltui.tracking.stream import Stream
from tests.run.journals import RUN, accepted, finished, round_finished, round_started, started

ODD = "Größe (%)/a"
"""A metric's name that MLflow does not take."""


def a_round(number: int, *, attempt: int = 1) -> list[AnyEvent]:
    """A round that both sites answer."""
    metrics = {"accuracy": 1 / (3 + number), ODD: 0.1 * number}
    found: list[Any] = [  # `replace` gives the first of the kinds there are, to mypy
        replace(round_started(number), attempt=attempt),
        MetricLogged(site="site-1", key="loss", value=1 / (7 + number), round=number),
        MetricLogged(site="site-1", key="loss/part", value=2 / (7 + number), round=number, step=10 * number),
        replace(accepted("site-2", number), metrics=metrics),
        replace(accepted("site-1", number), metrics={"accuracy": 1e-300 * (number + 1)}),
        ModelSaved(round=number + 1, model="b" * 64, path=f"models/round-{number + 1:04}", bytes=164),
        replace(round_finished(number), metrics={"accuracy": np.pi * number, "logged/x": 1.0}),
    ]
    return found


def whole(rounds: int = 3) -> list[AnyEvent]:
    """A run to its end: its second round is interrupted, and what that brought does not count."""
    interrupted: list[AnyEvent] = [round_started(1), accepted("site-1", 1, accuracy=99.0)]
    rest = [event for number in range(1, rounds) for event in a_round(number, attempt=2 if number == 1 else 1)]
    noted: list[AnyEvent] = [
        PrivacySpent(round=0, epsilon=1.5, delta=1e-5),
        ModelChosen(round=1, metric="accuracy", value=0.5),
    ]
    return [replace(started(), total_rounds=rounds), *a_round(0), *noted, *interrupted, *rest, finished()]


def write_run(runs: Path, events: Iterable[AnyEvent]) -> RunFolder:
    """A run folder with these events, the models they tell of, and ``metrics.csv``."""
    folder = RunFolder(runs / RUN)
    folder.models.mkdir(parents=True)
    append(folder, events)
    return folder


def append(folder: RunFolder, events: Iterable[AnyEvent]) -> None:
    """Let the run go on."""
    new = not folder.journal.exists()
    journal = Journal(folder.journal) if new else Journal.reopen(folder.journal, lambda _: None)
    models = Models(folder.models, durable=False)
    for event in events:
        if isinstance(event, ModelSaved):
            with models.new(event.round, ["w/1"]) as model:
                model.add("w/1", np.linspace(-1, event.round, 1000, dtype=np.float32).reshape(10, 100))
        journal.append(event)
    journal.close()
    write_metrics(folder.metrics, folder.state()).close()


def records_of(events: Iterable[AnyEvent], parameters: Mapping[str, str] | None = None) -> list[Record]:
    """All that trackers are told of some events."""
    stream = Stream(parameters)
    return [record for event in events for record in stream.take(event)]


def table(folder: RunFolder) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """``metrics.csv``: site and metric to rounds and values."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    with folder.metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["site"], row["metric"]), []).append((int(row["round"]), float(row["value"])))
    return found
