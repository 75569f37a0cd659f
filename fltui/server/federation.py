"""What a workflow sees of its run: the sites to ask, the models, the books."""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fltui.errors import RunFailedError
from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.nudge import NoNudge, Nudge
from fltui.exchange.signing import Identity
from fltui.exchange.watch import Backoff
from fltui.job.job import Job
from fltui.model import Params
from fltui.run.events import ModelChosen, ModelSaved, PrivacySpent, RoundFinished, RoundNoted, WorkflowFinished
from fltui.run.folder import RunFolder, empty_folder
from fltui.run.journal import Journal, read_journal
from fltui.run.models import Models, ModelWriter, StoredModel
from fltui.run.options import RunOptions
from fltui.run.state import RoundState, RunState, apply
from fltui.server.answers import measured_of
from fltui.server.books import MetricsTable, write_table
from fltui.server.deliveries import STALLED
from fltui.server.late import LateResults
from fltui.server.past import last_model
from fltui.server.place import RoundPlace
from fltui.server.retention import Retention
from fltui.server.roster import Fleet, Roster
from fltui.server.round import Round
from fltui.workflows.workflow import NO_PARAMS, Answer, Best, Choose, Measured, Request, everybody

_SETTLING = 3.0
"""Seconds that sites have to show themselves when a server takes over in the midst of a round."""

_LEAST_DELIVERY = 3.0
"""Seconds that a result has in any case to become whole once its manifest is there."""

_REMEMBERED = 2
"""Rounds whose details stay in memory behind the one that runs."""


