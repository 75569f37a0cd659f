"""The events of a run, as they stand in ``journal.jsonl``. State is a fold over them, see `state`."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, cast

import msgspec

from fltui.exchange.manifest import ArrayEntry, RunOutcome
from fltui.model import ParamsType
from fltui.run.options import RunMode, RunOptions


class RunStatus(StrEnum):
    """Where a run stands."""

    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "FINISHED:COMPLETED"
    ABORTED = "FINISHED:ABORTED"
    FAILED = "FINISHED:FAILED"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.value.startswith("FINISHED")

    @property
    def outcome(self) -> RunOutcome:
        """How the run ended, for its sites.

        Raises:
            ValueError: it has not.
        """
        if not self.is_finished:
            raise ValueError(f"a run that is {self.value} has not ended")
        return cast(RunOutcome, self.value)


def _tag(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=_tag):
    """What every event has; filled in by the journal.

    Attributes:
        seq: number of the event, from 0.
        time: seconds since the epoch, for people.
        monotonic: seconds of the server's monotonic clock, for durations.
    """

    seq: int = 0
    time: float = 0.0
    monotonic: float = 0.0


class RunStarted(Event, frozen=True, kw_only=True):
    """A run begins: who is asked for, how many rounds, in which exchange folder, and how it is run.

    Attributes:
        keys: the trusted public key of each site that has one, as 64 hexadecimal digits.
        server_key: the public key that signs tasks and ends; empty if they are not signed.
        require_signatures: results that are not signed with the site's trusted key are refused.
        secret: what the server's noise is drawn from, as 32 hexadecimal digits; who knows it can take the noise off.
    """

    run: str
    job: str
    workflow: str
    sites: list[str]
    start_round: int
    total_rounds: int
    exchange: str
    mode: RunMode = "simulator"
    options: RunOptions = RunOptions()
    keys: dict[str, str] = {}
    server_key: str = ""
    require_signatures: bool = False
    secret: str = ""


class SiteJoined(Event, frozen=True, kw_only=True):
    """A site can be asked from now on."""

    site: str


class SiteLost(Event, frozen=True, kw_only=True):
    """A site cannot be asked any more, and why; `dropped` by a person, it does not come back in this run."""

    site: str
    reason: str
    dropped: bool = False


class RoundStarted(Event, frozen=True, kw_only=True):
    """A round begins with the model of digest `model`, empty if there is none yet.

    An `attempt` above 1 begins the round again after it was interrupted; what came before does not count. Where a
    `part` is named, the sites get that group of the model in its place.
    """

    round: int
    task_name: str
    sites: list[str]
    model: str
    attempt: int = 1
    part: str = ""


class TaskPublished(Event, frozen=True, kw_only=True):
    """A task is about to be published; `manifest` is its manifest's digest, `bytes` the size of its arrays."""

    round: int
    site: str
    task_id: str
    manifest: str
    bytes: int


class ResultAccepted(Event, frozen=True, kw_only=True):
    """A result is whole, checked and in the store.

    Attributes:
        manifest: digest of its manifest.
        signed_by: the site's public key that the manifest's signature was checked with; empty if there was none.
    """

    round: int
    site: str
    task_id: str
    params_type: ParamsType
    weight: float
    metrics: dict[str, float]
    arrays: list[ArrayEntry]
    bytes: int
    manifest: str = ""
    signed_by: str = ""


class ResultRejected(Event, frozen=True, kw_only=True):
    """A result does not count, and why."""

    round: int
    site: str
    task_id: str
    reason: str


class ResultDelayed(Event, frozen=True, kw_only=True):
    """A result is announced and not whole, and for a while nothing of it has come; it is waited for on."""

    round: int
    site: str
    task_id: str
    reason: str


class ResultDiscarded(Event, frozen=True, kw_only=True):
    """A result came after its round had ended without it; it is not read."""

    round: int
    site: str
    task_id: str


class RoundNoted(Event, frozen=True, kw_only=True):
    """Something of a round that people should know; it goes on."""

    round: int
    note: str


