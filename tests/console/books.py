"""Run folders to look at: written event by event, with times that never change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import write_array
from fltui.model import ParamsType
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelSaved,
    ResultAccepted,
    ResultRejected,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
    TaskPublished,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import chained
from fltui.run.models import Models
from fltui.run.options import RunMode

RUN = "hello-fedavg-numpy-20260131T120000Z-3f2a"
BEGUN = 1_769_860_800.0
SITES = ("site-0", "site-1")


class Book:
    """Writes a run folder as an engine would, at times of its own.

    Args:
        runs: the folder of run folders.
        run: the run's id.
        exchange: what the journal calls the exchange folder.
    """

    def __init__(self, runs: Path, run: str = RUN, exchange: str = "/exchange") -> None:
        self.folder = RunFolder(runs / run)
        for part in (self.folder.models, self.folder.store, self.folder.logs, self.folder.control):
            part.mkdir(parents=True)
        self.exchange = exchange
        self.seconds = 0.0
        self.held = -1
        self._seq = 0
        self._head = ""
        self.folder.journal.touch()

    def write(self, *events: AnyEvent, after: float = 0.01) -> None:
        """Append events, each `after` seconds later than the one before."""
        with self.folder.journal.open("ab") as journal:
            for event in events:
                stamped = msgspec.structs.replace(
                    event, seq=self._seq, time=BEGUN + self.seconds, monotonic=100.0 + self.seconds
                )
                line, self._head = chained(stamped, self._head)
                journal.write(line)
                self._seq += 1
                self.seconds += after

    def log(self, source: str, *texts: str, level: str = "INFO") -> None:
        """Append lines to a log, at the time of the next event."""
        whole, part = divmod(self.seconds, 1)
        stamp = f"2026-01-31T12:00:{int(whole):02}.{int(part * 1000):03}Z"
        with (self.folder.logs / f"{source}.log").open("a", encoding="utf-8") as log:
            log.writelines(f"{stamp} {level} {text}\n" for text in texts)

    def start(
        self,
        rounds: int = 3,
        sites: Iterable[str] = SITES,
        *,
        mode: RunMode = "simulator",
        join: Iterable[str] | None = None,
    ) -> None:
        """The run begins and its sites join, or those of `join`."""
        names = list(sites)
        self.write(
            RunStarted(
                run=self.folder.run,
                job="hello-fedavg-numpy",
                workflow="FedAvg",
                sites=names,
                start_round=0,
                total_rounds=rounds,
                exchange=self.exchange,
                mode=mode,
            ),
            *(SiteJoined(site=name) for name in (names if join is None else join)),
        )
        self.log("server", f"run {self.folder.run} started: {rounds} rounds, sites {', '.join(names)}")

    def model(self, number: int, array: NDArray[np.float32] | None) -> None:
        """The model that enters round `number`; None for one without arrays."""
        models = Models(self.folder.models, durable=False)
        with models.new(number, [] if array is None else ["numpy_key"]) as new:
            if array is not None:
                new.add("numpy_key", array)
        found = models.load(number)
        self.write(ModelSaved(round=number, model=found.digest, path=f"models/round-{number:04}", bytes=found.size))

    def ask(self, number: int, sites: Iterable[str] = SITES) -> None:
        """A round begins and its tasks go out."""
        names = list(sites)
        self.write(RoundStarted(round=number, task_name="train", sites=names, model="a" * 64))
        self.log("server", f"round {number} started, {len(names)} sites asked")
        for name in names:
            self.write(TaskPublished(round=number, site=name, task_id=self.task(number), manifest="d" * 64, bytes=164))

    def answer(self, site: str, number: int, array: NDArray[np.float32], **metrics: float) -> None:
        """A site's result is accepted; its array is in the store."""
        beside = self.folder.store / "new.npy"
        entry: ArrayEntry = write_array(beside, "numpy_key", array, file="numpy_key.npy", durable=False)
        beside.rename(self.folder.store / f"{entry.blake3}.npy")
        self.log(site, f"received weights for round {number}", f"sending {array.tolist()}")
        self.write(
            ResultAccepted(
                round=number,
                site=site,
                task_id=self.task(number),
                params_type=ParamsType.FULL,
                weight=1.0,
                metrics=metrics,
                arrays=[entry],
                bytes=entry.size,
            )
        )

    def reject(self, site: str, number: int, reason: str) -> None:
        """A site's result does not count."""
        self.write(ResultRejected(round=number, site=site, task_id=self.task(number), reason=reason))
        self.log("server", f"round {number}: result of {site} rejected: {reason}", level="WARN")

    def lose(self, site: str, reason: str) -> None:
        """A site is lost."""
        self.write(SiteLost(site=site, reason=reason))
        self.log("server", f"site {site} is lost: {reason}", level="WARN")

    def logged(self, site: str, number: int, key: str, value: float, step: int) -> None:
        """A value that a script logged."""
        self.write(MetricLogged(site=site, key=key, value=value, round=number, step=step))

    def close_round(
        self, number: int, array: NDArray[np.float32], sites: Iterable[str] = SITES, **metrics: float
    ) -> None:
        """A round ends with a new model."""
        self.model(number + 1, array)
        self.write(
            RoundFinished(
                round=number,
                weights=dict.fromkeys(sites, 1.0),
                metrics=metrics,
                update_norm=3.0,
                model="b" * 64,
                seconds=0.12,
                first_result=0.05,
                last_result=0.07,
                aggregation=0.004,
                bytes_out=328,
                bytes_in=328,
            )
        )
        self.log("server", f"round {number} finished in 0.120 s, 2 answered, update norm 3")

    def finish(self, status: RunStatus = RunStatus.COMPLETED, reason: str = "", rounds: int = 3) -> None:
        """The run ends."""
        self.write(
            RunFinished(
                run=self.folder.run,
                state=status,
                reason=reason,
                rounds=rounds,
                final_model={},
                metrics={},
                seconds=self.seconds,
            )
        )

    def task(self, number: int) -> str:
        """A task id."""
        return f"{self.folder.run}.r{number:04}.train.a01"


def weights(plus: float) -> NDArray[np.float32]:
    """The tutorial's 1..9 and so much more."""
    return (np.arange(1, 10, dtype=np.float32) + np.float32(plus)).reshape(3, 3)


def hello(runs: Path, rounds: int = 3, *, run: str = RUN, end: bool = True) -> Book:
    """The hello run as it goes: 2..10, 3..11, 4..12, accuracy 5, 6, 7."""
    book = Book(runs, run)
    book.start(3)
    book.model(0, None)
    for number in range(rounds):
        book.ask(number)
        for site in SITES:
            book.answer(site, number, weights(number + 1), accuracy=5.0 + number)
        book.close_round(number, weights(number + 1), accuracy=5.0 + number)
    if end:
        book.finish(rounds=rounds)
    return book


def failed(runs: Path) -> Book:
    """A run whose second site raises in round 1."""
    book = hello(runs, 1, run=f"{RUN[:-4]}dead", end=False)
    book.ask(1)
    book.answer("site-0", 1, weights(2), accuracy=6.0)
    book.log("site-1", "Traceback (most recent call last):", level="ERROR")
    book.log("site-1", '  File "train.py", line 12, in <module>', "ValueError: labels are missing", level="ERROR")
    reason = "ValueError: labels are missing (train.py, line 12)"
    book.lose("site-1", reason)
    book.finish(RunStatus.FAILED, f"round 1: 1 of 2 sites answered, 2 needed; site-1: {reason}", rounds=1)
    return book
