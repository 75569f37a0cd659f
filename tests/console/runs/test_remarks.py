"""What is said of rounds beside their numbers."""

from __future__ import annotations

from fltui.console.runs.remarks import Remarks, spent_text
from fltui.run.events import AnyEvent, PrivacySpent, RoundNoted
from tests.console.evaluated import asked, evaluation, over, trained
from tests.run.journals import whole_run


def remarks(*events: AnyEvent) -> Remarks:
    """What has come in."""
    found = Remarks()
    for event in events:
        found.add(event)
    return found


def test_of_plain_training_there_is_nothing_to_say() -> None:
    assert remarks(*whole_run()) == Remarks()


def test_notes_and_the_end_of_a_workflow_stand_with_their_round() -> None:
    found = remarks(*trained())
    gave = "site-2 gave no model, which is therefore not evaluated"
    assert found.notes == {1: f"{gave}; FedAvg is over: accuracy >= 0.4 holds"}
    assert [spent.epsilon for spent in found.spent.values()] == [1.5, 2.5]


def test_rounds_that_are_no_training_and_results_without_a_weight_are_noticed() -> None:
    assert (remarks(*trained()).varied, remarks(*evaluation()).varied) == (False, True)
    assert (remarks(asked(0), over(0)).judged, remarks(asked(0), over(0, counted=2)).judged) == (False, True)


def test_a_round_that_is_begun_again_loses_its_notes() -> None:
    assert remarks(asked(0), RoundNoted(round=0, note="gone"), asked(0, attempt=2)).notes == {}


def test_notes_of_a_round_do_not_grow_for_ever() -> None:
    found = remarks(*(RoundNoted(round=0, note="again and again") for _ in range(1000)))
    assert len(found.notes[0]) == 400


def test_privacy_in_short() -> None:
    assert spent_text(PrivacySpent(round=0, epsilon=3.1876, delta=1e-5)) == "ε 3.19 (δ 1e-05)"
