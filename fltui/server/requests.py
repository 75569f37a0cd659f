"""What people ask of a run, and what becomes of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from fltui.run.control import Abort, Drop, Pause, Resume, clear_requests, take_requests
from fltui.run.events import AnyEvent, RequestRefused, RunPaused, RunResumed
from fltui.server.outage import Outages
from fltui.server.roster import Roster


class Requests:
    """Takes the requests of a run.

    Args:
        control: their folder.
        roster: knows whether the run is paused.
        outages: a pause or its end during an outage holds after it.
        tell: writes an event.
        abort: ends the run, with a reason.
        drop: goes on without a site, with a reason.
        wake: called when the run goes on.
    """

    def __init__(
        self,
        control: Path,
        roster: Roster,
        outages: Outages,
        *,
        tell: Callable[[AnyEvent], None],
        abort: Callable[[str], None],
        drop: Callable[[str, str], None],
        wake: Callable[[], None],
    ) -> None:
        self._control = control
        self._roster = roster
        self._outages = outages
        self._tell = tell
        self._abort = abort
        self._drop = drop
        self._wake = wake

    def take(self) -> None:
        """Do what is asked for.

        Raises:
            OSError: the folder of requests cannot be read.
        """
        for request in take_requests(self._control):
            match request:
                case Abort():
                    self._abort(request.reason)
                case Pause() if self._outages.current is not None:
                    self._outages.pause_after(request.reason)
                case Pause() if not self._roster.paused:
                    self._tell(RunPaused(reason=request.reason))
                case Resume() if (outage := self._outages.current) is not None:
                    if not self._outages.resume_after():
                        self._tell(RequestRefused(request="resume", reason=outage.reason))
                case Resume() if self._roster.paused:
                    self._tell(RunResumed())
                    self._wake()
                case Drop():
                    self._drop(request.site, f"dropped: {request.reason}")

    def clear(self) -> None:
        """Remove what was asked too late: the run is over."""
        with contextlib.suppress(OSError):
            clear_requests(self._control)