class ModelSaved(Event, frozen=True, kw_only=True):
    """The model that enters round `round` is whole on disk, in `path` below the run folder."""

    round: int
    model: str
    path: str
    bytes: int


class RoundFinished(Event, frozen=True, kw_only=True):
    """A round is over.

    Attributes:
        weights: weight of each site in the new model.
        judged: the weights are not those of the results: the job or its aggregator has the say.
        metrics: weighted mean of each metric.
        update_norm: Euclidean norm of the model's change.
        model: digest of the new model.
        seconds: from the round's start.
        first_result, last_result: seconds from the round's start.
        aggregation: seconds of adding up and saving.
        bytes_out, bytes_in: sizes of the arrays sent and accepted.
    """

    round: int
    weights: dict[str, float]
    metrics: dict[str, float]
    update_norm: float
    model: str
    seconds: float
    first_result: float
    last_result: float
    aggregation: float
    bytes_out: int
    bytes_in: int
    judged: bool = False


class PrivacySpent(Event, frozen=True, kw_only=True):
    """How much privacy the run has spent with round `round`.

    Its models up to there are (epsilon, delta)-differentially private as to what the updates of one site were, with
    weights and who took part known. For statistics it is one row in place of a site's updates.
    """

    round: int
    epsilon: float
    delta: float


class ModelChosen(Event, frozen=True, kw_only=True):
    """The model that entered round `round` is the best so far: ``models/best``.

    Attributes:
        metric: by which it is the best.
        value: of the metric.
        goal: whether more of it is better (``max``) or less (``min``).
    """

    round: int
    metric: str
    value: float
    goal: Literal["max", "min"] = "max"


class WorkflowFinished(Event, frozen=True, kw_only=True):
    """One of the job's workflows is over, and the next begins with round `round`; `reason` if it ended early."""

    workflow: str
    round: int
    reason: str = ""


class MetricLogged(Event, frozen=True, kw_only=True):
    """A value that a site's script logged."""

    site: str
    key: str
    value: float
    round: int
    step: int | None = None


class RunPaused(Event, frozen=True, kw_only=True):
    """No new round begins until the run is resumed.

    Attributes:
        reason: one sentence.
        outage: the exchange folder is away or a disk is full: the run goes on by itself when that is over.
        stays: a person wants it to stay paused then.
    """

    reason: str = ""
    outage: bool = False
    stays: bool = False


class RunResumed(Event, frozen=True, kw_only=True):
    """The run goes on.

    Attributes:
        restarted: in another process, after the run had failed or was aborted or its server had died: no site is there
            yet, and the monotonic clock may be another.
        keys, server_key: as in `RunStarted`, from now on, where the run was restarted.
    """

    restarted: bool = False
    keys: dict[str, str] = {}
    server_key: str = ""


class RequestRefused(Event, frozen=True, kw_only=True):
    """A person's request, such as ``drop``, that was not carried out, and why."""

    request: str
    reason: str


class RunFinished(Event, frozen=True, kw_only=True):
    """Nothing more will happen, unless a person resumes a run that did not complete.

    Attributes:
        state: COMPLETED, ABORTED or FAILED.
        reason: one sentence; for COMPLETED why the run ended before its last round, empty if it did not.
        rounds: how many rounds were finished.
        final_model: parameter name to file below the run folder; empty if no round was finished.
        metrics: of the last finished round.
        seconds: from the run's start, without those in which no server held it.
        seal: digest of ``seal.b3``; empty if the run was not sealed.
        untold: sites that could not be told that the run is over.
    """

    run: str
    state: RunStatus
    reason: str
    rounds: int
    final_model: dict[str, str]
    metrics: dict[str, float]
    seconds: float
    seal: str = ""
    untold: list[str] = []


AnyEvent = (
    RunStarted
    | SiteJoined
    | SiteLost
    | RoundStarted
    | TaskPublished
    | ResultAccepted
    | ResultRejected
    | ResultDelayed
    | ResultDiscarded
    | RoundNoted
    | ModelSaved
    | ModelChosen
    | PrivacySpent
    | RoundFinished
    | WorkflowFinished
    | MetricLogged
    | RunPaused
    | RunResumed
    | RequestRefused
    | RunFinished
)
