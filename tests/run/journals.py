"""Events to start from; a test replaces the field it is about."""

from __future__ import annotations

from collections.abc import Iterable

from fltui.model import ParamsType
from fltui.run.events import (
    AnyEvent,
    ModelSaved,
    ResultAccepted,
    ResultRejected,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
    TaskPublished,
)

RUN = "hello-20260131T120000Z-beef"


def started() -> RunStarted:
    """Two sites, two rounds."""
    return RunStarted(
        run=RUN,
        job="hello",
        workflow="FedAvg",
        sites=["site-1", "site-2"],
        start_round=0,
        total_rounds=2,
        exchange="/exchange",
        time=1_769_860_800.5,
        monotonic=100.0,
    )


def asked(site: str, number: int = 0) -> TaskPublished:
    """A task for a site."""
    return TaskPublished(round=number, site=site, task_id=f"{RUN}.r{number:04}.train.a01", manifest="d" * 64, bytes=164)


def accepted(site: str, number: int = 0, accuracy: float = 0.5) -> ResultAccepted:
    """A result that counts."""
    return ResultAccepted(
        round=number,
        site=site,
        task_id=f"{RUN}.r{number:04}.train.a01",
        params_type=ParamsType.FULL,
        weight=8.0,
        metrics={"accuracy": accuracy},
        arrays=[],
        bytes=164,
    )


def rejected(site: str, reason: str = "'w' holds NaN or Inf", number: int = 0) -> ResultRejected:
    """A result that does not count."""
    return ResultRejected(round=number, site=site, task_id=f"{RUN}.r{number:04}.train.a01", reason=reason)


def round_started(number: int = 0) -> RoundStarted:
    """Both sites are asked."""
    return RoundStarted(round=number, task_name="train", sites=["site-1", "site-2"], model="a" * 64)


def round_finished(number: int = 0, sites: Iterable[str] = ("site-1", "site-2")) -> RoundFinished:
    """Some sites answered."""
    return RoundFinished(
        round=number,
        weights=dict.fromkeys(sites, 8.0),
        metrics={"accuracy": 0.5 + number / 10},
        update_norm=2.5,
        model="b" * 64,
        seconds=1.5,
        first_result=1.0,
        last_result=1.25,
        aggregation=0.25,
        bytes_out=328,
        bytes_in=328,
    )


def finished(state: RunStatus = RunStatus.COMPLETED, reason: str = "") -> RunFinished:
    """The end."""
    return RunFinished(
        run=RUN,
        state=state,
        reason=reason,
        rounds=2,
        final_model={"w": "models/final/w.npy"},
        metrics={"accuracy": 0.6},
        seconds=3.5,
        monotonic=103.5,
    )


def whole_run() -> list[AnyEvent]:
    """A run of one round that both sites answered."""
    return [
        started(),
        SiteJoined(site="site-1"),
        SiteJoined(site="site-2"),
        ModelSaved(round=0, model="a" * 64, path="models/round-0000", bytes=164),
        round_started(),
        asked("site-1"),
        asked("site-2"),
        accepted("site-1"),
        accepted("site-2", accuracy=0.7),
        ModelSaved(round=1, model="b" * 64, path="models/round-0001", bytes=164),
        round_finished(),
        SiteLost(site="site-2", reason="its script ended with exit code 1"),
        finished(),
    ]