@dataclass
class RunFederation:
    """The `Federation` of a run in an exchange folder.

    Attributes:
        wait: waits for arrivals and changes, so many seconds at most; the sites where something arrived.
        accepted: called with a site whose result was accepted.
        identity, nudge: see `RoundPlace`.
        going_on: the unfinished round whose attempt goes on, its results and tasks with it; None if there is none.
        round: the round that runs, or ran last.
    """

    job: Job
    folder: RunFolder
    exchange: ExchangeFolder
    fleet: Fleet
    options: RunOptions
    roster: Roster
    journal: Journal
    metrics: MetricsTable
    retention: Retention
    late: LateResults
    state: RunState
    wait: Callable[[float], Awaitable[set[str]]]
    accepted: Callable[[str], None]
    identity: Identity
    nudge: Nudge = field(default_factory=NoNudge)
    going_on: int | None = None
    round: Round | None = None

    def __post_init__(self) -> None:
        self.models = Models(self.folder.models, durable=self.options.durable)
        self.retention.first = self.state.start_round
        self.retention.best = self.state.best.round if self.state.best else None
        self._new: ModelWriter | None = None
        self._has_scratch = False
        self._expected = self.asked
        self._settled = time.monotonic() + _SETTLING

    @property
    def asked(self) -> frozenset[str]:
        """The sites that are at a task of the round that goes on."""
        found = None if self.going_on is None else self.state.rounds[self.going_on]
        return frozenset(found.started.sites) if found else frozenset()

    @property
    def newest(self) -> TaskId:
        """The newest task that the run has published, or would have."""
        found = next(reversed(self.state.rounds.values()), None)
        if found is None:
            return TaskId(self.folder.run, self.state.start_round, "train", 0)
        return TaskId(self.folder.run, found.started.round, found.started.task_name, found.started.attempt)

    @property
    def seed(self) -> int:
        """See `Federation.seed`."""
        return self.options.seed

    @property
    def secret(self) -> int:
        """See `Federation.secret`."""
        return int(self.state.secret or "0", 16)

    @property
    def first_round(self) -> int:
        """See `Federation.first_round`."""
        return self.state.stage_start

    @property
    def last_metrics(self) -> Mapping[str, float]:
        """See `Federation.last_metrics`."""
        return self.state.metrics if self.state.next_round > self.state.stage_start else {}

    @property
    def best(self) -> Best | None:
        """See `Federation.best`."""
        found = self.state.best
        return Best(found.round, found.metric, found.value, found.goal) if found else None

    def last_counted(self, site: str) -> int | None:
        """See `Federation.last_counted`."""
        found = self.state.sites.get(site)
        return found.counted if found else None

    def last_asked(self, site: str) -> int | None:
        """See `Federation.last_asked`."""
        found = self.state.sites.get(site)
        return found.round if found else None

    async def sites(self, at_least: int, choose: Choose = everybody) -> tuple[str, ...]:
        """See `Federation.sites`."""
        roster, named = self.roster, self.job.sites
        patience = self.options.wait if self.fleet.returns() else 0.0
        deadline, backoff = time.monotonic() + patience, Backoff()
        while roster.paused or ((len(roster.present) < at_least or self._is_settling()) and not self.asked):
            if roster.paused:
                await self.wait(backoff.next())
                deadline = time.monotonic() + patience
                continue
            left = deadline - time.monotonic()
            if len(roster.present) >= at_least:
                left = max(left, _SETTLING)
            elif left <= 0 or (named and len(roster.possible(named)) < at_least):
                gone = [f"{site}: {reason}" for site, reason in sorted(roster.absent.items())]
                there = f"{len(roster.present)} of {at_least} sites needed are there"
                raise RunFailedError(f"round {self.state.next_round} cannot start: {'; '.join([there, *gone])}")
            await self.wait(min(backoff.next(), left))
        if self.going_on is not None:
            return tuple(self.state.rounds[self.going_on].started.sites)
        return choose(tuple(sorted(roster.present)))

    def _is_settling(self) -> bool:
        """Whether sites that were at work when the last server died have yet to show themselves."""
        unseen = self._expected - self.roster.present - self.roster.absent.keys()
        return bool(unseen) and time.monotonic() < self._settled

    async def ask(self, request: Request) -> list[Answer]:
        """See `Federation.ask`."""
        self._new = None  # a round before may have been interrupted
        number, last = request.round, self.round
        if number != self.state.next_round:
            raise RunFailedError(f"round {number} was asked for, and round {self.state.next_round} is next")
        before = self.state.rounds.get(number)
        attempt = before.started.attempt if before else 1
        round_ = Round(self._place(), request, attempt)
        if before and self.going_on == number and round_.agrees(before):
            round_.before = before
        elif before and (self.going_on == number or last is None or last.request.round != number):
            round_.attempt += 1  # another process was at it
        self.round, self.going_on = round_, None
        try:
            answers = await round_.collect(self.wait)
        finally:
            self.retention.published(round_.published)
        self.late.missed(round_.unanswered.items())  # not where an outage interrupts it: then it goes on
        return answers

    def reject(self, request: Request, site: str, reason: str) -> None:
        """See `Federation.reject`."""
        if self.round is None or self.round.request.round != request.round:
            raise ValueError("reject() follows ask()")
        self.round.reject(site, reason)

    def _place(self) -> RoundPlace:
        return RoundPlace(
            run=self.folder.run,
            exchange=self.exchange,
            store=self.folder.store,
            roster=self.roster,
            append=self.journal.append,
            accepted=self.accepted,
            threads=self.options.threads,
            mandatory=frozenset(self.job.mandatory_clients),
            patience=self.options.wait if self.fleet.returns() else STALLED,
            delivery=max(self.options.wait, _LEAST_DELIVERY) if self.fleet.returns() else STALLED,
            keep=self.options.keep_results,
            link=self.fleet.same_user,
            durable=self.options.durable,
            identity=self.identity,
            spare=self.retention.spare,
            seed=self.options.seed,
            nudge=self.nudge,
        )

    def begin(
        self, params: Params, rounds: range, groups: Mapping[str, Params] = NO_PARAMS
    ) -> tuple[StoredModel, range]:
        """See `Federation.begin`."""
        first, start = self.state.next_round, self.state.stage_start
        if first > self.state.start_round:
            if self.state.best is not None:  # the last server may have died before it made the pointer
                self.models.point("best", self.state.best.round)
            return last_model(self.models, self.state), range(first, start + len(rounds))
        with self.models.new(rounds.start, list(params)) as new:
            new.add_all(params, groups)
        return self._saved(rounds.start, new), rounds

    @contextmanager
    def new_model(self, round_number: int, names: list[str]) -> Iterator[ModelWriter]:
        """See `Federation.new_model`."""
        with self.models.new(round_number, names) as new:
            self._new = new
            yield new

    def finish_round(
        self, request: Request, answers: list[Answer], update_norm: float, metrics: dict[str, float]
    ) -> StoredModel:
        """See `Federation.finish_round`."""
        round_ = self.round
        if round_ is None or request.round != self.state.next_round or request.round not in self.state.rounds:
            raise RunFailedError(f"round {request.round} was finished without having been asked, or a second time")
        if self._new is None:
            self._new = self.models.carry(request.model, request.round + 1)
        model = self._saved(request.round + 1, self._new)
        self._new = None
        weights = {answer.site: answer.weight for answer in answers}
        accepted = self.state.rounds[request.round].accepted
        seconds = time.monotonic() - round_.started
        arrivals = round_.arrivals.values()
        first, last = min(arrivals, default=seconds), max(arrivals, default=seconds)
        self.journal.append(
            RoundFinished(
                round=request.round,
                weights=weights,
                metrics=metrics,
                update_norm=update_norm,
                model=model.digest,
                seconds=seconds,
                first_result=first,
                last_result=last,
                aggregation=seconds - last,
                bytes_out=round_.bytes_out,
                bytes_in=round_.bytes_in,
                judged=any(weight != accepted[site].weight for site, weight in weights.items()),
            )
        )
        self.clear_scratch()
        if not request.part:  # those of other models are in the table of their workflow
            for answer in answers:
                self.metrics.add(request.round, answer.site, answer.metrics)
            self.metrics.add(request.round, "", metrics)
        self.retention.finished(round_)
        self.state.forget(request.round - _REMEMBERED)
        return model

    def scratch(self, name: str) -> Path:
        """See `Federation.scratch`."""
        self._has_scratch = True
        return empty_folder(self.folder.scratch / name)

    def clear_scratch(self) -> None:
        """Remove what `scratch` gave."""
        if self._has_scratch:
            shutil.rmtree(self.folder.scratch, ignore_errors=True)
            self._has_scratch = False

    def scratch_model(self, name: str, names: list[str]) -> AbstractContextManager[ModelWriter]:
        """See `Federation.scratch_model`."""
        return Models(self.scratch(name), durable=False).new(0, names)

    def spend(self, round_number: int, epsilon: float, delta: float) -> None:
        """See `Federation.spend`."""
        spent = PrivacySpent(round=round_number, epsilon=epsilon, delta=delta)
        known = self.state.spent
        if known is None or (known.round, known.epsilon, known.delta) != (round_number, epsilon, delta):
            self.journal.append(spent)

    def choose_best(self, best: Best) -> None:
        """See `Federation.choose_best`."""
        if best != self.best:
            self.journal.append(ModelChosen(round=best.round, metric=best.metric, value=best.value, goal=best.goal))
        self.models.point("best", best.round)
        self.retention.chosen(best.round)

    def note(self, round_number: int, text: str) -> None:
        """See `Federation.note`."""
        self.journal.append(RoundNoted(round=round_number, note=text))

    def finished_stages(self) -> int:
        """See `Federation.finished_stages`."""
        return self.state.stages

    def finish_stage(self, workflow: str, reason: str) -> None:
        """See `Federation.finish_stage`."""
        self.journal.append(WorkflowFinished(workflow=workflow, round=self.state.next_round, reason=reason))

    def measured(self, rounds: range) -> list[Measured]:
        """See `Federation.measured`."""
        found: dict[int, RoundState] = {}
        state = RunState()
        for event in read_journal(self.folder.journal):
            state = apply(state, event)
            if isinstance(event, RoundFinished) and event.round in rounds:
                found[event.round] = state.rounds[event.round]
            state.forget(state.next_round - _REMEMBERED)
        return [measured_of(found[number]) for number in sorted(found)]

    def add_table(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        """See `Federation.add_table`."""
        write_table(self.folder.root / f"{name}.csv", rows)

    def check_over(self, workflow: str) -> None:
        """Make sure that a workflow that has ended has not left a round open.

        Raises:
            RunFailedError: it has.
        """
        if self.state.next_round in self.state.rounds:
            raise RunFailedError(
                f"{workflow} ended in the midst of round {self.state.next_round}, without finish_round()"
            )

    def final_model(self) -> dict[str, str]:
        """Let ``models/final`` lead to the newest model; parameter name to file, empty where no round was finished.

        Raises:
            OSError, MALFORMED: as `Models.load`.
        """
        if not self.state.rounds_done:
            return {}
        pointer = self.models.point("final", self.state.next_round)
        entries = self.models.load(self.state.next_round).entries
        return {name: f"models/{pointer.name}/{entry.file}" for name, entry in entries.items()}

    def _saved(self, number: int, new: ModelWriter) -> StoredModel:
        model = new.stored
        path = model.folder.relative_to(self.folder.root).as_posix()
        known = self.state.models.get(number)
        if known is None or known.model != model.digest:
            self.journal.append(ModelSaved(round=number, model=model.digest, path=path, bytes=model.whole_size))
        return model
