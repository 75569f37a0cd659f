"""The engine: runs a job's workflow over an exchange folder to the end of the run, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from fltui.errors import BadInputError, RunAbortedError, RunFailedError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import MALFORMED, Logged
from fltui.exchange.nudge import open_nudge
from fltui.exchange.signing import NOBODY, Identity
from fltui.exchange.watch import Backoff
from fltui.job.job import Job
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    RequestRefused,
    ResultAccepted,
    ResultDiscarded,
    RoundFinished,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
    TaskPublished,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import Journal
from fltui.run.logs import ServerLog
from fltui.run.options import RunOptions
from fltui.run.state import RunState, SiteState, apply
from fltui.server.arrivals import Arrivals
from fltui.server.attendance import Attendance
from fltui.server.books import MetricsTable, close_books, write_metrics
from fltui.server.chores import Chores
from fltui.server.ends import Ends
from fltui.server.federation import RunFederation
from fltui.server.late import LateResults
from fltui.server.outage import Outages, outage_of
from fltui.server.past import Past, reopen_journal, reopen_sites, tidy_run, unfinished_round
from fltui.server.requests import Requests
from fltui.server.retention import Retention
from fltui.server.roster import Fleet, Roster
from fltui.server.working import run_workflow
from fltui.workflows.workflow import Workflow


class Engine:
    """One run, from start to finish.

    Args:
        job: what is run.
        folder: the run folder.
        exchange: the exchange folder.
        fleet: where the scripts run.
        options: how it is run.
        identity: who the server is, see `Identity`.
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
        identity: Identity = NOBODY,
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
        self._identity = identity
        self._resumed = resumed
        self._retention = Retention(exchange, folder, options)
        self._late = LateResults(exchange, options.keep_rounds)
        self._outages = Outages(folder.root / ".reserve")
        self._final: dict[str, str] = {}
        self._nudge = open_nudge(options.nudge, self._warn_from_thread)
        self._ends = Ends(exchange, identity, durable=options.durable, nudge=self._nudge)
        self._followers: list[Callable[[AnyEvent], None]] = []
        self._arrivals = Arrivals(exchange, folder.control, options.watch, self._asked)
        self._attendance = Attendance(
            exchange,
            folder,
            self._arrivals,
            self._logged,
            lambda text: self._server_log.warn(text),
            same_user=fleet.same_user,
            durable=options.durable,
        )
        self._roster = Roster(self._joined, self._lost, self._arrivals.wake)
        self._requests = Requests(
            folder.control,
            self._roster,
            self._outages,
            tell=self._tell,
            abort=self.abort,
            drop=self._drop,
            wake=self._arrivals.wake,
        )
        self._chores = Chores(
            exchange,
            (
                self._take_requests,
                lambda: self._ends.drop_late(self._federation.newest),
                self._attendance.look_at_all,
                self._look_for_late,
            ),
        )
        self._body: asyncio.Task[None] | None = None
        self._abort: str | None = None
        self._why = ""
        self._fault: OSError | None = None
        self._over = False
        self._loop: asyncio.AbstractEventLoop
        self._journal: Journal
        self._federation: RunFederation
        self._metrics: MetricsTable
        self._server_log: ServerLog

    def follow(self, follower: Callable[[AnyEvent], None]) -> None:
        """Call `follower` with every event of the journal."""
        self._followers.append(follower)

    def abort(self, reason: str) -> None:
        """End the run as soon as possible; call it in the event loop's thread."""
        if self._over:
            self._fleet.hurry()
        elif self._abort is None:
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
        if not self._may_spoil:
            try:
                for site in self.job.sites:
                    self._attendance.open(site)
            except OSError as error:
                raise self._unusable(error) from error
        with self.folder.held():
            return await self._run_held()

    async def _run_held(self) -> RunFinished:
        self._loop = asyncio.get_running_loop()
        with ExitStack() as opened:
            past = self._open_books(opened)
            self._arrivals.watch(self._attendance.sites)
            opened.callback(self._arrivals.close)
            opened.callback(self._nudge.close)
            if self._resumed:
                reopen_sites(self._exchange, past, self._identity, durable=self._options.durable)
            self._federation = RunFederation(
                job=self.job,
                folder=self.folder,
                exchange=self._exchange,
                fleet=self._fleet,
                options=self._options,
                roster=self._roster,
                journal=self._journal,
                metrics=self._metrics,
                retention=self._retention,
                late=self._late,
                state=self.state,
                wait=self._wait,
                accepted=self._attendance.look,
                identity=self._identity,
                nudge=self._nudge,
                going_on=past.going_on,
            )
            self.state.forget(self.state.next_round - 2)
            self._outages.reserve.take()
            opened.callback(self._outages.reserve.release)
            return await self._run()

    def _open_books(self, opened: ExitStack) -> Past:
        """Open what the run folder's books are written with, and tell the journal that the run begins, or goes on.

        Only then is the folder of a resumed run put in order: until the journal goes on, what is sealed stays as it is.

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
                past.going_on = unfinished_round(self.folder, self._exchange, past.state, self._identity)
                self.folder.metrics.open("ab").close()  # where that cannot be, nothing may have changed
            else:
                self._metrics = opened.enter_context(closing(write_metrics(self.folder.metrics, past.state)))
            self._server_log = opened.enter_context(closing(ServerLog(self.folder.logs / "server.log")))
            begun = self._go_on(past) if self._resumed else self._begin()
            for follower in (self._keep_state, self._keep_log, *self._followers):
                self._journal.follow(follower)
            self._journal.append(begun)
            if self._resumed:
                self.folder.seal.unlink(missing_ok=True)
                tidy_run(self.folder, past)
                self._metrics = opened.enter_context(closing(write_metrics(self.folder.metrics, past.state)))
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
            workflow=self._workflow.title,
            sites=sorted(self.job.sites),
            start_round=rounds.start,
            total_rounds=len(rounds),
            exchange=str(self._exchange.root),
            mode=self._fleet.mode,
            options=self._options,
            keys=dict(self._identity.trusted),
            server_key=self._identity.public,
            require_signatures=self._identity.demanded,
            secret=secrets.token_hex(16),
        )

    def _go_on(self, past: Past) -> RunResumed:
        """Know what another process knew."""
        self.state = past.state
        self._retention.published(past.tasks)
        for name, site in past.state.sites.items():
            if site.dropped:
                self._roster.drop_before(name, site.reason)
        return RunResumed(restarted=True, keys=dict(self._identity.trusted), server_key=self._identity.public)

    async def _run(self) -> RunFinished:
        status, reason = RunStatus.FAILED, "an error inside the server; its traceback is in logs/server.log"
        try:
            for site in sorted(self.job.sites.keys() | self.state.sites.keys()):  # those that came before a resume, too
                self._attend_first(site)
            await self._run_body()
            status, reason = RunStatus.COMPLETED, "; ".join(filter(None, [*self.state.early, self._why]))
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
            self._requests.clear()
        return finished

    async def _run_body(self) -> None:
        """Run the workflow; after an outage again, from where the journal says it is.

        Raises:
            RunFailedError, RunAbortedError: the run cannot or must not go on.
            OSError: an error that would come again.
        """
        while True:
            self._body = asyncio.create_task(self._start_and_run())
            if self._abort is not None or self._fault is not None:
                self._body.cancel()
            try:
                return await self._body
            except asyncio.CancelledError:
                if self._abort is not None:
                    raise RunAbortedError(self._abort) from None
                if self._fault is None:
                    raise
                error, self._fault = self._fault, None
            except OSError as found:
                error = found
            size = max((model.bytes for model in self.state.models.values()), default=0)
            self._outages.current = outage_of(error, self._exchange, self._chores.exchange_id, self.folder, size)
            if self._outages.current is None:
                raise error
            unfinished = self.state.next_round in self.state.rounds
            self._federation.going_on = self.state.next_round if unfinished else None

    async def _start_and_run(self) -> None:
        if self._outages.current is not None:
            await self._sit_out()
        if self.state.next_round < self._workflow.rounds.stop:
            await self._fleet.start(self._roster, self._wait, self._federation.asked)
        self._why = await run_workflow(self._workflow, self._federation, self.job, self._server_log)
        self._end_well()

    def _end_well(self) -> None:
        """Do what a run that completes leaves in folders of others, while an outage can still be sat out.

        Raises:
            OSError: of an outage.
            RunFailedError: the model is damaged.
        """
        try:
            self._final = self._federation.final_model()
        except MALFORMED as error:
            raise RunFailedError(f"the final model cannot be put into models/final: {error}") from error
        self._retention.sweep(self._federation.round)  # before: a site that hears of the end clears away, too, and goes
        self._ends.complete(sorted(self._attendance.sites - self._roster.dropped), self._federation.newest)

    async def _sit_out(self) -> None:
        """Pause until an outage is over. People may ask meanwhile; nothing else is done."""
        backoff = Backoff()
        self._outages.begin(self.state)
        while not self._outages.is_over(self._journal.append):
            await self._arrivals.pause(max(backoff.next(), self._outages.rest.next()))
            self._take_requests()
        self._arrivals.watch(self._attendance.sites)  # what was mounted again is another folder

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
        self._outages.reserve.release()
        staying = sorted(self._attendance.sites - self._roster.dropped)
        untold = self._ends.finish(staying, self._federation.newest, status.outcome, reason)
        with contextlib.suppress(OSError):
            self._retention.sweep(self._federation.round)
            self._retention.finish()
        await self._fleet.stop(patient=status is RunStatus.COMPLETED)
        self._attendance.finish()
        self._federation.clear_scratch()
        final = self._final
        try:
            if not final:
                final = self._federation.final_model()
        except (OSError, *MALFORMED) as error:
            if status is RunStatus.COMPLETED:
                status, reason = RunStatus.FAILED, f"the final model cannot be put into models/final: {error}"
        with contextlib.suppress(OSError):
            self._outages.tell(self._journal.append)
        finished = RunFinished(
            run=self.folder.run,
            state=status,
            reason=reason,
            rounds=self.state.rounds_done,
            final_model=final,
            metrics=self.state.metrics,
            seconds=time.monotonic() - self.state.monotonic_start,
            untold=untold,
        )
        with contextlib.suppress(OSError, BadInputError):
            if self._metrics.lacks_rows:
                self._metrics.close()
                self._metrics = write_metrics(self.folder.metrics, self.folder.state())
        self._metrics.close()
        finished = close_books(self.folder, self.state, finished, self._server_log)
        try:
            return self._journal.append(finished)
        except OSError as error:
            raise RunFailedError(
                f"run {self.folder.run} has ended and {error.filename} cannot tell: {error.strerror}; {reason}"
            ) from error

    # What happens meanwhile.

    def _attend_first(self, site: str) -> None:
        """Attend to a site that is known when the run begins or is resumed; one that has spoilt its folder is lost."""
        if site in self._roster.dropped:
            return
        try:
            if self._may_spoil or site not in self.job.sites:
                self._attendance.open(site)
        except BadInputError as error:
            self._roster.lose(site, str(error))
        else:
            self._attend(site)

    @property
    def _may_spoil(self) -> bool:
        """Whether sites, which belong to others, had the time to spoil their folders before this process began."""
        return self._resumed and not self._fleet.same_user

    def _attend(self, site: str) -> None:
        self._attendance.attend(site, self.state.sites.get(site, SiteState()).logged)

    def _joined(self, site: str) -> None:
        if site not in self._attendance.sites:
            self._attendance.open(site)
            self._attend(site)
        self._journal.append(SiteJoined(site=site))

    def _lost(self, site: str, reason: str) -> None:
        self._tell(SiteLost(site=site, reason=reason, dropped=site in self._roster.dropped))

    def _tell(self, event: AnyEvent) -> None:
        """Write an event from a task or a callback of the event loop; what does not fit on the disk is told later."""
        try:
            self._journal.append(event)
        except OSError as error:
            self._outages.tell_later(event)
            self._fail(error)

    def _logged(self, site: str, found: Logged) -> None:
        self._journal.append(
            MetricLogged(site=site, key=found.key, value=found.value, round=found.round, step=found.step)
        )

    def _warn_from_thread(self, text: str) -> None:
        """Write a sentence that another thread has to tell into the server's log."""
        with contextlib.suppress(RuntimeError):  # the run is over
            self._loop.call_soon_threadsafe(self._server_log.warn, text)

    def _keep_state(self, event: AnyEvent) -> None:
        self.state = apply(self.state, event)
        if isinstance(event, TaskPublished | ResultAccepted | RoundFinished):
            self._outages.rest.reset()  # it moves, so the next outage is another
        self._roster.paused = self.state.status is RunStatus.PAUSED

    def _keep_log(self, event: AnyEvent) -> None:
        if not isinstance(event, RunFinished):
            self._server_log.event(event)

    def _asked(self) -> None:
        """A person asks for something."""
        try:
            self._take_requests()
        except OSError as error:
            self._fail(error)

    def _take_requests(self) -> None:
        if not self._over:
            self._requests.take()

    def _drop(self, site: str, reason: str) -> None:
        """Go on without a site; a second time does nothing."""
        if site not in self.state.sites:
            sites = ", ".join(sorted(self.state.sites))
            self._tell(RequestRefused(request="drop", reason=f"there is no site {site!r}, only {sites}"))
        elif site not in self._roster.dropped:
            self._roster.drop(site, reason)
            self._ends.drop(site, self._federation.newest, reason)
            self._fleet.drop(site)

    async def _wait(self, seconds: float) -> set[str]:
        """Wait for arrivals, changes of the roster or `seconds`.

        Returns:
            The sites where something arrived; none means "look everywhere".
        """
        self._fleet.look()
        if not self._arrivals.hints or self._chores.are_due:
            self._retention.sweep(self._federation.round)
        if not self._arrivals.hints:
            await self._arrivals.pause(min(seconds, self._fleet.look_every))
        hints = self._arrivals.take_hints()
        if hints and not self._chores.are_due:
            return hints
        self._chores.do()
        return set()

    def _look_for_late(self) -> None:
        for site, task_id in self._late.look():
            self._tell(ResultDiscarded(round=task_id.round, site=site, task_id=str(task_id)))
