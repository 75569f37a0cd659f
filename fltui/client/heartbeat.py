"""The site's ``status.json``, kept alive by a thread of its own so that training never looks like death."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import socket
import threading
import time

from fltui.exchange.layout import PROTOCOL, SiteFolder
from fltui.exchange.manifest import SiteActivity, Status, encode
from fltui.exchange.nudge import NoNudge, Nudge
from fltui.exchange.publish import end_turns, replace_in_turns

TICK = 1.0
"""Seconds between two writings while nothing changes."""

_SOONEST = 0.5
"""Seconds between two writings while rounds fly by: the status is for people, the results are for the server."""

_NUDGED = 5.0
"""Seconds after which a carrier is told of the status again. Syncthing rests for a quarter of a second after all
that it has sent, and a result would have to wait for it."""


class Heartbeat:
    """Writes the status when it changes and at every tick.

    Args:
        site: whose status it is.
        run: the run it takes part in; empty before it is known.
        every: least seconds between two writings, but for the first and the last; ticks are twice as far apart.
        nudge: is told of the first, the last and some of those between.
        state: the first one.
        reason: of it.
    """

    def __init__(
        self,
        site: SiteFolder,
        run: str,
        every: float = 0.0,
        nudge: Nudge | None = None,
        state: SiteActivity = "starting",
        reason: str = "",
    ) -> None:
        self._nudge = nudge or NoNudge()
        self._nudged = -math.inf
        self._soonest, self._tick = max(_SOONEST, every), max(TICK, 2 * every)
        self._site = site
        self._session = secrets.token_hex(4)
        self._host = socket.gethostname()
        self._lock = threading.Lock()
        self._counter = 0
        self._now: tuple[SiteActivity, str, str, str] = (state, run, "", reason)
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="fltui-heartbeat", daemon=True)
        self._write()
        self._thread.start()

    def say(self, state: SiteActivity, *, run: str = "", task_id: str = "", reason: str = "") -> None:
        """Announce what the site does; written by the thread, soon."""
        self._now = (state, run, task_id, reason)
        self._changed.set()

    def finish(self, state: SiteActivity, *, run: str = "", reason: str = "") -> None:
        """Announce the last state, written before this returns, and stop."""
        self._stopped.set()
        self._changed.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._now = (state, run, "", reason)
        self._nudged = -math.inf
        self._write()
        with contextlib.suppress(OSError):
            end_turns(self._site.status, self._site.staging("site"), self._session)

    def _beat(self) -> None:
        while not self._stopped.is_set():
            self._changed.wait(self._tick)
            if self._stopped.is_set():
                return
            self._changed.clear()
            self._write()
            self._stopped.wait(self._soonest)

    def _write(self) -> None:
        with self._lock:
            self._counter += 1
            state, run, task_id, reason = self._now
            status = Status(
                PROTOCOL,
                self._site.name,
                state,
                self._counter,
                self._session,
                run,
                task_id,
                reason,
                os.getpid(),
                self._host,
            )
            with contextlib.suppress(OSError):  # a full disk must not end the training; the next tick tries again
                replace_in_turns(
                    encode(status), self._site.status, self._site.staging("site"), self._session, self._counter
                )
        if time.monotonic() - self._nudged >= _NUDGED:
            self._nudged = time.monotonic()
            self._nudge.status(self._site)
