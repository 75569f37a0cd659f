"""What the panels of a run screen show: the run as far as it has been read, and the round a person looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fltui.console.runs.remarks import Remarks
from fltui.console.runs.series import Series
from fltui.run.events import AnyEvent
from fltui.run.folder import RunFolder
from fltui.run.state import RoundState, RunState, apply


@dataclass
class RunView:
    """A run as it is shown.

    Attributes:
        folder: where it lies.
        state: folded from its events so far; every text in it is harmless.
        series: its metrics so far.
        remarks: what else is told of its rounds.
        chosen: the round a person walked to; None follows the newest.
        alive: whether it goes on: an engine on this machine holds it, its journal grows, or it is being played back.
        played: whether it is being played back.
        exchange: path of the exchange folder as the journal has it, to open files there, not to be shown.
    """

    folder: RunFolder
    state: RunState = field(default_factory=RunState)
    series: Series = field(default_factory=Series)
    remarks: Remarks = field(default_factory=Remarks)
    chosen: int | None = None
    alive: bool = False
    played: bool = False
    exchange: str = ""

    def add(self, event: AnyEvent) -> None:
        """Take in an event whose texts are harmless.

        Raises:
            KeyError: it is of a round that did not start.
        """
        self.state = apply(self.state, event)
        self.series.add(event)
        self.remarks.add(event)

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics of rounds, in the order in which they came up."""
        return list(dict.fromkeys([*self.series.by_round, *self.remarks.cross_site.sheets]))

    @property
    def exchange_folder(self) -> Path:
        """Where the files of the exchange are."""
        return Path(self.exchange or self.state.exchange)

    @property
    def newest(self) -> int | None:
        """The last round that has begun."""
        return next(reversed(self.state.rounds), None)

    @property
    def round(self) -> int | None:
        """The round that is shown; None before the first."""
        return self.newest if self.chosen is None else self.chosen

    @property
    def round_state(self) -> RoundState | None:
        """What is known of the round that is shown."""
        return None if self.round is None else self.state.rounds.get(self.round)

    @property
    def model(self) -> int | None:
        """Number of the global model that is shown: the one that left the shown round, or entered it if it still runs.

        None before there is any. The folder of model `n`, which enters round `n`, is ``models/round-<n>``.
        """
        found = self.round_state
        if found is None or self.round is None:
            return next(reversed(self.state.models), None)
        return self.round + 1 if found.finished else self.round
