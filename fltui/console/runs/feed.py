"""What a run screen knows of its run: the batches of a source folded into a view."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fltui.console.runs.follow import Batch, Follower
from fltui.console.runs.playback import Playback
from fltui.console.runs.remarks import Remarks
from fltui.console.runs.series import Series
from fltui.console.runs.view import RunView
from fltui.run.folder import RunFolder
from fltui.run.logs import LogLine
from fltui.run.state import RunState

_STILL = 30.0
"""Seconds after which a run that no engine of this machine holds is not taken for one that another machine writes."""


@dataclass
class News:
    """What came of taking batches.

    Attributes:
        lines: new lines of the logs.
        anew: whether everything before is gone, such as at the beginning of a playback.
        steered: whether what can be done with the run may have changed.
        something: whether there was anything.
    """

    lines: list[LogLine] = field(default_factory=list)
    anew: bool = False
    steered: bool = False
    something: bool = False


class Feed:
    """A run followed live, or played back.

    Args:
        folder: the run.
        clock: seconds since the epoch; a test gives its own.

    Attributes:
        view: the run as far as it has been taken.
        error: why it cannot be read; empty as a rule.
        opened: whether anything has been taken yet.
    """

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.time) -> None:
        self.view = RunView(folder)
        self.error = ""
        self.opened = False
        self._clock = clock
        self._held = False
        self._moved = -_STILL
        self._source: Follower | Playback = Follower(folder)

    @property
    def playback(self) -> Playback | None:
        """The playback, while there is one."""
        return self._source if isinstance(self._source, Playback) else None

    @property
    def elapsed(self) -> float:
        """Seconds since the run's start, of a live run until now."""
        state = self.view.state
        if self.playback is not None:
            return self.playback.seconds
        if self._held and state.since and not state.status.is_finished:
            return max(state.seconds, self._clock() - state.since)
        return state.seconds

    @property
    def is_orphaned(self) -> bool:
        """Whether the run has not ended and nobody seems to go on with it."""
        return self.opened and not self.view.alive and not self.view.played and not self.view.state.status.is_finished

    def take(self, seconds: float) -> News:
        """Take in what has come, working no longer than about `seconds`."""
        until = time.monotonic() + seconds
        news, view = News(), self.view
        before = (view.alive, view.state.status)
        while time.monotonic() < until and (batch := self._source.take()) is not None:
            news.something = True
            self._take(batch, news)
        moves = time.monotonic() - self._moved < _STILL
        view.alive = view.played or self._held or (moves and not view.state.status.is_finished)
        news.steered = news.anew or before != (view.alive, view.state.status)
        news.something = news.something or news.steered
        return news

    def play(self) -> None:
        """Begin a playback."""
        self._change(Playback(self.view.folder))

    def follow(self) -> None:
        """Show the run as it is."""
        self._change(Follower(self.view.folder))

    def close(self) -> None:
        """Stop reading."""
        self._source.close()

    def _change(self, source: Follower | Playback) -> None:
        self._source.close()
        self._source = source
        self.view.played = isinstance(source, Playback)
        self.view.chosen = None
        self.view.state, self.view.series, self.view.remarks = RunState(), Series(), Remarks()
        self.error, self.opened, self._moved = "", False, -_STILL

    def _take(self, batch: Batch, news: News) -> None:
        view = self.view
        if batch.held is not None:
            self._held = batch.held
        if batch.opening is not None:
            view.state, view.series, view.remarks = batch.opening.state, batch.opening.series, batch.opening.remarks
            view.exchange = batch.opening.exchange
            news.anew, self.opened, self.error = True, True, ""
        elif batch.events:
            self._moved = time.monotonic()
        try:
            for event in batch.events:
                view.add(event)
        except KeyError as error:
            self.error = f"the journal is not of one run: round {error} does not start before it goes on"
        news.lines += batch.lines
        self.error = batch.error or self.error
