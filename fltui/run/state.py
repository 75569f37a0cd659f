"""The state of a run: a fold over its journal, the same for the engine, the commands and the console."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

from fltui.errors import BadInputError
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelChosen,
    ModelSaved,
    PrivacySpent,
    RequestRefused,
    ResultAccepted,
    ResultDelayed,
    ResultDiscarded,
    ResultRejected,
    RoundFinished,
    RoundNoted,
    RoundStarted,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
    TaskPublished,
    WorkflowFinished,
)
from fltui.run.options import RunMode, RunOptions

SiteStanding = Literal["expected", "ready", "training", "sent", "rejected", "lost"]
"""Where a site stands, see `SiteState`."""


@dataclass
class SiteState:
    """What is known of one site.

    Attributes:
        state: ``expected`` to come, ``ready`` to be asked, ``training``, ``sent`` a result that counts, ``rejected``
            with its result, ``lost``.
        reason: why it is rejected or lost.
        round: the last round it was asked in.
        metrics: its last accepted metrics.
        results: how many of its results counted.
        counted: the last round in which a result of it counted.
        logged: how many values its script logged.
        dropped: by a person: it is lost and does not come back in this run.
    """

    state: SiteStanding = "expected"
    reason: str = ""
    round: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    results: int = 0
    counted: int | None = None
    logged: int = 0
    dropped: bool = False


@dataclass
class RoundState:
    """What is known of one round; of its last attempt, if it was interrupted.

    Attributes:
        published: site to digest of its task's manifest.
        ended: the run ended before the round did; the sites were told, so another attempt has to follow.
    """

    started: RoundStarted
    published: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, ResultAccepted] = field(default_factory=dict)
    rejected: dict[str, ResultRejected] = field(default_factory=dict)
    finished: RoundFinished | None = None
    ended: bool = False


@dataclass
class RunState:
    """What is known of a run. `apply` changes it in place: a journal of 100,000 events is folded in a moment.

    Attributes:
        mode: who starts the scripts.
        options: how it is run.
        started: when it began, seconds since the epoch.
        seconds: from its start to the last event, without those in which no server held it.
        since: ``started``, later by the seconds in which no server held the run: time now less `since` is how long a
            live run has lasted.
        monotonic_start: the same by the monotonic clock of the server that holds it.
        outage, stays: of the pause, see `RunPaused`.
        require_signatures: results without a signature are refused, since the run began.
        best: the best model so far, where the workflow chooses one.
        secret: see `RunStarted`.
        spent: how much privacy, where a filter adds noise.
        stages: how many of the job's workflows are over.
        early: why those of them that ended before their last round did.
        stage_start: number of the first round of the one that runs.
        logged: how many values the scripts logged.
        events: how many there were.
    """

    run: str = ""
    job: str = ""
    workflow: str = ""
    exchange: str = ""
    mode: RunMode = "simulator"
    options: RunOptions = field(default_factory=RunOptions)
    status: RunStatus = RunStatus.SUBMITTED
    reason: str = ""
    outage: bool = False
    stays: bool = False
    started: float = 0.0
    seconds: float = 0.0
    since: float = 0.0
    start_round: int = 0
    total_rounds: int = 0
    require_signatures: bool = False
    sites: dict[str, SiteState] = field(default_factory=dict)
    rounds: dict[int, RoundState] = field(default_factory=dict)
    models: dict[int, ModelSaved] = field(default_factory=dict)
    final_model: dict[str, str] = field(default_factory=dict)
    best: ModelChosen | None = None
    secret: str = ""
    spent: PrivacySpent | None = None
    stages: int = 0
    early: list[str] = field(default_factory=list)
    stage_start: int = 0
    logged: int = 0
    events: int = 0
    monotonic_start: float = 0.0
    _done: int = 0
    _last: RoundFinished | None = None
    _highest: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether the run is paused because a person wants it, and not for an outage alone."""
        return self.status is RunStatus.PAUSED and (self.stays or not self.outage)

    @property
    def metrics(self) -> dict[str, float]:
        """Of the last finished round, in the order in which the rounds started."""
        return self._last.metrics if self._last else {}

    @property
    def rounds_done(self) -> int:
        """How many rounds are finished."""
        return self._done

    @property
    def next_round(self) -> int:
        """Number after the highest finished round; the first of the run where none is."""
        return self.start_round if self._highest is None else self._highest + 1

    def _start_round(self, event: RoundStarted) -> None:
        """A round starts; what an earlier attempt of it brought does not count any more."""
        before = self.rounds.get(event.round)
        if before is not None and before.started.attempt < event.attempt:
            for name in before.accepted:
                self.site(name).results -= 1
        self.rounds[event.round] = RoundState(event)
        if before is not None and before.finished is not None:  # no engine does that, but an event may say so
            self._done -= 1
            self._last = self._last_finished()
            if event.round == self._highest:
                self._highest = max((number for number, found in self.rounds.items() if found.finished), default=None)

    def _finish_round(self, event: RoundFinished) -> None:
        found = self.rounds[event.round]
        if lacking := event.weights.keys() - found.accepted.keys():
            raise BadInputError(
                f"the journal is not of one run: round {event.round} has a weight of site {min(lacking)!r}, "
                "of which no result was accepted"
            )
        self._done += found.finished is None
        found.finished = event
        for name in event.weights:
            self.site(name).counted = event.round
        self._last = self._last_finished()
        self._highest = event.round if self._highest is None else max(self._highest, event.round)

    def _last_finished(self) -> RoundFinished | None:
        """Found at once: rounds that are not finished are few, and among the last."""
        return next((found.finished for found in reversed(self.rounds.values()) if found.finished), None)

    def forget(self, before: int) -> None:
        """Drop what only people look back at: the rounds below `before` and their models. The totals stay.

        It keeps the memory of a server flat, however many rounds it goes through.
        """
        for known in (self.rounds, self.models):
            for number in [number for number in known if number < before]:
                del known[number]

    def site(self, name: str) -> SiteState:
        """The state of a site, made on first mention."""
        return self.sites.setdefault(name, SiteState())


