"""What no schedule may do to a run: the promises, looked up in its journal and in what its sites remember."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Iterator

from fltui.run.events import (
    MetricLogged,
    ModelSaved,
    ResultAccepted,
    ResultRejected,
    RoundFinished,
    RunFinished,
    RunStatus,
)
from tests.faults.delivery.scheduled import Played, play
from tests.faults.delivery.schedules import Schedule, simplest


@functools.cache
def undisturbed(schedule: Schedule) -> Played:
    """What a calm schedule comes to; one for all that would come to the same."""
    return play(schedule)


def faults(schedule: Schedule) -> list[str]:
    """What a schedule does that no run may do; empty if all is well."""
    try:
        played = play(schedule)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
        return [f"{type(error).__name__}: {error}"]
    return [
        *_ends_well(schedule, played),
        *_counts_once(schedule, played),
        *_reads_whole(schedule, played),
        *_mirrors(played),
    ]


def _ends_well(schedule: Schedule, played: Played) -> Iterator[str]:
    end = played.events[-1]
    if not isinstance(end, RunFinished) or end.state is not RunStatus.COMPLETED:
        yield f"the run did not complete: {end}"
    for event in played.of(ResultRejected):
        if not (schedule.ghost and event.site == schedule.names[0] and "is stale" in event.reason):
            yield f"an honest result is rejected: {event.site} in round {event.round}: {event.reason}"
    expected = undisturbed(schedule.calm()) if not schedule.ghost else played
    saved = {event.round: event.model for event in played.of(ModelSaved)}
    if saved != {event.round: event.model for event in expected.of(ModelSaved)} or played.models != expected.models:
        yield "the models are not those of an undisturbed run"


def _counts_once(schedule: Schedule, played: Played) -> Iterator[str]:
    accepted = Counter((event.site, event.task_id) for event in played.of(ResultAccepted))
    yield from (f"{site} is counted {count} times for {task}" for (site, task), count in accepted.items() if count > 1)
    weights = {site: float(place + 1) for place, site in enumerate(schedule.names)}
    finished = played.of(RoundFinished)
    if [event.round for event in finished] != list(range(schedule.rounds)):
        yield f"the rounds that finished are {[event.round for event in finished]}"
    for event in finished:
        # With a ghost about, one answer is enough.
        if not (event.weights.items() <= weights.items() if schedule.ghost else event.weights == weights):
            yield f"the weights of round {event.round} are {event.weights}"
    logged = Counter((event.site, event.round) for event in played.of(MetricLogged))
    yield from (f"a value of {site} is logged {count} times" for (site, _), count in logged.items() if count > 1)
    for event in played.of(MetricLogged):
        if event.value != played.logged.get((event.site, event.round)):
            yield f"{event.site} did not log {event.value} in round {event.round}"


def _mirrors(played: Played) -> Iterator[str]:
    for site, (copy, own) in played.logs.items():
        if not own.startswith(copy):
            yield f"the log of {site} in the run folder is not what it wrote: {copy!r}"


def _reads_whole(schedule: Schedule, played: Played) -> Iterator[str]:
    for event in played.of(ResultAccepted):
        if {entry.name: entry.blake3 for entry in event.arrays} != played.meant.get((event.site, event.round)):
            yield f"what was accepted of {event.site} in round {event.round} is not what it sent"
    for site, starts in played.trained.items():
        for trained in starts:
            for number, model in trained:
                if model != played.models.get(number):
                    yield f"{site} trained on something else than the model of round {number}"
            numbers = [number for number, _ in trained]
            if numbers != sorted(set(numbers)) and not schedule.aborted:
                yield f"{site} trained in the rounds {numbers}"


if __name__ == "__main__":
    asked = Schedule.drawn(int(sys.argv[1]))
    for fault in faults(asked):
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write(f"{simplest(asked, lambda schedule: bool(faults(schedule)))}\n")
