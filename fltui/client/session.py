"""One script's conversation with the server: wait for a task, take its model, answer it."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fltui.client.config import ClientConfig, Durability, TransferType
from fltui.client.heartbeat import Heartbeat
from fltui.client.kept import forget, kept_folder
from fltui.client.leftovers import remove_leftovers, remove_spares
from fltui.client.logged import LoggedValues, line_of
from fltui.client.outgoing import difference, outgoing
from fltui.client.output import LogFile
from fltui.client.results import Results
from fltui.client.vetting import Vetting
from fltui.errors import BadInputError, ClientError, NotYetError, RefusedError
from fltui.exchange.append import end_last_line
from fltui.exchange.collect import read_params
from fltui.exchange.hints import RELAY, Hints
from fltui.exchange.keys import Keys, keys_path, site_identity
from fltui.exchange.layout import PROTOCOL, ExchangeFolder, TaskId, run_stamp, running
from fltui.exchange.lock import let_go
from fltui.exchange.manifest import (
    Result,
    SiteActivity,
    Task,
)
from fltui.exchange.nudge import open_nudge
from fltui.exchange.outage import exchange_id, passes
from fltui.exchange.publish import (
    check_exchange,
    hold_site,
    open_site,
    site_lock,
)
from fltui.exchange.visible import visible
from fltui.exchange.watch import Backoff
from fltui.model import GROUPS, FLModel, Params, ParamsType, group_names, split_groups
from fltui.signals import StoppedError

if TYPE_CHECKING:
    from fltui.client.filtering import SiteFilters

_LARGE = 1 << 20
"""Bytes of a model whose results are taken back before the next one is written, not while the site waits."""

_SAY_WAITING = 2.0
"""Seconds of waiting for a first task after which a person is told what is awaited."""

_TRUST = 3
"""Tasks in a row of which hints have told, after which they are trusted to tell of the next."""


class Session:
    """What `fltui.client.init` opens.

    Args:
        config: which site, exchange and run.
        log: where the script's output goes; opened under the run's name once a task says which run it is.
    """

    def __init__(self, config: ClientConfig, log: LogFile) -> None:
        exchange = ExchangeFolder(Path(config.exchange).absolute())
        self._filters = _filters(config)  # before anybody sees that this site is there
        self.config = config
        self.site = exchange.site(config.site)
        self.run = config.run
        self.task: Task | None = None
        self.ended = False
        self._log = log
        self._digest = ""
        self._model: FLModel | None = None
        self._durable = config.durability is Durability.POWER
        self._nudge = open_nudge(config.nudge, self._say)
        self._results = Results(self.site, durable=self._durable, carried=self._nudge.on)
        self._values = LoggedValues(self.site, durable=self._durable)
        self._exchange_id: str | None = None
        self._optimizer_noted = False
        self._skipped = False
        self._fresh = False
        self._seen = False  # whether all that came before the hints that are still to be taken has been seen
        self._told = 0  # tasks in a row, up to the last, of which hints have told
        self._there: list[TaskId] = []
        self._completed = False
        self.exit_code = 0
        """What the script's process should exit with: 1 after a failed run, 3 after an aborted one."""
        if not exchange.root.is_dir() and not exchange.root.parent.is_dir():
            raise BadInputError(f"exchange folder {exchange.root} does not exist, nor does the folder it would be in")
        check_exchange(exchange, delivered=True)
        demanded = config.require_signatures
        self._identity = site_identity(Keys(keys_path()), config.site, exchange.about, demanded=demanded)
        self._vetting = Vetting(self.site, self._identity)
        open_site(self.site, "site", durable=self._durable)
        self._lock = hold_site(self.site, self.run)
        remove_leftovers(self.site, "status.json.*")
        remove_spares(self.site, config.run)
        self._hints = Hints(exchange.root, config.watch, _relay())
        self._hints.add(self.site.tasks)
        self._away = False
        self._heartbeat = Heartbeat(self.site, self.run, config.status_every, self._nudge)
        self._closed = False
        self._ready = False
        if self.run:
            self._begin_run()

    def _say(self, text: str) -> None:
        print(f"site {self.site.name}: {text}", file=sys.stderr)

    def _begin_run(self) -> None:
        remove_leftovers(self.site, f"{self.run}.*")
        with contextlib.suppress(OSError):
            self._results.begin(self.run)
            for path in (self.site.log(self.run), self.site.metrics(self.run)):
                end_last_line(path)
        self.persist(lambda: self._log.open(self.site.log(self.run)), "its log")

    def ready(self) -> None:
        """The script has called `init`: it can be given tasks. A second call does nothing."""
        if not self._ready:
            self._ready = True
            self._heartbeat.say("waiting", run=self.run)

    def is_running(self) -> bool:
        """Wait for the next task or the end, see `wait_for_task`."""
        self._skipped = self._model is not None
        self._fresh = self.wait_for_task()
        return self._fresh

    def wait_for_task(self, timeout: float | None = None) -> bool:
        """Wait until there is a task to answer or the run ends.

        Args:
            timeout: seconds; None waits as long as it takes.

        Returns:
            True with `task` set, False at the end of the run or after `timeout`.
        """
        started = time.monotonic()
        backoff = self._hints.backoff(trusted=self._told >= _TRUST)
        told: bool | None = None
        said = bool(self.run)
        # All that was there has been seen when the task was taken that is now answered; what has come since gives a
        # hint, or is looked for in a moment.
        seen = self._seen and self.task is None and timeout is None and self._hints.fileno() is not None
        self._seen = False
        while True:
            if not seen and self._look():
                self._seen = True
                if told is not None:  # it was not there already
                    self._told = self._told + 1 if told else 0
                if self.task is not None and sum(entry.size for entry in self.task.arrays) > _LARGE:
                    # Its place is to be had before the next result needs more.
                    self._results.retire(self._there, keep_newest=False)
                return True
            seen = False
            if self.ended:
                return False
            waited = time.monotonic() - started
            if timeout is not None and waited >= timeout:
                return False
            if not said and waited > _SAY_WAITING:
                said = True
                print(f"site {self.site.name} waits for a server at {self.site.root.parent}", file=sys.stderr)
            self._results.retire(self._there, keep_newest=self.task is None)  # while nobody waits for this site
            sure = self._hints.are_sure
            told = self._pause(backoff.next() if timeout is None else min(backoff.next(), timeout - waited))
            if sure and not self._hints.are_sure:  # the folder was removed, and may be there again
                self._hints.renew()
                self._told, backoff = 0, self._hints.backoff(trusted=False)

    def receive(self, timeout: float | None = None) -> FLModel | None:
        """The task's model, or the next task's if that was answered; None at the end or after `timeout`."""
        if self._model is not None and self.task is not None:
            if self._skipped:
                raise ClientError(
                    f"round {self.task.round} was received and not answered: call send() before the next is_running()"
                )
            return self._model
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        backoff = Backoff()
        fresh, self._fresh = self._fresh, False  # `is_running` has just found it
        while fresh or self.wait_for_task(None if timeout is None else deadline - time.monotonic()):
            task, fresh = self.task, False
            if task is None:
                break
            names = _groups(task)
            try:
                arrays = read_params(self.site, task, mapped=self.config.mapped)
            except NotYetError:  # a sync engine delivered the manifest first
                if time.monotonic() >= deadline:
                    return None
                self._pause(min(backoff.next(), deadline - time.monotonic()))
                continue
            params, groups = split_groups(arrays, names)
            if self._filters is not None:
                params = self._filters.received(task, params)
            self._model = FLModel(
                params_type=task.params_type,
                params=params,
                start_round=task.start_round,
                current_round=task.round,
                total_rounds=task.total_rounds,
                meta={key: value for key, value in task.meta.items() if key != GROUPS},
                groups=groups,
            )
            self._heartbeat.say("training", run=self.run, task_id=task.task_id)
            return self._model
        return None

    def send(self, model: FLModel, *, clear_cache: bool = True) -> None:
        """Answer the current task.

        Raises:
            ClientError: there is no current task, or the model cannot travel.
        """
        if self.task is None or self._model is None:
            raise ClientError("send() answers a task, but none was received: call receive() first")
        task_id = _parsed(self.task)
        params, groups, metrics, meta = outgoing(model)
        kind = ParamsType(model.params_type or ParamsType.FULL)
        if model.optimizer_params and not self._optimizer_noted:
            self._optimizer_noted = True
            print(f"site {self.site.name}: optimizer_params stay at the site, only params are sent", file=sys.stderr)
        if params and self._filters is not None:
            received, _ = split_groups(self._received(self.task), _groups(self.task))
            params, kind = self._filters.sent(self.task, params, kind, received, has_groups=bool(groups))
        if params and kind is ParamsType.FULL and self.config.transfer is TransferType.DIFF and self.task.arrays:
            received, _ = split_groups(self._received(self.task), _groups(self.task))
            if received:
                kind, params = ParamsType.DIFF, difference(params, received)
        task, arrays = self.task, params | groups

        def publish() -> None:
            entries = self._results.put_arrays(task_id, arrays)
            result = Result(
                PROTOCOL,
                task.run,
                task.task_id,
                self._digest,
                self.site.name,
                task.round,
                kind,
                entries,
                metrics,
                meta,
            )
            self._values.sync()
            self._results.put_manifest(task_id, self._identity.encode(result))

        self.persist(publish, f"the result of round {task.round}")
        self._nudge.result(self.site, self.run)
        self._results.answered(task_id)
        if params and self._filters is not None and (epsilon := self._filters.spent(task)) is not None:
            self.log_value("epsilon", epsilon, "METRIC")
        self._heartbeat.say("waiting", run=self.run)
        if clear_cache:
            self.task = self._model = None

    def log_value(self, key: str, value: Any, kind: str, **extra: Any) -> None:
        """Stream one number to the server, outside of any result.

        Raises:
            ClientError: the value is not a finite number, or no task says yet which run it belongs to.
        """
        line = line_of(key, value, kind, self.task.round if self.task else 0, extra)
        if not self.run:
            raise ClientError("log() belongs to a run, but no task was received yet: call receive() first")
        self.persist(lambda: self._values.append(self.run, line), f"the logged value {key!r}")

    def close(self, state: SiteActivity = "finished", reason: str = "") -> None:
        """Say goodbye: final status, no more watching. A second call does nothing."""
        if self._closed:
            return
        try:
            self._hints.close()
            with contextlib.suppress(OSError):  # the share is away
                self._results.close(self.run)
                if self._completed:
                    forget(kept_folder(self.site), self.run)
            self._log.finish()
            self._heartbeat.finish(state, run=self.run, reason=reason)
            self._nudge.close()
            if self._lock is not None:
                held, self._lock = self._lock, None
                let_go(site_lock(self.site, self.config.run), held)
        except (KeyboardInterrupt, StoppedError):
            self.close(state, reason)  # what is to be said holds, also for one who is told to stop meanwhile
            raise
        self._closed = True

    def _pause(self, seconds: float) -> bool:
        """Wait until something arrives, `seconds` at most; one look serves all that has arrived.

        Returns:
            Whether a hint has told of it.
        """
        until, sure = time.monotonic() + seconds, self._hints.are_sure
        self._seen = False  # the hint may be of the next task
        while not (told := self._hints.wait(until - time.monotonic())) and time.monotonic() < until:
            if sure and not self._hints.are_sure:
                break
            # else what woke it is no manifest: a folder of arrays
        return bool(told)

    def persist(self, write: Callable[[], None], what: str) -> None:
        """Write, again and again while the disk is full or the share away, until it is done or the run has ended.

        Raises:
            OSError: that will not pass by itself.
        """
        backoff, told = Backoff(), False
        while True:
            try:
                self._check_exchange()
                write()
            except OSError as error:
                if not passes(error, self.site.root.parent):
                    raise
                if not told:
                    told = True
                    place = error.filename or self.site.root
                    print(
                        f"site {self.site.name}: {what} cannot be written: {error.strerror} ({place}); trying again",
                        file=sys.stderr,
                    )
            else:
                return
            self._pause(backoff.next())
            if self._has_ended():
                print(f"site {self.site.name}: the run ended before {what} was written for sure", file=sys.stderr)
                return

    def _check_exchange(self) -> None:
        """Make sure that the exchange of this site's run lies where it was.

        Raises:
            OSError: another one does.
        """
        root = self.site.root.parent
        found = exchange_id(root)
        if self._exchange_id is None and self.run:
            self._exchange_id = found
        if found is not None and self._exchange_id not in (None, found):
            told = f"another exchange lies there, {found} instead of {self._exchange_id}"
            raise OSError(errno.ESTALE, told, str(root))

    def _has_ended(self) -> bool:
        """Whether the run has ended, as far as can be seen."""
        with contextlib.suppress(OSError):
            found = self._vetting.published(self.run)
            return self.run not in running(found) and any(one.is_end and one.run == self.run for one in found)
        return False

    def _look(self) -> bool:
        """Take the newest task that is not answered; note the end of the run."""
        try:
            self._check_exchange()
            self._there = found = self._vetting.published(self.run)
            answered = {task for task in found if self._results.has(task)}
        except OSError as error:
            if not self._away:
                self._away = True
                print(
                    f"site {self.site.name}: the exchange folder is away: {error.strerror} ({error.filename}); waiting",
                    file=sys.stderr,
                )
            return False  # a share that is away for a while comes back
        if self._away:
            self._away = False
            print(f"site {self.site.name}: the exchange folder is back", file=sys.stderr)
            self._hints.renew()
            return self._look()  # what has come before there were hints again
        found, readable = list(found), list(found)
        while (newest := self._newest(readable, answered)) is not None:
            if self.task is not None and self.task.task_id == str(newest):
                return True
            try:
                read = self._vetting.task(newest)
            except NotYetError as error:
                if not self._identity.demanded:
                    return False
                # Anybody may have laid half a file there to hide the tasks behind it. It may be the server's, too,
                # on its way: it is read again at the next look, and no run ends while it is there.
                self._vetting.pass_over(newest, error)
                readable.remove(newest)
                continue
            if read is not None:
                self._take(newest, *read)
                return True
            readable.remove(newest)
            found.remove(newest)
        ends = [one for one in found if one.is_end and one.run == self.run]
        if ends and self.run not in running(found) and not self.ended:
            self.ended = True
            self.task = self._model = None
            self._tell_end(max(ends))
        return False

    def _newest(self, found: list[TaskId], answered: set[TaskId]) -> TaskId | None:
        """The task to answer next. Servers leave the last rounds of a run to look at, and may begin a round again: of
        each run only the newest attempt of the newest round is for answering."""
        live = running(found)
        open_tasks = [
            task
            for task in found
            if not task.is_end
            and task.age == live.get(task.run)
            and self.run in ("", task.run)
            and task not in answered
        ]
        if len(open_tasks) == 1:
            return open_tasks[0]
        return max(open_tasks, default=None, key=lambda one: (run_stamp(one.run), one.run, *one.age, one.name))

    def _take(self, newest: TaskId, task: Task, digest: str) -> None:
        """Make a task the current one."""
        self.task, self._digest = task, digest
        self._model = None
        if not self.run:
            self.run = newest.run
            self._begin_run()

    def _tell_end(self, task_id: TaskId) -> None:
        """Say how the run ended, unless it ended well."""
        end = self._vetting.end(task_id)
        self._completed = end is not None and end.state == "FINISHED:COMPLETED"
        if end is not None and not self._completed:
            self.exit_code = 3 if end.state == "FINISHED:ABORTED" else 1
            print(visible(f"run {self.run} ended: {end.state}: {end.reason}"), file=sys.stderr)

    def _received(self, task: Task) -> Params:
        """The model of the current task once more; a sync engine may be delivering it again.

        Raises:
            ClientError: it will not come back.
        """
        backoff = Backoff()
        while True:
            try:
                return read_params(self.site, task, mapped=self.config.mapped)
            except NotYetError as error:
                with contextlib.suppress(OSError):
                    found = self._vetting.published(self.run)
                    if _parsed(task) not in found or running(found).get(self.run) != _parsed(task).age:
                        raise ClientError(f"send(): no difference can be made, the task is gone: {error}") from error
            self._pause(backoff.next())


def _relay() -> int | None:
    """The descriptor of a pipe that tells what arrives, where the simulator watches for many sites; taken once."""
    fd = os.environ.pop(RELAY, "")
    return int(fd) if fd else None


def _parsed(task: Task) -> TaskId:
    parsed = TaskId.parse(task.task_id)
    if parsed is None:
        raise ClientError(f"task id {task.task_id!r} is not one of protocol {PROTOCOL}")
    return parsed


def _filters(config: ClientConfig) -> SiteFilters | None:
    if not config.filters:
        return None
    from fltui.client.filtering import load_site_filters  # few scripts need it, and it takes a while

    return load_site_filters(config.filters, config.site)


def _groups(task: Task) -> list[str]:
    """The names of a task's groups of arrays.

    Raises:
        RefusedError: they are none.
    """
    try:
        return group_names(task.meta)
    except ValueError as error:
        raise RefusedError(f"tasks/{task.task_id}.json breaks protocol {PROTOCOL}: {error}") from error
