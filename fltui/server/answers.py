"""Accepted results as answers for a workflow."""

from __future__ import annotations

from pathlib import Path

from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader
from fltui.run.events import ResultAccepted
from fltui.workflows.workflow import Answer


class StoreArrays:
    """Opens private copies by digest."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def open(self, entry: ArrayEntry) -> NpyReader:
        """The elements of one array."""
        return NpyReader(self._store / f"{entry.blake3}.npy", entry.dtype, entry.shape)


def answer_of(event: ResultAccepted, store: Path) -> Answer:
    """What a site answered, as the journal has it.

    Args:
        event: its result was accepted.
        store: folder of private copies.
    """
    return Answer(
        site=event.site,
        params_type=event.params_type,
        weight=event.weight,
        metrics=event.metrics,
        entries={entry.name: entry for entry in event.arrays},
        arrays=StoreArrays(store),
    )
