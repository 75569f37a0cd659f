"""Results that come after their round has ended without them: told, and not read."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable

from fltui.exchange.layout import ExchangeFolder, TaskId


class LateResults:
    """Looks for the answers that the last rounds did not wait for.

    Args:
        exchange: the exchange folder.
        rounds: of how many rounds; as long as their tasks are there, too.
    """

    def __init__(self, exchange: ExchangeFolder, rounds: int) -> None:
        self._exchange = exchange
        self._missed: deque[dict[str, TaskId]] = deque(maxlen=rounds)

    def missed(self, tasks: Iterable[tuple[str, TaskId]]) -> None:
        """A round ended without the answers of these sites to these tasks."""
        self._missed.append(dict(tasks))

    def look(self) -> list[tuple[str, TaskId]]:
        """Site and task of every late answer that has come since the last look."""
        found = []
        for missed in self._missed:
            for site, task_id in list(missed.items()):
                with contextlib.suppress(OSError):  # a folder that its site has closed
                    if self._exchange.site(site).result(task_id).exists():
                        found.append((site, missed.pop(site)))
        return found
