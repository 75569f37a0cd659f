"""What can happen to a run whose files travel: a schedule for each seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from fltui.client.config import TransferType
from tests.faults.delivery.courier import ALL, Mischief


@dataclass(frozen=True)
class Schedule:
    """What happens in one run; all else follows from `seed`.

    Attributes:
        kinds: the mischief of the sync layer.
        sites: how many.
        rounds: how many.
        named: the job names its sites.
        bound: the scripts are started for this run, not for the first that they find.
        transfer: what the scripts send.
        earlier: what an earlier run left is there or comes back.
        killed: a script is killed and started again.
        aborted: the run is aborted and resumed.
        ghost: an answer of the run's other life comes up: its server's disk was set back to an older copy.
    """

    seed: int
    kinds: frozenset[Mischief] = frozenset()
    sites: int = 2
    rounds: int = 2
    named: bool = True
    bound: bool = True
    transfer: TransferType = TransferType.FULL
    earlier: bool = False
    killed: bool = False
    aborted: bool = False
    ghost: bool = False

    @classmethod
    def drawn(cls, seed: int) -> Schedule:
        """The schedule of a seed: every tenth with all the mischief, the others with some of it."""
        rng = random.Random(f"schedule {seed}")
        drawn = frozenset(kind for kind in Mischief if rng.random() < 0.33)
        ghost = rng.random() < 0.1
        aborted = not ghost and seed % 10 != 0 and rng.random() < 0.1
        kinds = ALL if seed % 10 == 0 else drawn
        if aborted:
            # An end that comes back before the new task is there sends the script away: it has to be started again.
            kinds -= {Mischief.RISEN}
        if ghost:
            kinds -= {Mischief.SILENT}  # who is refused for a ghost's sake and who is silent would be too many
        return cls(
            seed,
            kinds,
            sites=rng.choice((2, 2, 2, 2, 2, 2, 2, 3)),
            rounds=3 if seed % 10 == 0 else rng.choice((2, 2, 2, 2, 2, 3)),
            named=rng.random() < 0.5,
            bound=rng.random() < 0.5,
            transfer=TransferType.DIFF if rng.random() < 0.3 else TransferType.FULL,
            earlier=rng.random() < 0.3 and not ghost,
            killed=not ghost and rng.random() < 0.2,
            aborted=aborted,
            ghost=ghost,
        )

    def calm(self) -> Schedule:
        """The same run undisturbed."""
        return Schedule(0, sites=self.sites, rounds=self.rounds, transfer=self.transfer)

    @property
    def names(self) -> list[str]:
        """Of the sites."""
        return [f"site-{number}" for number in range(self.sites)]

    def simpler(self) -> Iterator[Schedule]:
        """This schedule with one thing less."""
        for kind in sorted(self.kinds):
            yield replace(self, kinds=self.kinds - {kind})
        if self.earlier:
            yield replace(self, earlier=False)
        if self.killed:
            yield replace(self, killed=False)
        if self.aborted:
            yield replace(self, aborted=False)
        if self.ghost:
            yield replace(self, ghost=False)


def simplest(schedule: Schedule, fails: Callable[[Schedule], bool]) -> Schedule:
    """A schedule that still fails and does not without any of the things that happen in it."""
    for simpler in schedule.simpler():
        if fails(simpler):
            return simplest(simpler, fails)
    return schedule
