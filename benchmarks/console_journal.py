"""How long a journal of many events takes to open: ``python -m benchmarks.console_journal``."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import msgspec

from fltui.console.runs.follow import Follower
from fltui.model import ParamsType
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelSaved,
    ResultAccepted,
    RoundFinished,
    RoundStarted,
    RunStarted,
    SiteJoined,
    TaskPublished,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import chained

_SITES = 20


def write_journal(path: Path, events: int) -> int:
    """Write the journal of a run of 20 sites with at least `events` events; how many there are."""
    names = [f"site-{number}" for number in range(_SITES)]
    found: list[AnyEvent] = [
        RunStarted(
            run="big",
            job="big",
            workflow="FedAvg",
            sites=names,
            start_round=0,
            total_rounds=10**6,
            exchange="/exchange",
        ),
        *(SiteJoined(site=name) for name in names),
    ]
    number = 0
    while len(found) < events:
        task = f"big.r{number:04}.train.a01"
        found.append(RoundStarted(round=number, task_name="train", sites=names, model="a" * 64))
        for name in names:
            found.append(TaskPublished(round=number, site=name, task_id=task, manifest="d" * 64, bytes=164))
            found.append(MetricLogged(site=name, key="loss", value=1.0 / (number + 1), round=number, step=number))
            found.append(
                ResultAccepted(
                    round=number,
                    site=name,
                    task_id=task,
                    params_type=ParamsType.FULL,
                    weight=1.0,
                    metrics={"accuracy": 0.5, "loss": 0.25},
                    arrays=[],
                    bytes=164,
                )
            )
        found.append(ModelSaved(round=number + 1, model="b" * 64, path=f"models/round-{number + 1:04}", bytes=164))
        found.append(
            RoundFinished(
                round=number,
                weights=dict.fromkeys(names, 1.0),
                metrics={"accuracy": 0.5, "loss": 0.25},
                update_norm=3.0,
                model="b" * 64,
                seconds=0.1,
                first_result=0.05,
                last_result=0.07,
                aggregation=0.004,
                bytes_out=3280,
                bytes_in=3280,
            )
        )
        number += 1
    head = ""
    with path.open("wb") as journal:
        for seq, event in enumerate(found):
            stamped = msgspec.structs.replace(event, seq=seq, time=1e9 + seq * 1e-3, monotonic=seq * 1e-3)
            line, head = chained(stamped, head)
            journal.write(line)
    return len(found)


def measure(events: int = 100_000) -> dict[str, float]:
    """Seconds until a run of that many events can be shown, and how many there were."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "big")
        run.logs.mkdir(parents=True)
        written = write_journal(run.journal, events)
        opened = threading.Event()
        begun = time.perf_counter()
        follower = Follower(run, opened.set)
        opened.wait()
        seconds = time.perf_counter() - begun
        batch = follower.take()
        follower.close()
        if batch is None or batch.opening is None or batch.opening.state.events != written:
            raise RuntimeError("the journal was not read to its end")
        return {"journal_events": float(written), "journal_open_s": seconds}


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:24} {value:12.3f}")
