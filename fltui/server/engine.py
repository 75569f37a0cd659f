"""The engine: runs a job's workflow over an exchange folder and keeps the run folder's books."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

from fltui.errors import BadInputError, RunAbortedError, RunFailedError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import MALFORMED, Logged
from fltui.exchange.publish import open_site
from fltui.exchange.watch import Backoff, Watcher
from fltui.job.job import Job
from fltui.model import Params
from fltui.run.control import Abort, Drop, Pause, Resume, take_requests
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelSaved,
    RequestRefused,
    RoundFinished,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import Journal
from fltui.run.logs import ServerLog
from fltui.run.models import Models, ModelWriter, StoredModel
from fltui.run.options import RunOptions
from fltui.run.state import RunState, SiteState, apply
from fltui.server.books import MetricsTable, write_summary
from fltui.server.ends import put_end
from fltui.server.mirror import Mirror
from fltui.server.past import Past, last_model, reopen_journal, reopen_sites, tidy_run, write_metrics
from fltui.server.retention import Retention
from fltui.server.roster import Fleet, Roster
from fltui.server.round import Round, RoundPlace
from fltui.workflows.workflow import Answer, Request, Workflow


class Engine:
    """One run, from start to finish. It is the `Federation` that the workflow sees.

    Args:
        job: what is run.
        folder: the run folder.
        exchange: the exchange folder.
        fleet: where the scripts run.
        options: how it is run.
        resumed: the run began before, in another process; go on with it from its last finished round.

    Raises:
        BadInputError: the job's workflow is none.
    """

    def __init__(
        self,
        job: Job,
        folder: RunFolder,
        exchange: ExchangeFolder,
        fleet: Fleet,
        options: RunOptions,
        *,
        resumed: bool = False,
    ) -> None:
        if not isinstance(job.workflow, Workflow):
            raise BadInputError(f"job {job.name}: {type(job.workflow).__name__} is not a workflow")
        self.job = job
        self.folder = folder
        self.state = RunState()
        self._workflow: Workflow = job.workflow
        self._exchange = exchange
        self._fleet = fleet
        self._options = options
        self._resumed = resumed
        self._models = Models(folder.models, durable=options.durable)
        self._retention = Retention(exchange, folder.store, options)
        self._roster = Roster(self._joined, self._lost, self._wake)
        self._followers: list[Callable[[AnyEvent], None]] = []
        self._mirrors: dict[str, Mirror] = {}
        self._round: Round | None = None
        self._hints: set[str] = set()
        self._waiter: asyncio.Future[None] | None = None
        self._body: asyncio.Task[None] | None = None
        self._abort: str | None = None
        self._fault: OSError | None = None
        self._over = False
        self._journal: Journal
        self._metrics: MetricsTable
        self._server_log: ServerLog
        self._watcher: Watcher
        self._loop: asyncio.AbstractEventLoop

    def follow(self, follower: Callable[[AnyEvent], None]) -> None:
        """Call `follower` with every event of the journal."""
        self._followers.append(follower)

    def abort(self, reason: str) -> None:
        """End the run as soon as possible; call it in the event loop's thread."""
        if self._abort is None:
            self._abort = reason
            if self._body is not None:
                self._body.cancel()

    async def run(self) -> RunFinished:
        """Run the job.

        Returns:
            How it ended, whatever the end.

        Raises:
            BadInputError: a site's folder or the run folder cannot be used, or the run cannot be resumed; nothing was
                started.
            RunFailedError: the run has ended, and that cannot be written down.
        """
        self._loop = asyncio.get_running_loop()
        for site in self.job.sites:
            open_site(self._exchange.site(site), "server")
        with self.folder.held():
            return await self._run_held()

    async def _run_held(self) -> RunFinished:
        with ExitStack() as opened:
            past = self._open_books(opened)
            begun = self._go_on(past) if self._resumed else self._begin()
            self._watcher = Watcher(self._arrived_in_thread, self._exchange.root, self._options.watch)
            opened.callback(self._watcher.close)
            self._watcher.add(self.folder.control)
            for follower in (self._keep_state, self._server_log.event, *self._followers):
                self._journal.follow(follower)
            try:
                self._journal.append(begun)
            except OSError as error:
                raise self._unusable(error) from error
            if self._resumed:
                reopen_sites(self._exchange, past, durable=self._options.durable)
            return await self._run()

    def _open_books(self, opened: ExitStack) -> Past:
        """Open what the run folder's books are written with; in a run that is resumed, put the folder in order first.

        Raises:
            BadInputError: that cannot be done. The sites know nothing yet.
        """
        past, durable = Past(), self._options.durable
        try:
            if self._resumed:
                self._journal, past = reopen_journal(self.folder, self._workflow.rounds, durable=durable)
            else:
                self._journal = Journal(self.folder.journal, durable=durable)
            opened.callback(self._journal.close)
            if self._resumed:
                tidy_run(self.folder, past.state)
            self._metrics = opened.enter_context(closing(MetricsTable(self.folder.metrics)))
            write_metrics(self._metrics, past.state)
            self._server_log = opened.enter_context(closing(ServerLog(self.folder.logs / "server.log")))
        except OSError as error:
            raise self._unusable(error) from error
        return past

    def _unusable(self, error: OSError) -> BadInputError:
        what = "resumed" if self._resumed else "begun"
        return BadInputError(f"run {self.folder.run} cannot be {what}: {error.strerror} ({error.filename})")

    def _begin(self) -> RunStarted:
        rounds = self._workflow.rounds
        return RunStarted(
            run=self.folder.run,
            job=self.job.name,
            workflow=type(self._workflow).__name__,
            sites=sorted(self.job.sites),
            start_round=rounds.start,
            total_rounds=len(rounds),
            exchange=str(self._exchange.root),
            mode=self._fleet.mode,
            options=self._options,
        )

    def _go_on(self, past: Past) -> RunResumed:
        """Know what another process knew."""
        self.state = past.state
        self._retention.published(past.tasks)
        for name, site in past.state.sites.items():
            if site.dropped:
                self._roster.drop_before(name, site.reason)
        return RunResumed(restarted=True)

    async def _run(self) -> RunFinished:
        for site in self.job.sites:
            self._attend(site)
        for site in self.state.sites.keys() - self.job.sites.keys():  # those that came before the run was resumed
            with contextlib.suppress(BadInputError):
                open_site(self._exchange.site(site), "server")
                self._attend(site)
        status, reason = RunStatus.FAILED, "an error inside the server; its traceback is in logs/server.log"
        try:
            await self._run_body()
            status, reason = RunStatus.COMPLETED, ""
        except RunFailedError as error:
            reason = str(error)
        except RunAbortedError as error:
            status, reason = RunStatus.ABORTED, str(error)
        except OSError as error:
            place = error.filename or f"{self._exchange.root} or {self.folder.root}"
            reason = f"the server cannot go on: {error.strerror} ({place})"
        except BaseException as error:
            self._server_log.failed(error)
            raise
        finally:
            finished = await self._finish(status, reason)
        return finished

    async def _run_body(self) -> None:
        self._body = asyncio.create_task(self._start_and_run())
        if self._abort is not None or self._fault is not None:
            self._body.cancel()
        try:
            await self._body
        except asyncio.CancelledError:
            if self._fault is not None:
                raise self._fault from None
            if self._abort is None:
                raise
            raise RunAbortedError(self._abort) from None

    async def _start_and_run(self) -> None:
        if self.state.next_round < self._workflow.rounds.stop:
            await self._fleet.start(self._roster, self._wait)
        await self._workflow.run(self)

    def _fail(self, error: OSError) -> None:
        """End the run for an error in what the event loop calls; the loop would print it and go on."""
        self._fault = self._fault or error
        if self._body is not None:
            self._body.cancel()

    async def _finish(self, status: RunStatus, reason: str) -> RunFinished:
        """End the run for the sites, then for the books. Only the journal must not fail: the run may have ended
        because a disk is full.

        Raises:
            RunFailedError: the end cannot be written into the journal.
        """
        self._over = True
        for site in self._mirrors.keys() - self._roster.dropped:
            folder, durable = self._exchange.site(site), self._options.durable
            put_end(folder, self.folder.run, status.outcome, reason, durable=durable)
        with contextlib.suppress(OSError):
            self._retention.sweep(self._round)
        await self._fleet.stop(patient=status is RunStatus.COMPLETED)
        for mirror in self._mirrors.values():
            with contextlib.suppress(OSError):
                mirror.finish()
        final: dict[str, str] = {}
        try:
            final = self._final_model()
        except (OSError, *MALFORMED) as error:
            if status is RunStatus.COMPLETED:
                status, reason = RunStatus.FAILED, f"the final model cannot be put into models/final: {error}"
        finished = RunFinished(
            run=self.folder.run,
            state=status,
            reason=reason,
            rounds=self.state.rounds_done,
            final_model=final,
            metrics=self.state.metrics,
            seconds=time.monotonic() - self.state.monotonic_start,
        )
        with contextlib.suppress(OSError):
            write_summary(self.folder, self.state, finished)
        try:
            return self._journal.append(finished)
        except OSError as error:
            raise RunFailedError(
                f"run {self.folder.run} has ended and {error.filename} cannot tell: {error.strerror}; {reason}"
            ) from error

    def _final_model(self) -> dict[str, str]:
        """Let ``models/final`` lead to the newest model; parameter name to file, empty where no round was finished."""
        if not self.state.rounds_done:
            return {}
        pointer = self._models.point("final", self.state.next_round)
        entries = self._models.load(self.state.next_round).entries
        return {name: f"models/{pointer.name}/{entry.file}" for name, entry in entries.items()}

    # What the workflow sees: `Federation`.

    async def sites(self, at_least: int) -> tuple[str, ...]:
        """See `Federation.sites`."""
        roster, named = self._roster, self.job.sites
        patience = self._options.wait if self._fleet.returns() else 0.0
        deadline, backoff = time.monotonic() + patience, Backoff()
        while roster.paused or len(roster.present) < at_least:
            if roster.paused:
                await self._wait(backoff.next())
                deadline = time.monotonic() + patience
                continue
            left = deadline - time.monotonic()
            if left <= 0 or (named and len(roster.possible(named)) < at_least):
                gone = "; ".join(f"{site}: {reason}" for site, reason in sorted(roster.absent.items()))
                raise RunFailedError(
                    f"round {self.state.next_round} cannot start: {len(roster.present)} of {at_least} sites needed "
                    f"are there; {gone}"
                )
            await self._wait(min(backoff.next(), left))
        return tuple(sorted(roster.present))

    async def ask(self, request: Request) -> list[Answer]:
        """See `Federation.ask`."""
        place = RoundPlace(
            run=self.folder.run,
            exchange=self._exchange,
            store=self.folder.store,
            roster=self._roster,
            append=self._journal.append,
            accepted=self._mirror,
            threads=self._options.threads,
            mandatory=frozenset(self.job.mandatory_clients),
            link=self._fleet.same_user,
            durable=self._options.durable,
        )
        before, last = self.state.rounds.get(request.round), self._round
        attempt = before.started.attempt if before else 1
        if before and (last is None or last.request.round != request.round):
            attempt += 1  # another process was at it
        self._round = Round(place, request, attempt)
        try:
            return await self._round.collect(self._wait)
        finally:
            self._retention.published(self._round.published)

    def begin(self, params: Params, rounds: range) -> tuple[StoredModel, range]:
        """See `Federation.begin`."""
        first = self.state.next_round
        if first > rounds.start:
            return last_model(self._models, self.state), range(first, rounds.stop)
        with self._models.new(rounds.start, list(params)) as new:
            for name, array in params.items():
                new.add(name, array)
        return self._saved(rounds.start), rounds

    def new_model(self, round_number: int, names: list[str]) -> AbstractContextManager[ModelWriter]:
        """See `Federation.new_model`."""
        return self._models.new(round_number, names)

    def finish_round(
        self, request: Request, answers: list[Answer], update_norm: float, metrics: dict[str, float]
    ) -> StoredModel:
        """See `Federation.finish_round`."""
        round_ = self._round
        if round_ is None:
            raise ValueError("finish_round() follows ask()")
        model = self._saved(request.round + 1)
        seconds = time.monotonic() - round_.started
        self._journal.append(
            RoundFinished(
                round=request.round,
                weights={answer.site: answer.weight for answer in answers},
                metrics=metrics,
                update_norm=update_norm,
                model=model.digest,
                seconds=seconds,
                first_result=min(round_.arrivals),
                last_result=max(round_.arrivals),
                aggregation=seconds - max(round_.arrivals),
                bytes_out=round_.bytes_out,
                bytes_in=round_.bytes_in,
            )
        )
        for answer in answers:
            self._metrics.add(request.round, answer.site, answer.metrics)
        self._metrics.add(request.round, "", metrics)
        self._retention.finished(round_)
        return model

    # What happens meanwhile.

    def _saved(self, number: int) -> StoredModel:
        model = self._models.load(number)
        path = model.folder.relative_to(self.folder.root).as_posix()
        self._journal.append(ModelSaved(round=number, model=model.digest, path=path, bytes=model.size))
        return model

    def _attend(self, site: str) -> None:
        """Watch a site's results and mirror its logs."""
        if site not in self._mirrors:
            folder = self._exchange.site(site)
            log = None if self._fleet.same_user else self.folder.logs / f"{site}.log"
            known = self.state.sites.get(site, SiteState()).logged
            self._mirrors[site] = Mirror(folder, self.folder.run, log, self._logged, known)
            self._watcher.add(folder.results)

    def _joined(self, site: str) -> None:
        if site not in self._mirrors:
            open_site(self._exchange.site(site), "server")
            self._attend(site)
        self._journal.append(SiteJoined(site=site))

    def _lost(self, site: str, reason: str) -> None:
        try:
            self._journal.append(SiteLost(site=site, reason=reason, dropped=site in self._roster.dropped))
        except OSError as error:
            self._fail(error)  # it may be told from a task or a callback of the event loop

    def _logged(self, site: str, found: Logged) -> None:
        self._journal.append(
            MetricLogged(site=site, key=found.key, value=found.value, round=found.round, step=found.step)
        )

    def _mirror(self, site: str) -> None:
        self._mirrors[site].look()

    def _keep_state(self, event: AnyEvent) -> None:
        self.state = apply(self.state, event)
        self._roster.paused = self.state.status is RunStatus.PAUSED

    def _arrived_in_thread(self, path: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
            self._loop.call_soon_threadsafe(self._arrived, path)

    def _arrived(self, path: str) -> None:
        folder = Path(path).parent
        if folder == self.folder.control:
            try:
                self._take_requests()
            except OSError as error:
                self._fail(error)
        elif path.endswith(".json"):
            self._hints.add(folder.parent.name)
            self._wake()

    def _take_requests(self) -> None:
        for request in () if self._over else take_requests(self.folder.control):
            match request:
                case Abort():
                    self.abort(request.reason)
                case Pause() if not self._roster.paused:
                    self._journal.append(RunPaused(reason=request.reason))
                case Resume() if self._roster.paused:
                    self._journal.append(RunResumed())
                    self._wake()
                case Drop():
                    self._drop(request.site, f"dropped: {request.reason}")

    def _drop(self, site: str, reason: str) -> None:
        """Go on without a site; a second time does nothing."""
        if site not in self.state.sites:
            sites = ", ".join(sorted(self.state.sites))
            self._journal.append(RequestRefused(request="drop", reason=f"there is no site {site!r}, only {sites}"))
        elif site not in self._roster.dropped:
            self._roster.drop(site, reason)
            folder, durable = self._exchange.site(site), self._options.durable
            put_end(folder, self.folder.run, "FINISHED:ABORTED", reason, durable=durable)
            self._fleet.drop(site)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, seconds: float) -> set[str]:
        """Wait for arrivals, changes of the roster or `seconds`; the sites where something arrived."""
        self._fleet.look()
        if not self._hints:
            self._retention.sweep(self._round)
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(min(seconds, self._fleet.look_every), self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
        if not self._hints:
            self._take_requests()
            for mirror in self._mirrors.values():
                mirror.look()
        hints, self._hints = self._hints, set()
        return hints
