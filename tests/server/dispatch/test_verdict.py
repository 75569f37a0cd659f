"""What the end of a run's process means for its entry."""

from __future__ import annotations

import pytest

from fltui.run.events import RunStatus
from fltui.run.state import RunState
from fltui.server.dispatch.verdict import TRIES, judge

BEGUN = RunState(run="hello", status=RunStatus.RUNNING)
OVER = RunState(run="hello", status=RunStatus.ABORTED, reason="asked for")


@pytest.mark.parametrize("code", [0, 1, 2, 3, -9])
def test_the_journal_is_the_truth_whatever_the_process_says(code: int) -> None:
    assert judge(OVER, code, "said", TRIES, "no room") == (RunStatus.ABORTED, "asked for")


def test_what_cannot_begin_or_be_resumed_has_failed_with_its_sentence() -> None:
    assert judge(None, 2, "job is broken", 1, "") == (RunStatus.FAILED, "job is broken")
    assert judge(BEGUN, 2, "job is broken", 0, "") == (RunStatus.FAILED, "it cannot be resumed: job is broken")


def test_nothing_has_failed_that_a_full_disk_is_to_blame_for() -> None:
    for state, code in ((None, 2), (BEGUN, 2), (BEGUN, 1)):
        assert judge(state, code, "said", TRIES, "the disk is full").state is None


def test_a_process_that_was_killed_is_started_again_but_not_for_ever() -> None:
    for state in (None, BEGUN):
        assert judge(state, -9, "killed", TRIES - 1, "").state is None
        assert judge(state, -9, "killed", TRIES, "") == (
            RunStatus.FAILED,
            "its server died 3 times without any progress of the run in between: killed",
        )
