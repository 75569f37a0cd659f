"""Where a round happens: the run, its folders, who is there, and how careful to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.nudge import NoNudge, Nudge
from fltui.exchange.signing import NOBODY, Identity
from fltui.run.events import Event
from fltui.server.roster import Roster


class AppendEvent(Protocol):
    """`Journal.append`."""

    def __call__(self, event: Event, /) -> object:
        """Write the event."""


@dataclass(frozen=True)
class RoundPlace:
    """Where a round happens.

    Attributes:
        run: the run's id.
        exchange: the exchange folder.
        store: folder of private copies.
        roster: who is there.
        append: writes an event into the journal.
        accepted: called with a site whose result was accepted.
        threads: how many sites may have a task at once; None for all.
        mandatory: sites that must answer if they are asked.
        patience: seconds to wait for a site that is needed and silent.
        delivery: seconds to wait for a result of which nothing more comes.
        keep: keep the manifests of results beside their arrays.
        link: server and sites are one user: give sites links to one copy of the model, and keep links to results.
        durable: fsync what is published and stored.
        seed: of the run, for the scripts.
        identity: signs the tasks, knows whose results are to be signed.
        spare: task whose folder lies empty at a site; taken by the next task there.
        nudge: is told of the tasks.
    """

    run: str
    exchange: ExchangeFolder
    store: Path
    roster: Roster
    append: AppendEvent
    accepted: Callable[[str], None]
    threads: int | None
    mandatory: frozenset[str]
    patience: float
    delivery: float
    keep: bool
    link: bool
    durable: bool
    seed: int = 0
    identity: Identity = NOBODY
    spare: dict[str, TaskId] = field(default_factory=dict)
    nudge: Nudge = field(default_factory=NoNudge)
