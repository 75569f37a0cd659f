"""Events as what trackers are told."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fltui.errors import BadInputError
from fltui.run.events import AnyEvent, MetricLogged, RoundStarted, RunResumed, RunStatus
from fltui.tracking import stream
from fltui.tracking.records import Begun, Ended, GoneOn, Kind, ModelStored, Point, Series
from tests.run.journals import accepted, finished, rejected, round_finished, round_started, started
from tests.tracking.runs import records_of, whole


def points(records: list[object], kind: Kind) -> list[tuple[str, str, int, float]]:
    found = [record for record in records if isinstance(record, Point) and record.series.kind is kind]
    return [(point.series.site, point.series.name, point.step, point.value) for point in found]


def test_metrics_are_told_when_their_round_is_finished() -> None:
    before: list[AnyEvent] = [started(), round_started(), accepted("site-2", accuracy=0.7), accepted("site-1")]
    assert points(list(records_of(before)), Kind.METRIC) == []
    assert points(list(records_of([*before, round_finished()])), Kind.METRIC) == [
        ("site-1", "accuracy", 0, 0.5),
        ("site-2", "accuracy", 0, 0.7),
        ("", "accuracy", 0, 0.5),
    ]


def test_what_did_not_count_is_not_told() -> None:
    again = RoundStarted(round=0, task_name="train", sites=["site-1"], model="", attempt=2)
    events: list[AnyEvent] = [
        started(),
        round_started(),
        accepted("site-1", accuracy=9),
        again,
        accepted("site-1", accuracy=1),
    ]
    events += [accepted("site-2"), rejected("site-2"), round_finished(sites=["site-1"])]
    assert points(list(records_of(events)), Kind.METRIC)[:-1] == [("site-1", "accuracy", 0, 1)]


def test_a_round_with_another_model_is_left_aside_as_in_the_table() -> None:
    aside = replace(round_started(), part="site-1")
    events: list[AnyEvent] = [started(), aside, accepted("site-1"), round_finished(sites=["site-1"])]
    assert not [record for record in records_of(events) if isinstance(record, Point)]


def test_logged_values_have_their_step_or_their_number() -> None:
    logged = [
        MetricLogged(site="a", key="loss", value=float(n), round=0, step=step) for n, step in enumerate([None, 7])
    ]
    assert points(list(records_of([started(), *logged, logged[0]])), Kind.LOGGED) == [
        ("a", "loss", 0, 0.0),
        ("a", "loss", 7, 1.0),
        ("a", "loss", 2, 0.0),
    ]


def test_the_whole_of_a_run() -> None:
    records = records_of(whole(), {"job": "hello"})
    assert isinstance(records[0], Begun)
    assert records[0].parameters == {"job": "hello"}
    assert [record.round for record in records if isinstance(record, ModelStored)] == [1, 2, 3]
    end = records[-1]
    assert isinstance(end, Ended)
    assert (end.state, end.final, end.best, end.digest) == (RunStatus.COMPLETED, 3, 1, "b" * 64)
    assert ("", "epsilon", 0, 1.5) in points(list(records), Kind.ROUND)


def test_a_run_that_goes_on() -> None:
    failed = finished(RunStatus.FAILED, "site-1 is lost")
    records = records_of([started(), failed, RunResumed(restarted=True), RunResumed()])
    assert [type(record) for record in records] == [Begun, Ended, GoneOn]


def test_a_weight_without_a_result_is_no_run() -> None:
    with pytest.raises(BadInputError, match="weight of site 'site-1'"):
        records_of([started(), round_started(), round_finished()])


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_NAMES", 2)
    told = stream.Stream()
    events = [MetricLogged(site=site, key=key, value=1.0, round=0) for key in "abc" for site in ("x", "y")]
    records = [record for event in events for record in told.take(event)]
    assert {record.series for record in records if isinstance(record, Point)} == {
        Series(Kind.LOGGED, key, site) for key in "ab" for site in ("x", "y")
    }
    assert told.left_out == 2
