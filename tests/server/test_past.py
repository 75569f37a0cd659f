"""What a journal tells the server that goes on with a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from fltui.errors import BadInputError
from fltui.exchange.layout import TaskId
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder
from fltui.run.state import RunState
from fltui.server.past import Past, check_resumable
from tests.run.journals import RUN, accepted, asked, round_finished, round_started, started


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (RunState(run=RUN, status=RunStatus.COMPLETED), f"run {RUN} has completed, so there is nothing to resume"),
        (RunState(), f"run {RUN} had not begun when its server died; start it anew"),
        (RunState(run="other"), f"run other lies in a folder of another name, /runs/{RUN}; name it as before"),
    ],
)
def test_what_cannot_go_on_is_told(state: RunState, told: str) -> None:
    with pytest.raises(BadInputError) as error:
        check_resumable(RunFolder(Path("/runs") / RUN), state)
    assert str(error.value) == told


@pytest.mark.parametrize("status", [RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.FAILED, RunStatus.ABORTED])
def test_all_others_can(status: RunStatus) -> None:
    check_resumable(RunFolder(Path("/runs") / RUN), RunState(run=RUN, status=status))


def test_only_tasks_that_may_still_be_there_are_kept() -> None:
    past = Past()
    past.take(replace(started(), total_rounds=10))
    for number in range(10):
        past.take(round_started(number))
        past.take(asked("site-1", number))
        if number < 9:
            past.take(accepted("site-1", number))
            past.take(round_finished(number, ["site-1"]))
    kept = 2 * past.state.options.keep_rounds
    assert past.tasks == [("site-1", TaskId(RUN, number, "train")) for number in range(8 - kept, 10)]
    assert past.state.next_round == 9
