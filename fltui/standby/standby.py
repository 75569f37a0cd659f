"""The process of a site that stays up.

It is there for every run, with a status that says so. When a task comes, the script that its administrator has put
there for the job serves that run, and is the only one to write the status meanwhile. What is known lies in the exchange
alone, so a process that was killed and started again answers what is outstanding.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fltui.client.config import ClientConfig
from fltui.client.heartbeat import Heartbeat
from fltui.client.leftovers import remove_leftovers, remove_spares
from fltui.client.vetting import Vetting
from fltui.errors import BadInputError, NotYetError, RefusedError
from fltui.exchange.collect import read_status
from fltui.exchange.hints import Hints
from fltui.exchange.keys import Keys, keys_path, site_identity
from fltui.exchange.layout import ExchangeFolder, TaskId, run_stamp, running
from fltui.exchange.lock import let_go
from fltui.exchange.manifest import SiteActivity
from fltui.exchange.nudge import open_nudge
from fltui.exchange.publish import check_exchange, hold_site, open_site, site_lock
from fltui.standby.agreed import Agreed, NotAgreedError, agreed, looks_of
from fltui.standby.script import Script, start

_FAREWELL = 10.0
"""Seconds that an interrupted script has to say so."""


class _Words(NamedTuple):
    """What the site says of a run that it does not serve, as long as that run is on.

    Attributes:
        state: ``failed``, or ``finished`` where its script ended before the run did.
        reason: why.
        looks: of the job's folder; once somebody has changed that, the run is served after all.
    """

    state: SiteActivity
    reason: str
    looks: object


class Standby:
    """See the module; used in one event loop.

    Args:
        config: of the site, for no run in particular.
        jobs: the folder of the jobs that it agrees to run, each under its name.
        say: called with a sentence about what happens.

    Raises:
        BadInputError: the exchange or the site's folder cannot be used, or another process serves the site.
    """

    def __init__(self, config: ClientConfig, jobs: Path, say: Callable[[str], None]) -> None:
        if not jobs.is_dir():
            raise BadInputError(
                f"folder of jobs {jobs} does not exist; 'fltui export JOB {shlex.quote(str(jobs))}' puts a job there"
            )
        exchange = ExchangeFolder(Path(config.exchange))
        if not exchange.root.is_dir() and not exchange.root.parent.is_dir():
            raise BadInputError(f"exchange folder {exchange.root} does not exist, nor does the folder it would be in")
        check_exchange(exchange, delivered=True)
        self._config = config
        self._jobs = jobs
        self._say = say
        self._site = exchange.site(config.site)
        identity = site_identity(Keys(keys_path()), config.site, exchange.about, demanded=config.require_signatures)
        self._vetting = Vetting(self._site, identity)
        open_site(self._site, "site", durable=config.durability == "power")
        self._lock = hold_site(self._site, "")
        remove_leftovers(self._site, "status.json.*")
        remove_spares(self._site, "")
        self._nudge = open_nudge(config.nudge, say)
        self._hints = Hints(exchange.root, config.watch)
        self._hints.add(self._site.tasks)
        self._lifeline = os.pipe()
        self._moved = asyncio.Event()
        self._stopped: signal.Signals | None = None
        self._script: Script | None = None
        self._words: dict[str, _Words] = {}
        self._away = False
        self._said: tuple[SiteActivity, str, str] = ("waiting", "", "")
        self._heartbeat: Heartbeat | None = None

    def stop(self, sent: signal.Signals) -> None:
        """End; call it in the event loop's thread. Twice ends a script that is being waited for."""
        if self._stopped is not None and self._script is not None:
            self._script.signal(signal.SIGKILL)
        self._stopped = sent
        self._moved.set()

    async def run(self) -> None:
        """Serve the site until `stop`."""
        self._hints.follow(asyncio.get_running_loop(), lambda _: self._moved.set())
        self._rest()
        self._say(f"site {self._site.name} is there for the jobs in {self._jobs}")
        backoff = self._hints.backoff(trusted=False)
        try:
            while self._stopped is None:
                self._moved.clear()
                if self._script is not None and self._script.ended.done():
                    self._after(self._script, self._script.ended.result())
                if self._script is None:
                    await self._look()
                try:
                    await asyncio.wait_for(self._moved.wait(), backoff.next() if self._script is None else None)
                    backoff.reset()
                except TimeoutError:
                    continue
            if self._stopped is signal.SIGINT:
                await self._say_goodbye()
        finally:
            await self._close()

    async def _say_goodbye(self) -> None:
        """A person ends it: the server is told. Who stops a service will start it again, and nobody is told."""
        if self._script is not None:
            self._script.signal(signal.SIGINT)
            await asyncio.wait([self._script.ended], timeout=_FAREWELL)
        elif self._heartbeat is not None:
            heartbeat, self._heartbeat = self._heartbeat, None
            heartbeat.finish("finished", run=self._said[1])

    async def _close(self) -> None:
        if self._script is not None:
            self._script.signal(signal.SIGKILL)
            await self._script.ended
        for fd in self._lifeline:
            os.close(fd)
        self._hints.close()
        self._nudge.close()
        if self._lock is not None:
            let_go(site_lock(self._site, ""), self._lock)

    # The status, while no script writes it.

    def _rest(self) -> None:
        """Say that the site is there, or what keeps it from serving the run that is on."""
        kept = max(self._words, key=run_stamp, default="")
        words = self._words.get(kept)
        now: tuple[SiteActivity, str, str] = (words.state, kept, words.reason) if words else ("waiting", "", "")
        if self._heartbeat is None:
            every = self._config.status_every
            self._heartbeat = Heartbeat(self._site, now[1], every, self._nudge, now[0], now[2])
        elif now != self._said:
            self._heartbeat.say(now[0], run=now[1], reason=now[2])
        self._said = now

    def _hand_over(self, run: str) -> None:
        """Leave the status to a script."""
        if self._heartbeat is not None:
            heartbeat, self._heartbeat = self._heartbeat, None
            heartbeat.finish("starting", run=run)

    # What comes.

    async def _look(self) -> None:
        """Serve the run of the newest task that waits for an answer, if there is one.

        A share may go away between any two looks at it; then all is as it was, and looked at again.
        """
        try:
            there = self._vetting.published("")
            if self._away:
                self._away = False
                self._say("the exchange folder is back")
                self._hints.renew()
                self._hints.follow(asyncio.get_running_loop(), lambda _: self._moved.set())
                there = self._vetting.published("")  # what has come before there were hints again
            await self._look_through(there)
        except OSError as error:
            if not self._away:
                self._away = True
                self._say(f"the exchange folder is away: {error.strerror} ({error.filename}); waiting")

    async def _look_through(self, there: list[TaskId]) -> None:
        live = running(there)
        for run, words in list(self._words.items()):
            if run not in live or words.looks != looks_of(self._jobs, run):
                del self._words[run]
        for task_id in self._open_tasks(there, live):
            if await self._serve(task_id):
                return
        self._rest()

    def _open_tasks(self, there: list[TaskId], live: dict[str, tuple[int, int]]) -> list[TaskId]:
        """What waits for an answer, of each run the newest attempt of its newest round; the newest run first."""
        found = [
            one
            for one in there
            if not one.is_end
            and one.age == live.get(one.run)
            and one.run not in self._words
            and not self._site.result(one).exists()
        ]
        return sorted(found, key=lambda one: (run_stamp(one.run), one.run, *one.age, one.name), reverse=True)

    async def _serve(self, task_id: TaskId) -> bool:
        """Start what the site runs for the run of a task; whether that was done."""
        run = task_id.run
        try:
            if self._vetting.task(task_id) is None:
                return False  # not signed by the server
            found = agreed(self._jobs, run, self._site.name)
        except NotYetError:
            return False  # a sync engine is at it
        except (NotAgreedError, RefusedError) as error:
            self._refuse(run, "failed", str(error))
            return False
        return await self._start(found, run)

    async def _start(self, found: Agreed, run: str) -> bool:
        self._hand_over(run)
        try:
            self._script = await start(found, run, self._config, self._lifeline[0])
        except OSError as error:
            self._refuse(run, "failed", f"the script of job {found.job!r} cannot be started: {error.strerror}")
            return False
        self._script.ended.add_done_callback(lambda _: self._moved.set())
        self._say(f"run {run} of job {found.job} asks: its script {found.script.name} is started")
        return True

    def _after(self, script: Script, code: int) -> None:
        """A script has ended: the status is ours again."""
        self._script = None
        with contextlib.suppress(OSError):
            if script.run in running(self._vetting.published("")):
                self._refuse(script.run, *self._last_words(script.run, code))
                return
        self._say(f"run {script.run} is over, its script ended with exit code {code}")

    def _last_words(self, run: str, code: int) -> tuple[SiteActivity, str]:
        """What is to be said of a script that has ended before its run did."""
        status = read_status(self._site)
        if status is not None and status.run == run and status.state == "failed":
            return "failed", status.reason
        if code == 0:
            return "finished", ""
        if code < 0:
            return "failed", f"the script's process was killed by {signal.Signals(-code).name}"
        return "failed", f"the script's process ended with exit code {code}"

    def _refuse(self, run: str, state: SiteActivity, reason: str) -> None:
        self._words[run] = _Words(state, reason, looks_of(self._jobs, run))
        why = reason or "its script ended before the run did"
        self._say(f"run {run} is not served any more: {why}")
