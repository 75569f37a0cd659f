"""The state of a run: a fold over its journal, the same for the engine, the commands and the console."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce

from fltui.errors import BadInputError
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelSaved,
    ResultAccepted,
    ResultRejected,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
    TaskPublished,
)


@dataclass
class SiteState:
    """What is known of one site.

    Attributes:
        state: ``expected``, ``ready``, ``training``, ``sent``, ``rejected`` or ``lost``.
        reason: why it is rejected or lost.
        round: the last round it was asked in.
        metrics: its last accepted metrics.
        results: how many of its results counted.
    """

    state: str = "expected"
    reason: str = ""
    round: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    results: int = 0


@dataclass
class RoundState:
    """What is known of one round."""

    started: RoundStarted
    accepted: dict[str, ResultAccepted] = field(default_factory=dict)
    rejected: dict[str, ResultRejected] = field(default_factory=dict)
    finished: RoundFinished | None = None


@dataclass
class RunState:
    """What is known of a run. `apply` changes it in place: a journal of 100,000 events is folded in a moment."""

    run: str = ""
    job: str = ""
    workflow: str = ""
    exchange: str = ""
    status: RunStatus = RunStatus.SUBMITTED
    reason: str = ""
    started: float = 0.0
    seconds: float = 0.0
    start_round: int = 0
    total_rounds: int = 0
    sites: dict[str, SiteState] = field(default_factory=dict)
    rounds: dict[int, RoundState] = field(default_factory=dict)
    models: dict[int, ModelSaved] = field(default_factory=dict)
    final_model: dict[str, str] = field(default_factory=dict)
    logged: int = 0
    events: int = 0
    monotonic_start: float = 0.0

    @property
    def metrics(self) -> dict[str, float]:
        """Of the last finished round."""
        done = [found.finished for found in self.rounds.values() if found.finished]
        return done[-1].metrics if done else {}

    @property
    def rounds_done(self) -> int:
        """How many rounds are finished."""
        return sum(found.finished is not None for found in self.rounds.values())

    def site(self, name: str) -> SiteState:
        """The state of a site, made on first mention."""
        return self.sites.setdefault(name, SiteState())


def fold(events: Iterable[AnyEvent]) -> RunState:
    """The state after all of `events`.

    Raises:
        BadInputError: the events do not make a run, such as a result in a round that did not start.
    """
    try:
        return reduce(apply, events, RunState())
    except KeyError as error:
        raise BadInputError(f"the journal is not of one run: round {error} does not start before it goes on") from error


def apply(state: RunState, event: AnyEvent) -> RunState:
    """The state after one more event; `state` itself, changed."""
    state.events += 1
    if state.started:
        state.seconds = max(0.0, event.monotonic - state.monotonic_start)
    match event:
        case RunStarted():
            state.run, state.job, state.workflow = event.run, event.job, event.workflow
            state.exchange, state.status = event.exchange, RunStatus.RUNNING
            state.started, state.monotonic_start = event.time, event.monotonic
            state.start_round, state.total_rounds = event.start_round, event.total_rounds
            for name in event.sites:
                state.site(name)
        case SiteJoined():
            state.site(event.site).state = "ready"
            state.site(event.site).reason = ""
        case SiteLost():
            state.site(event.site).state = "lost"
            state.site(event.site).reason = event.reason
        case RoundStarted():
            state.rounds[event.round] = RoundState(event)
        case TaskPublished():
            state.site(event.site).state = "training"
            state.site(event.site).round = event.round
        case ResultAccepted():
            state.rounds[event.round].accepted[event.site] = event
            site = state.site(event.site)
            site.state, site.metrics, site.results = "sent", event.metrics, site.results + 1
        case ResultRejected():
            round_state, site = state.rounds[event.round], state.site(event.site)
            if round_state.accepted.pop(event.site, None):
                site.results -= 1
            round_state.rejected[event.site] = event
            site.state, site.reason = "rejected", event.reason
        case ModelSaved():
            state.models[event.round] = event
        case RoundFinished():
            state.rounds[event.round].finished = event
        case MetricLogged():
            state.logged += 1
        case RunPaused():
            state.status, state.reason = RunStatus.PAUSED, event.reason
        case RunResumed():
            state.status, state.reason = RunStatus.RUNNING, ""
        case RunFinished():
            state.status, state.reason = event.state, event.reason
            state.final_model = event.final_model
    return state
