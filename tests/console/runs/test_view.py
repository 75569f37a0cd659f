"""Which round and which model are looked at."""

from __future__ import annotations

from pathlib import Path

from fltui.console.runs.view import RunView
from fltui.run.events import AnyEvent, ModelSaved
from fltui.run.folder import RunFolder
from fltui.run.state import apply
from tests.run.journals import accepted, round_finished, round_started, started, whole_run


def view_of(*events: AnyEvent) -> RunView:
    """A run after `events`."""
    view = RunView(RunFolder(Path("/runs/hello")))
    for event in events:
        view.state = apply(view.state, event)
    return view


def saved(number: int) -> ModelSaved:
    """The model that enters round `number`."""
    return ModelSaved(round=number, model="a" * 64, path=f"models/round-{number:04}", bytes=164)


def test_before_the_first_round_there_is_none() -> None:
    view = view_of(started())
    assert (view.newest, view.round, view.round_state, view.model) == (None, None, None, None)


def test_a_model_can_be_looked_at_before_the_first_round() -> None:
    assert view_of(started(), saved(0)).model == 0


def test_the_newest_round_is_followed() -> None:
    view = view_of(started(), saved(0), round_started(), accepted("site-1"))
    assert (view.newest, view.round) == (0, 0)
    assert view.round_state is view.state.rounds[0]
    for event in (saved(1), round_finished(sites=["site-1"]), round_started(1)):
        view.state = apply(view.state, event)
    assert (view.newest, view.round) == (1, 1)


def test_a_running_round_shows_the_model_that_entered_it() -> None:
    assert view_of(started(), saved(0), round_started()).model == 0


def test_a_finished_round_shows_the_model_that_left_it() -> None:
    view = view_of(*whole_run())
    assert (view.round, view.model) == (0, 1)


def test_a_chosen_round_stays_while_the_run_goes_on() -> None:
    view = view_of(*whole_run(), round_started(1))
    view.chosen = 0
    assert (view.newest, view.round, view.model) == (1, 0, 1)
    view.chosen = None
    assert (view.round, view.model) == (1, 1)


def test_a_chosen_round_that_does_not_exist_has_no_state() -> None:
    view = view_of(*whole_run())
    view.chosen = 9
    assert (view.round, view.round_state, view.model) == (9, None, 1)
