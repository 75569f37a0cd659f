"""What goes once a round is over: private copies of results, and tasks that nobody looks at any more."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.publish import remove_published
from fltui.run.options import RunOptions
from fltui.server.round import Round


class Retention:
    """Clears away, not when a round ends but while the sites work on the next.

    Args:
        exchange: where the tasks are.
        store: folder of private copies.
        options: how much stays.
    """

    def __init__(self, exchange: ExchangeFolder, store: Path, options: RunOptions) -> None:
        self._exchange = exchange
        self._store = store
        self._options = options
        self._tasks: deque[tuple[str, TaskId]] = deque()
        self._done: Round | None = None

    def published(self, tasks: Iterable[tuple[str, TaskId]]) -> None:
        """Remember the tasks of a round, by site."""
        self._tasks.extend(tasks)

    def finished(self, done: Round) -> None:
        """A round is over and its books are closed."""
        self._done = done

    def sweep(self, current: Round | None) -> None:
        """Clear away what the last finished round needed; `current` is the round that runs."""
        done, self._done = self._done, None
        if done is None:
            return
        if not self._options.keep_results:
            in_use = current.stored if current is not None and current is not done else set()
            for digest in done.stored - in_use:
                self._store.joinpath(f"{digest}.npy").unlink(missing_ok=True)
        number = done.request.round
        while self._tasks and self._tasks[0][1].round <= number - self._options.keep_rounds:
            site, task_id = self._tasks.popleft()
            with contextlib.suppress(OSError):  # a folder that its site has closed keeps what is in it
                remove_published(self._exchange.site(site).tasks, str(task_id))
