"""The engine: runs a job's workflow over an exchange folder and keeps the run folder's books."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from fltui.errors import BadInputError, RunAbortedError, RunFailedError
from fltui.exchange.layout import PROTOCOL, ExchangeFolder, TaskId
from fltui.exchange.manifest import End, Logged
from fltui.exchange.publish import open_site, put_document, remove_published
from fltui.exchange.watch import Backoff, Watcher, WatchMode
from fltui.job.job import Job
from fltui.model import Params
from fltui.run.control import take_requests
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelSaved,
    RoundFinished,
    RunFinished,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import Journal
from fltui.run.logs import ServerLog
from fltui.run.models import Models, ModelWriter, StoredModel
from fltui.run.state import RunState, apply
from fltui.server.books import MetricsTable, write_summary
from fltui.server.mirror import Mirror
from fltui.server.roster import Fleet, Roster
from fltui.server.round import Round, RoundPlace
from fltui.workflows.workflow import Answer, Request, Workflow


@dataclass(frozen=True)
class EngineOptions:
    """How a run is run.

    Attributes:
        watch: see `WatchMode`.
        durable: survive a power cut, not only the death of the process.
        threads: how many sites have a task at once; None for all.
        keep_rounds: how many rounds stay in the exchange for people to look at.
        return_wait: seconds that a round waits for lost sites to come back, where they can.
    """

    watch: WatchMode = WatchMode.AUTO
    durable: bool = False
    threads: int | None = None
    keep_rounds: int = 3
    return_wait: float = 60.0


class Engine:
    """One run, from start to finish. It is the `Federation` that the workflow sees."""

    def __init__(
        self, job: Job, folder: RunFolder, exchange: ExchangeFolder, fleet: Fleet, options: EngineOptions | None = None
    ) -> None:
        if not isinstance(job.workflow, Workflow):
            raise BadInputError(f"job {job.name}: {type(job.workflow).__name__} is not a workflow")
        self.job = job
        self.folder = folder
        self.state = RunState()
        self._workflow: Workflow = job.workflow
        self._exchange = exchange
        self._fleet = fleet
        self._options = options or EngineOptions()
        self._models = Models(folder.models, durable=self._options.durable)
        self._roster = Roster(self._joined, self._lost, self._wake)
        self._followers: list[Callable[[AnyEvent], None]] = []
        self._mirrors: dict[str, Mirror] = {}
        self._round: Round | None = None
        self._tasks: deque[tuple[str, TaskId]] = deque()
        self._finished: Round | None = None
        self._hints: set[str] = set()
        self._waiter: asyncio.Future[None] | None = None
        self._body: asyncio.Task[None] | None = None
        self._abort: str | None = None
        self._journal: Journal
        self._metrics: MetricsTable
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
            BadInputError: a site's folder cannot be used; nothing was started.
        """
        self._loop = asyncio.get_running_loop()
        for site in self.job.sites:
            open_site(self._exchange.site(site), "server")
        with self.folder.held():
            return await self._run_held()

    async def _run_held(self) -> RunFinished:
        server_log = ServerLog(self.folder.logs / "server.log")
        self._journal = Journal(self.folder.journal, durable=self._options.durable)
        self._metrics = MetricsTable(self.folder.metrics)
        self._watcher = Watcher(self._arrived_in_thread, self._exchange.root, self._options.watch)
        try:
            for follower in (self._keep_state, server_log.event, *self._followers):
                self._journal.follow(follower)
            return await self._run()
        finally:
            self._watcher.close()
            self._journal.close()
            self._metrics.close()
            server_log.close()

    async def _run(self) -> RunFinished:
        self._watcher.add(self.folder.control)
        for site in self.job.sites:
            self._attend(site)
        rounds = self._workflow.rounds
        self._journal.append(
            RunStarted(
                run=self.folder.run,
                job=self.job.name,
                workflow=type(self._workflow).__name__,
                sites=sorted(self.job.sites),
                start_round=rounds.start,
                total_rounds=len(rounds),
                exchange=str(self._exchange.root),
            )
        )
        status, reason = RunStatus.FAILED, "an error inside the server; it printed the traceback"
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
        finally:
            finished = await self._finish(status, reason)
        return finished

    async def _run_body(self) -> None:
        self._body = asyncio.create_task(self._start_and_run())
        if self._abort is not None:
            self._body.cancel()
        try:
            await self._body
        except asyncio.CancelledError:
            if self._abort is None:
                raise
            raise RunAbortedError(self._abort) from None

    async def _start_and_run(self) -> None:
        await self._fleet.start(self._roster, self._wait)
        await self._workflow.run(self)

    async def _finish(self, status: RunStatus, reason: str) -> RunFinished:
        """End the run for the sites, then for the books."""
        end = End(PROTOCOL, self.folder.run, status.value, reason)
        for site in self._mirrors:
            folder = self._exchange.site(site)
            with contextlib.suppress(OSError):  # a site whose folder is gone misses the end, the others do not
                put_document(end, folder.end(self.folder.run), folder.staging("server"), durable=self._options.durable)
        self._retire()
        await self._fleet.stop(patient=status is RunStatus.COMPLETED)
        for mirror in self._mirrors.values():
            mirror.finish()
        final: dict[str, str] = {}
        if self.state.rounds_done:
            number = max(self.state.models)
            pointer = self._models.point("final", number)
            entries = self._models.load(number).entries
            final = {name: f"models/{pointer.name}/{entry.file}" for name, entry in entries.items()}
        finished = RunFinished(
            run=self.folder.run,
            state=status,
            reason=reason,
            rounds=self.state.rounds_done,
            final_model=final,
            metrics=self.state.metrics,
            seconds=time.monotonic() - self.state.monotonic_start,
        )
        write_summary(self.folder, self.state, finished)
        return self._journal.append(finished)

    # What the workflow sees: `Federation`.

    async def sites(self, at_least: int) -> tuple[str, ...]:
        """See `Federation.sites`."""
        deadline = time.monotonic() + (self._options.return_wait if self._fleet.returns() else 0)
        backoff = Backoff()
        while len(self._roster.present) < at_least:
            left = deadline - time.monotonic()
            if left <= 0:
                gone = "; ".join(f"{site}: {reason}" for site, reason in sorted(self._roster.absent.items()))
                present = len(self._roster.present)
                raise RunFailedError(
                    f"round {self._next_round} cannot start: {present} of {at_least} sites needed are there; {gone}"
                )
            await self._wait(min(backoff.next(), left))
        return tuple(sorted(self._roster.present))

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
        self._round = Round(place, request)
        try:
            return await self._round.collect(self._wait)
        finally:
            self._tasks.extend(self._round.published)

    def first_model(self, params: Params, round_number: int) -> StoredModel:
        """See `Federation.first_model`."""
        with self._models.new(round_number, list(params)) as new:
            for name, array in params.items():
                new.add(name, array)
        return self._saved(round_number)

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
        self._finished = round_
        return model

    # What happens meanwhile.

    @property
    def _next_round(self) -> int:
        return self._workflow.rounds.start + self.state.rounds_done

    def _saved(self, number: int) -> StoredModel:
        model = self._models.load(number)
        path = model.folder.relative_to(self.folder.root).as_posix()
        self._journal.append(ModelSaved(round=number, model=model.digest, path=path, bytes=model.size))
        return model

    def _retire(self) -> None:
        """Drop the private copies of the last finished round, and the tasks of rounds that nobody looks at any more.

        Done while the sites work on the next round, or at the end.
        """
        done, self._finished = self._finished, None
        if done is None:
            return
        in_use = self._round.stored if self._round is not None and self._round is not done else set()
        for digest in done.stored - in_use:
            self.folder.store.joinpath(f"{digest}.npy").unlink(missing_ok=True)
        number = done.request.round
        while self._tasks and self._tasks[0][1].round <= number - self._options.keep_rounds:
            site, task_id = self._tasks.popleft()
            remove_published(self._exchange.site(site).tasks, str(task_id))

    def _attend(self, site: str) -> None:
        """Watch a site's results and mirror its logs."""
        if site not in self._mirrors:
            folder = self._exchange.site(site)
            log = None if self._fleet.same_user else self.folder.logs / f"{site}.log"
            self._mirrors[site] = Mirror(folder, self.folder.run, log, self._logged)
            self._watcher.add(folder.results)

    def _joined(self, site: str) -> None:
        if site not in self._mirrors:
            open_site(self._exchange.site(site), "server")
            self._attend(site)
        self._journal.append(SiteJoined(site=site))

    def _lost(self, site: str, reason: str) -> None:
        self._journal.append(SiteLost(site=site, reason=reason))

    def _logged(self, site: str, found: Logged) -> None:
        self._journal.append(
            MetricLogged(site=site, key=found.key, value=found.value, round=found.round, step=found.step)
        )

    def _mirror(self, site: str) -> None:
        self._mirrors[site].look()

    def _keep_state(self, event: AnyEvent) -> None:
        self.state = apply(self.state, event)

    def _arrived_in_thread(self, path: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
            self._loop.call_soon_threadsafe(self._arrived, path)

    def _arrived(self, path: str) -> None:
        folder = Path(path).parent
        if folder == self.folder.control:
            self._take_requests()
        elif path.endswith(".json"):
            self._hints.add(folder.parent.name)
            self._wake()

    def _take_requests(self) -> None:
        for request in take_requests(self.folder.control):
            self.abort(request.reason)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, seconds: float) -> set[str]:
        """Wait for arrivals, changes of the roster or `seconds`; the sites where something arrived."""
        self._fleet.look()
        if not self._hints:
            self._retire()
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
