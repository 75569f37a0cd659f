"""Files that travel in any order, late, twice, half and worse: a thousand schedules, each a whole run.

A schedule that fails is played again, and made as simple as can be, by ``python -m tests.faults.delivery.judged SEED``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.faults.clockwork import StuckError
from tests.faults.delivery.courier import ALL, Courier, Mischief, parts
from tests.faults.delivery.judged import faults
from tests.faults.delivery.relics import earlier_files
from tests.faults.delivery.scheduled import play
from tests.faults.delivery.schedules import Schedule, simplest
from tests.jobs import drifting, events_until, started, write_job

SCHEDULES = 1000
CHUNK = 25
STEPS = {"a": 0.3, "b": 0.7}


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_no_delivery_harms_a_run(first: int) -> None:
    found = {seed: faults(Schedule.drawn(seed)) for seed in range(first, first + CHUNK)}
    told = [f"python -m tests.faults.delivery.judged {seed}: {'; '.join(what)}" for seed, what in found.items() if what]
    assert not told, "\n".join(told)


def test_a_seed_is_one_schedule() -> None:
    first, second = (play(Schedule.drawn(10)) for _ in range(2))
    assert [type(event) for event in first.events] == [type(event) for event in second.events]
    assert [event.monotonic for event in first.events] == [event.monotonic for event in second.events]


def test_a_schedule_that_fails_is_made_simple() -> None:
    needed = {Mischief.LATE, Mischief.HALF}
    found = simplest(Schedule(1, ALL, earlier=True, killed=True), lambda one: needed <= one.kinds and one.killed)
    assert found == Schedule(1, frozenset(needed), killed=True)


def test_a_run_that_never_ends_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.delivery.courier.Way.act", lambda *_: None)
    monkeypatch.setattr("tests.faults.delivery.scheduled.LIMIT", 20.0)
    (told,) = faults(Schedule(1))
    assert told.startswith(StuckError.__name__)


def test_parts_are_never_the_whole_but_by_chance() -> None:
    found = [part for seed in range(50) for part in parts(Random(seed), b"0123456789", ALL)]
    assert {len(part) for part in found} >= {0, 1, 5, 9, 10}
    assert any(part == bytes(10) for part in found)


@contextmanager
def carried(couriers: Sequence[Courier]) -> Iterator[None]:
    """Let a sync layer work in a thread."""
    over, failed = threading.Event(), list[Exception]()

    def carry() -> None:
        try:
            while not over.wait(0.005):
                for courier in couriers:
                    courier.step(time.monotonic())
        except Exception as error:  # noqa: BLE001 - the test raises it
            failed.append(error)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failed, failed


def test_processes_with_folders_of_their_own_come_to_the_same_model(tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", {site: drifting(step) for site, step in STEPS.items()}, "num_rounds=3")
    couriers = []
    for place, site in enumerate(STEPS):
        (tmp_path / site).mkdir()
        copy = tmp_path / site / "exchange"
        courier = Courier(tmp_path / "exchange", copy, site, Random(place), ALL - {Mischief.SILENT})
        relics = {name: data for name, data in earlier_files(site).items() if "/tasks/" not in name}
        courier.to_server.raise_up(relics, time.monotonic())
        couriers.append(courier)
    serve = ("server", path, "--json", "--wait", "40", "--durability", "process")
    client = ("--durability", "process", "--exchange")
    with (
        started(tmp_path, *serve) as server,
        carried(couriers),
        started(tmp_path / "a", "client", tmp_path / "job" / "a.py", "--site", "a", *client, "exchange") as a,
        started(tmp_path / "b", "client", tmp_path / "job" / "b.py", "--site", "b", *client, "exchange") as b,
    ):
        events = events_until(server, "run_finished")
        assert [process.wait() for process in (server, a, b)] == [0, 0, 0], events[-1]
    assert events[-1]["state"] == "FINISHED:COMPLETED"
    assert not [event for event in events if event["event"] == "result_rejected"]
    accepted = [(event["site"], event["round"]) for event in events if event["event"] == "result_accepted"]
    assert sorted(accepted) == [(site, number) for site in STEPS for number in range(3)]
    np.testing.assert_array_equal(np.load(events[-1]["final_model"]["numpy_key"]), undisturbed_model(3))


def undisturbed_model(rounds: int) -> NDArray[np.float32]:
    """What `drifting` sites make of zeros."""
    model: NDArray[np.float32] = np.zeros((3, 3), np.float32)
    for _ in range(rounds):
        sent = [model * np.float32(0.9) + np.float32(step) for step in STEPS.values()]
        model = ((sent[0].astype(np.float64) + sent[1]) / 2).astype(np.float32)
    return model
