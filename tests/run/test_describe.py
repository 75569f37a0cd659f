from __future__ import annotations

import msgspec
import pytest

from fltui.exchange.sizes import size_text
from fltui.run.describe import describe, metrics_text
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    RequestRefused,
    RunPaused,
    RunResumed,
    RunStatus,
    SiteJoined,
    SiteLost,
)
from tests.run.journals import RUN, accepted, asked, finished, rejected, round_finished, round_started, started


@pytest.mark.parametrize(
    ("event", "level", "sentence"),
    [
        (started(), "INFO", f"run {RUN} started: 2 rounds, sites site-1, site-2"),
        (SiteJoined(site="site-1"), "DEBUG", "site site-1 joined"),
        (SiteLost(site="site-1", reason="exit code 1"), "WARN", "site site-1 is lost: exit code 1"),
        (round_started(3), "INFO", "round 3 started, 2 sites asked"),
        (asked("site-1", 3), "DEBUG", "round 3: task published for site-1, 164 B"),
        (accepted("site-1"), "DEBUG", "round 0: result of site-1 accepted, accuracy 0.5"),
        (rejected("site-1", "late"), "WARN", "round 0: result of site-1 rejected: late"),
        (round_finished(), "INFO", "round 0 finished in 1.500 s, 2 answered, update norm 2.5, accuracy 0.5"),
        (MetricLogged(site="a", key="loss", value=0.1234567, round=0), "DEBUG", "site a logged loss 0.123457"),
        (RunPaused(), "WARN", "run paused"),
        (RunPaused(reason="lunch"), "WARN", "run paused: lunch"),
        (RunResumed(), "INFO", "run resumed"),
        (RunResumed(restarted=True), "INFO", "run resumed by another server"),
        (
            msgspec.structs.replace(round_started(), attempt=2),
            "INFO",
            "round 0 started again, attempt 2, 2 sites asked",
        ),
        (
            RequestRefused(request="drop", reason="there is no site 'x'"),
            "WARN",
            "request to drop was not carried out: there is no site 'x'",
        ),
        (finished(), "INFO", "run COMPLETED after 3.50 s"),
        (finished(RunStatus.FAILED, "no quorum"), "ERROR", "run FAILED after 3.50 s: no quorum"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_an_event_is_a_sentence_with_a_level(event: AnyEvent, level: str, sentence: str) -> None:
    assert describe(event) == (level, sentence)


def test_no_metrics_are_no_text() -> None:
    assert metrics_text({}) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 * 2**20, "10.0 MiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**42, "4.0 TiB"),
    ],
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size_text(count) == text
