"""What the end of a run's process means for its entry."""

from __future__ import annotations

from typing import NamedTuple

from fltui.run.events import RunStatus
from fltui.run.state import RunState

TRIES = 3
"""How often the process of a run may die without any progress of the run in between before its entry is given up."""

_SAID = (1, 2, 3)
"""Exit codes of a process that has said what is wrong, and would say it again."""

_BAD_INPUT = 2


class Verdict(NamedTuple):
    """What comes of it.

    Attributes:
        state: how the entry ended; None if the run is to go on, or to begin, once more.
        reason: why.
    """

    state: RunStatus | None
    reason: str


def judge(state: RunState | None, code: int, said: str, tries: int, trouble: str) -> Verdict:
    """Whether an entry is over.

    Args:
        state: of its run, where that has begun.
        code: what its process exited with; below zero the signal that killed it.
        said: why, in its words.
        tries: how often in a row it has died without progress, this time included; 0 if it made some.
        trouble: see `Places.trouble`.
    """
    if state is not None and state.status.is_finished:
        return Verdict(state.status, state.reason)
    if trouble:
        return Verdict(None, f"{said}; it goes on when this is over: {trouble}")
    if state is None and code in _SAID:
        return Verdict(RunStatus.FAILED, said)
    if code == _BAD_INPUT:
        return Verdict(RunStatus.FAILED, f"it cannot be resumed: {said}")
    if tries >= TRIES:
        why = f"its server died {tries} times without any progress of the run in between: {said}"
        return Verdict(RunStatus.FAILED, why)
    return Verdict(None, f"{said}; it is started again")
