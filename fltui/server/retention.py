"""What goes once a round is over: private copies of results, and tasks and models that nobody looks at any more."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable

from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.publish import open_tasks
from fltui.run.folder import RunFolder
from fltui.run.models import Models
from fltui.run.options import RunOptions
from fltui.server.round import Round

_MOST_KEPT = 1 << 30
"""Bytes of arrays of finished rounds that stay in the exchange for people to look at. More would keep a disk busy with
what nobody reads."""

_LARGE = 1 << 26
"""Bytes of a model that is left to the disk when the rounds go on without it; a smaller one may stay in memory."""

_LEFT = 4
"""Models behind the newest that are left to the disk again: it may not have had them the last time."""


class Retention:
    """Clears away, not when a round ends but while the sites work on the next.

    Args:
        exchange: where the tasks are.
        folder: of the run.
        options: how much stays.
    """

    def __init__(self, exchange: ExchangeFolder, folder: RunFolder, options: RunOptions) -> None:
        self._exchange = exchange
        self._folder = folder
        self._options = options
        self._tasks: deque[tuple[str, TaskId]] = deque()
        self.spare: dict[str, TaskId] = {}
        """Task whose folder lies empty at a site, for the next one there; it has that one's name already, if nothing
        unexpected comes: a new folder would wake a site that waits for its task."""
        self._done: Round | None = None
        self._models = Models(folder.models, durable=options.durable)
        self._undropped = 0
        self.first = 0
        """The round that the run began with: the model that entered it stays."""
        self.best: int | None = None
        """The round that the best model entered: it stays, too."""
        self._leaving: threading.Thread | None = None
        self._awaited: int | None = None
        """The last round that ended without somebody."""

    def published(self, tasks: Iterable[tuple[str, TaskId]]) -> None:
        """Remember the tasks of a round, by site."""
        self._tasks.extend(tasks)

    def finished(self, done: Round) -> None:
        """A round is over and its books are closed."""
        self._done = done
        if self._kept(done) == 0:  # what comes next has its place on the disk and in memory
            self.sweep(None)

    def chosen(self, number: int) -> None:
        """The best model is the one that entered round `number`: it stays, and the best until now goes in its place."""
        before, self.best = self.best, number
        if before is not None and before != number and self.first < before < self._undropped:
            self._models.remove(before)

    def _kept(self, done: Round) -> int:
        """How many rounds of the size of one that is over stay, with that one."""
        if done.unanswered:
            self._awaited = done.request.round
        if self._awaited is not None and done.request.round - self._awaited < self._options.keep_rounds:
            return self._options.keep_rounds  # somebody is still at a task, and may need its arrays
        kept = min(self._options.keep_rounds, _MOST_KEPT // max(1, done.bytes_in_exchange))
        request = done.request
        return max(kept, 1) if request.round + 1 == request.start_round + request.total_rounds else kept

    def sweep(self, current: Round | None) -> None:
        """Clear away what the last finished round needed; `current` is the round that runs."""
        done, self._done = self._done, None
        if done is None:
            return
        if not self._options.keep_results:
            in_use = current.stored if current is not None and current is not done else set()
            for digest in done.stored - in_use:
                self._folder.store.joinpath(f"{digest}.npy").unlink(missing_ok=True)
        number = done.request.round
        coming = (number if current is None or current is done else current.request.round) + 1
        kept = self._kept(done)
        while self._tasks and self._tasks[0][1].round <= number - kept:
            site, task_id = self._tasks.popleft()
            # A folder that its site has closed keeps what is in it.
            with contextlib.suppress(OSError), open_tasks(self._exchange.site(site)) as tasks:
                # A sync engine would carry an empty folder under one name after the other.
                reused = site not in self.spare and not self._options.nudge
                if reused and tasks.empty(task_id, durable=self._options.durable):
                    ahead = TaskId(task_id.run, coming, task_id.name)
                    self.spare[site] = ahead if tasks.rename_empty(task_id, ahead) else task_id
                else:
                    tasks.remove(task_id)
        if self._options.keep_models is not None:
            self._drop_models(self.first + 1, number + 2 - self._options.keep_models)
        if done.request.model.whole_size >= _LARGE and (self._options.keep_models or _LEFT) >= _LEFT:
            self._leave_to_disk(number)

    def finish(self) -> None:
        """Leave no empty folder behind."""
        while self.spare:
            site, task_id = self.spare.popitem()
            with contextlib.suppress(OSError), open_tasks(self._exchange.site(site)) as tasks:
                tasks.remove_spare(task_id)

    def _leave_to_disk(self, number: int) -> None:
        """Leave past models to the disk, so that the next one gets their memory: a virtual machine would have to get
        other memory from its host, and waits longer for that than for all else of a round."""

        def leave() -> None:
            for past in range(max(number + 1 - _LEFT, 0), number + 1):
                self._models.leave_to_disk(past)

        if self._leaving is None or not self._leaving.is_alive():
            self._leaving = threading.Thread(target=leave, name="leave models to the disk", daemon=True)
            with contextlib.suppress(RuntimeError):  # this user may have no more threads
                self._leaving.start()  # a disk may be slow, so nobody waits

    def _drop_models(self, start: int, stop: int) -> None:
        """Remove the models that enter the rounds from `start` to before `stop`, those of earlier processes too."""
        for number in range(max(start, self._undropped), stop):
            if number != self.best:
                self._models.remove(number)
            self._undropped = number + 1
