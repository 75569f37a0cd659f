"""What is said of rounds beside their numbers: notes, the privacy spent, and which kinds of rounds there are."""

from __future__ import annotations

from dataclasses import dataclass, field

from fltui.console.runs.cross_site import CrossSite
from fltui.run.events import AnyEvent, PrivacySpent, RoundFinished, RoundNoted, RoundStarted, WorkflowFinished

_LONGEST = 400
"""Characters that are kept of the notes of one round."""


@dataclass
class Remarks:
    """Gathered event by event, so that nobody goes through all rounds to find out.

    Attributes:
        notes: round to what is said of it.
        spent: round to how much privacy was spent with it.
        varied: whether there are rounds that are no training.
        judged: whether some result was accepted and had no weight in its round's model.
        cross_site: the matrix of models and sites, where they are evaluated.
    """

    notes: dict[int, str] = field(default_factory=dict)
    spent: dict[int, PrivacySpent] = field(default_factory=dict)
    varied: bool = False
    judged: bool = False
    cross_site: CrossSite = field(default_factory=CrossSite)

    def add(self, event: AnyEvent) -> None:
        """Take an event in."""
        self.cross_site.add(event)
        match event:
            case RoundStarted():
                self.varied = self.varied or event.task_name != "train" or bool(event.part)
                if event.attempt > 1:
                    self.notes.pop(event.round, None)
            case RoundNoted():
                self._note(event.round, event.note)
            case PrivacySpent():
                self.spent[event.round] = event
            case RoundFinished():
                self.judged = self.judged or not all(event.weights.values())
            case WorkflowFinished():
                self._note(event.round - 1, f"{event.workflow} is over{': ' if event.reason else ''}{event.reason}")

    def _note(self, number: int, text: str) -> None:
        before = self.notes.get(number)
        self.notes[number] = (f"{before}; {text}" if before else text)[:_LONGEST]


def spent_text(spent: PrivacySpent) -> str:
    """``ε 3.19 (δ 1e-05)``."""
    return f"ε {spent.epsilon:.3g} (δ {spent.delta:g})"
