"""Accepted results as answers for a workflow."""

from __future__ import annotations

from pathlib import Path

from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader
from fltui.run.events import ResultAccepted
from fltui.run.state import RoundState
from fltui.workflows.workflow import Answer, Measured


class StoreArrays:
    """Opens private copies by digest; `held`: see `NpyReader`."""

    def __init__(self, store: Path, *, held: bool = True) -> None:
        self._store = store
        self._held = held

    def open(self, entry: ArrayEntry) -> NpyReader:
        """The elements of one array."""
        return NpyReader(self._store / f"{entry.blake3}.npy", entry.dtype, entry.shape, held=self._held)


def measured_of(found: RoundState) -> Measured:
    """What a finished round has measured."""
    return Measured(found.started.part, {site: found.accepted[site].metrics for site in sorted(found.accepted)})


def answer_of(event: ResultAccepted, store: Path, *, held: bool = True) -> Answer:
    """What a site answered, as the journal has it.

    Args:
        event: its result was accepted.
        store: folder of private copies.
        held: see `NpyReader`.
    """
    return Answer(
        site=event.site,
        params_type=event.params_type,
        weight=event.weight,
        metrics=event.metrics,
        entries={entry.name: entry for entry in event.arrays},
        arrays=StoreArrays(store, held=held),
    )
