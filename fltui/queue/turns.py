"""Whose turn it is: first come, first served, as far as the sites are free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """An entry that wants to start, or runs.

    Attributes:
        id: of the entry.
        sites: those that it takes for itself; None for all that there are.
    """

    id: str
    sites: frozenset[str] | None


def next_turns(waiting: Sequence[Turn], running: Iterable[Turn], parallel: int) -> list[Turn]:
    """Those that may start now.

    A site is at one run at a time. What has to wait for its sites keeps them from all that come after it, so it has its
    turn as soon as those before it are over, whatever else arrives; what needs none of them does not wait for it.

    Args:
        waiting: in the order of their turns.
        running: what runs.
        parallel: how many may run at once.
    """
    found: list[Turn] = []
    taken, all_taken, count = set[str](), False, 0
    for turn in running:
        count += 1
        all_taken = all_taken or turn.sites is None
        taken |= turn.sites or set()
    for turn in waiting:
        if count >= parallel or all_taken:
            break
        free = not taken if turn.sites is None else not taken & turn.sites
        if free and (turn.sites is not None or not count):
            found.append(turn)
            count += 1
        all_taken = turn.sites is None
        taken |= turn.sites or set()
    return found
