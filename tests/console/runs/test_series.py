"""The values of metrics in the order they came."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fltui.console.runs.series import GLOBAL, MOST_METRICS, Line, Series
from fltui.run.events import AnyEvent, MetricLogged, RoundStarted
from tests.console.evaluated import evaluation, trained
from tests.run.journals import accepted, rejected, round_finished, round_started, whole_run


def series_of(*events: AnyEvent) -> Series:
    """What has come in."""
    series = Series()
    for event in events:
        series.add(event)
    return series


def points(lines: Mapping[str, Line]) -> dict[str, list[tuple[float, float]]]:
    """Every source with its places and values."""
    return {source: list(zip(line.xs, line.ys, strict=True)) for source, line in lines.items()}


def logged(value: float, step: int | None = None, site: str = "site-1", key: str = "loss") -> MetricLogged:
    """A value of a script."""
    return MetricLogged(site=site, key=key, value=value, round=0, step=step)


def test_a_run_gives_a_line_for_each_site_and_one_for_the_model() -> None:
    series = series_of(*whole_run())
    assert points(series.by_round["accuracy"]) == {"site-1": [(0, 0.5)], "site-2": [(0, 0.7)], GLOBAL: [(0, 0.5)]}
    assert series.by_step == {}


def test_rounds_follow_one_another() -> None:
    series = series_of(
        accepted("site-1"), round_finished(), accepted("site-1", 1, 0.9), round_finished(1), accepted("site-1", 3, 0.1)
    )
    assert points(series.by_round["accuracy"]) == {
        "site-1": [(0, 0.5), (1, 0.9), (3, 0.1)],
        GLOBAL: [(0, 0.5), (1, 0.6)],
    }


def test_a_result_that_is_rejected_later_does_not_count() -> None:
    series = series_of(accepted("site-1"), accepted("site-2"), rejected("site-1"))
    assert points(series.by_round["accuracy"]) == {"site-1": [], "site-2": [(0, 0.5)]}


def test_a_result_that_never_counted_takes_nothing_back() -> None:
    series = series_of(accepted("site-1"), rejected("site-1", number=1), rejected("site-3", number=1))
    assert points(series.by_round["accuracy"]) == {"site-1": [(0, 0.5)]}


def test_a_round_that_is_done_again_replaces_its_value() -> None:
    series = series_of(accepted("site-1", 2, 0.1), accepted("site-1", 2, 0.2))
    assert points(series.by_round["accuracy"]) == {"site-1": [(2, 0.2)]}


def test_what_scripts_log_stands_by_step() -> None:
    series = series_of(logged(3.0, 0), logged(2.0, 10), logged(1.0, 10), logged(5.0, 0, site="site-2"))
    assert points(series.by_step["loss"]) == {"site-1": [(0, 3), (10, 1)], "site-2": [(0, 5)]}
    assert series.by_round == {}


def test_without_steps_values_are_counted() -> None:
    series = series_of(logged(3.0), logged(2.0), logged(1.0), logged(9.0, key="time"))
    assert points(series.by_step["loss"]) == {"site-1": [(0, 3), (1, 2), (2, 1)]}
    assert points(series.by_step["time"]) == {"site-1": [(0, 9)]}


def again(number: int, attempt: int = 2) -> RoundStarted:
    """A round that is begun again."""
    return msgspec.structs.replace(round_started(number), attempt=attempt)


def test_what_came_by_round_before_an_interruption_does_not_count() -> None:
    before: list[AnyEvent] = [round_started(), accepted("site-1"), accepted("site-2"), round_finished()]
    interrupted: list[AnyEvent] = [round_started(1), accepted("site-1", 1, 0.1), again(1), accepted("site-2", 1, 0.9)]
    series = series_of(*before, *interrupted)
    assert points(series.by_round["accuracy"]) == {
        "site-1": [(0, 0.5)],
        "site-2": [(0, 0.5), (1, 0.9)],
        GLOBAL: [(0, 0.5)],
    }


def test_what_scripts_logged_before_an_interruption_stays() -> None:
    series = series_of(round_started(), logged(3.0, 0), again(0), logged(2.0, 1))
    assert points(series.by_step["loss"]) == {"site-1": [(0, 3), (1, 2)]}


def test_of_any_number_of_metrics_the_first_are_kept_and_the_values_of_the_others_counted() -> None:
    flood = {f"m{number}": 0.5 for number in range(MOST_METRICS + 30)}
    series = series_of(msgspec.structs.replace(accepted("site-1"), metrics=flood), accepted("site-2"))
    assert list(series.by_round) == list(flood)[:MOST_METRICS]
    assert series.left_out == 31
    series = series_of(*(logged(1.0, key=f"m{number}") for number in range(MOST_METRICS + 5)), logged(2.0, key="m0"))
    assert len(series.by_step) == MOST_METRICS
    assert series.left_out == 5
    assert points(series.by_step["m0"]) == {"site-1": [(0, 1), (1, 2)]}


def test_values_of_other_models_than_the_global_one_are_left_aside() -> None:
    series = series_of(*trained(), *evaluation())
    assert points(series.by_round["accuracy"])[GLOBAL] == [(0, 0.4), (1, 0.4 - 0.1), (6, 0.6 + 0.05 * 3)]
    assert [x for x, _ in points(series.by_round["loss"])["site-1"]] == [6]