def fold(events: Iterable[AnyEvent], state: RunState | None = None) -> RunState:
    """The state after all of `events`.

    Args:
        events: in order.
        state: after all that came before, changed in place; none for the events of a whole journal.

    Raises:
        BadInputError: the events do not make a run, such as a result in a round that did not start.
    """
    try:
        return reduce(apply, events, RunState() if state is None else state)
    except KeyError as error:
        raise BadInputError(f"the journal is not of one run: round {error} does not start before it goes on") from error


def apply(state: RunState, event: AnyEvent) -> RunState:
    """The state after one more event; `state` itself, changed."""
    state.events += 1
    if isinstance(event, RunResumed) and event.restarted:
        _restart(state, event)
    elif state.started:
        state.seconds = max(state.seconds, event.monotonic - state.monotonic_start)
    match event:
        case RunStarted():
            state.run, state.job, state.workflow = event.run, event.job, event.workflow
            state.exchange, state.mode, state.options = event.exchange, event.mode, event.options
            state.status = RunStatus.RUNNING
            state.started, state.since, state.monotonic_start = event.time, event.time, event.monotonic
            state.start_round, state.total_rounds = event.start_round, event.total_rounds
            state.stage_start, state.secret = event.start_round, event.secret
            state.require_signatures = event.require_signatures
            for name in event.sites:
                state.site(name)
        case RoundStarted():
            state._start_round(event)
        case ModelSaved():
            state.models[event.round] = event
        case RoundFinished():
            state._finish_round(event)
        case RunPaused():
            state.status, state.reason = RunStatus.PAUSED, event.reason
            state.outage, state.stays = event.outage, event.stays
        case RunResumed():
            state.status, state.reason, state.final_model = RunStatus.RUNNING, "", {}
            state.outage = state.stays = False
        case ModelChosen():
            state.best = event
        case PrivacySpent():
            state.spent = event
        case WorkflowFinished():
            state.stages, state.stage_start = state.stages + 1, event.round
            if event.reason:
                state.early.append(event.reason)
        case RequestRefused() | ResultDelayed() | ResultDiscarded() | RoundNoted():
            pass
        case RunFinished():
            state.status, state.reason = event.state, event.reason
            state.final_model = event.final_model
            state.outage = state.stays = False
            if state.next_round in state.rounds:
                state.rounds[state.next_round].ended = True
        case _:
            _apply_to_site(state, event)
    return state


def _apply_to_site(
    state: RunState, event: SiteJoined | SiteLost | TaskPublished | ResultAccepted | ResultRejected | MetricLogged
) -> None:
    site = state.site(event.site)
    match event:
        case SiteJoined():
            site.state, site.reason = "ready", ""
        case SiteLost():
            site.state, site.reason, site.dropped = "lost", event.reason, event.dropped
        case TaskPublished():
            if event.round in state.rounds:
                state.rounds[event.round].published[event.site] = event.manifest
            site.state, site.round = "training", event.round
        case ResultAccepted():
            accepted = state.rounds[event.round].accepted
            site.state, site.metrics = "sent", event.metrics
            site.results += event.site not in accepted
            accepted[event.site] = event
        case ResultRejected():
            found = state.rounds[event.round]
            counted = found.finished is not None and event.site in found.finished.weights  # and stays so
            if not counted and found.accepted.pop(event.site, None) is not None:
                site.results -= 1
            found.rejected[event.site] = event
            site.state, site.reason = "rejected", event.reason
        case MetricLogged():
            site.logged += 1
            state.logged += 1


def _restart(state: RunState, event: RunResumed) -> None:
    """Another process takes over: it counts on from here by its own clock, and nobody is there yet."""
    state.monotonic_start = event.monotonic - state.seconds
    state.since = event.time - state.seconds
    for site in state.sites.values():
        if not site.dropped:
            site.state, site.reason = "expected", ""
