"""The server of a queue: starts what has its turn, goes on with what another server left, and writes down what ended.

Nothing is started before `Claim` says as which run, and nothing is looked at again once `EntryEnd` says how it ended.
Between the two the run's own journal is the truth, so a server that is killed at any instant and started again loses no
entry and runs none twice.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fltui.errors import BadInputError
from fltui.exchange.durable import make_folder
from fltui.exchange.hints import Hints
from fltui.exchange.keys import Keys, keys_path, server_identity
from fltui.exchange.lock import hold
from fltui.exchange.outage import exchange_id
from fltui.exchange.publish import open_exchange, show_server_key
from fltui.queue.folder import QueueFolder
from fltui.run.events import RunStatus
from fltui.server.dispatch.child import Lifeline
from fltui.server.dispatch.ending import Ending
from fltui.server.dispatch.notices import Notices, Tell
from fltui.server.dispatch.settings import Settings
from fltui.server.dispatch.starting import Served, Starting
from fltui.server.dispatch.trouble import Places
from fltui.server.dispatch.work import Work


class Counts(NamedTuple):
    """How many entries ended in which way while this process served the queue."""

    completed: int = 0
    aborted: int = 0
    failed: int = 0


class Dispatcher:
    """See the module; used in one event loop.

    Args:
        queue: the queue.
        settings: how its runs are served.
        tell: called with all that happens.
    """

    def __init__(self, queue: QueueFolder, settings: Settings, tell: Tell) -> None:
        self._queue = queue
        self._settings = settings
        self._notices = Notices(tell)
        self._moved = asyncio.Event()
        self._stopped = False

    def stop(self) -> None:
        """End soon; call it in the event loop's thread."""
        self._stopped = True
        self._moved.set()

    @property
    def counts(self) -> Counts:
        """See the class."""
        ends = self._notices.ends
        return Counts(*(ends[state] for state in (RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.FAILED)))

    async def run(self) -> None:
        """Serve the queue until `stop`, or with `Settings.drain` until nothing is left.

        Raises:
            BadInputError: the queue, the runs folder or the exchange cannot be used, or another process serves it.
        """
        with self._held():
            lifeline = Lifeline()
            try:
                await self._serve(lifeline)
            finally:
                lifeline.close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the queue for this process.

        Raises:
            BadInputError: another process holds it, or it cannot be made.
        """
        self._queue.make()
        try:
            fd = hold(self._queue.lock)
        except BlockingIOError as error:
            raise BadInputError(f"queue {self._queue.root} is served by another process already") from error
        except OSError as error:
            raise BadInputError(f"queue {self._queue.root} cannot be held: {error.strerror}") from error
        try:
            self._queue.share(self._queue.lock)
            yield
        finally:
            if fd is not None:
                os.close(fd)

    async def _serve(self, lifeline: Lifeline) -> None:
        settings = self._settings
        try:
            make_folder(settings.runs, durable=settings.durable)
            self._queue.tidy()
        except OSError as error:
            raise BadInputError(f"{error.filename} cannot be used: {error.strerror}") from error
        exchange = open_exchange(settings.exchange, durable=settings.durable)
        # Each run demands what its job demands; here only the ends of dead runs are signed.
        identity = server_identity(Keys(keys_path()), (), demanded=False)
        if identity.signer:
            show_server_key(exchange, identity.public, durable=settings.durable)
        hints = Hints(self._queue.root, settings.watch)
        for folder in (self._queue.root, self._queue.incoming):
            hints.add(folder)
        hints.follow(asyncio.get_running_loop(), lambda _: self._moved.set())
        many = "one job at a time" if settings.parallel == 1 else f"up to {settings.parallel} jobs at a time"
        self._notices.say("serving", f"serving queue {self._queue.root}, {many}")
        places = Places(settings.runs, settings.exchange, exchange_id(settings.exchange))
        ending = Ending(self._queue, places, self._notices)
        starting = Starting(self._queue, settings, Served(exchange, identity), lifeline, ending, self._notices)
        work = Work(self._queue, settings, places, starting, ending, self._notices, self._moved.set)
        backoff = hints.backoff(trusted=False)
        try:
            while not self._stopped:
                self._moved.clear()
                await work.look()
                if self._stopped or (settings.drain and work.is_done):
                    return
                pause = backoff.next() if work.settling is None else min(backoff.next(), work.settling + 0.01)
                try:
                    await asyncio.wait_for(self._moved.wait(), pause)
                    backoff.reset()
                except TimeoutError:
                    continue
        finally:
            hints.close()
            left = await work.kill_all()
            if left:
                goes = "1 run goes" if left == 1 else f"{left} runs go"
                again = f"when 'fltui server --queue {shlex.quote(str(self._queue.root))}' is started again"
                self._notices.say("stopped", f"stopped; {goes} on {again}")
            elif self._stopped:
                self._notices.say("stopped", "stopped; nothing was running")
