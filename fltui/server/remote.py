"""Sites whose scripts other people start: seen through their ``status.json``, judged by change, never by clocks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ExchangeFolder, SiteFolder
from fltui.exchange.manifest import Status
from fltui.exchange.silence import SILENCE, patience, with_gap
from fltui.exchange.watch import Backoff
from fltui.run.options import RunMode
from fltui.server.roster import SCRIPT_ENDED, Roster, Wait

LOOK = 0.25
"""Seconds between two looks at the sites' statuses."""

_DEAF = 2.0
"""Seconds without a look after which silence is not the sites'."""

_DELIVERY = 3.0
"""Seconds that the only words of a script, its last, must stand before they are taken for true."""

FIRST_REST = 1.0
"""Seconds for which a site is not taken back that ended a second time without an answer that counts; then twice as
long each time."""

LONGEST_REST = 30.0
"""The most; less than the usual ``--wait``, so that a run does not end over it."""

_FAREWELL = 2.0
"""Seconds that a finished run waits for the scripts' last words."""


@dataclass
class _Seen:
    """What was last seen of a site, by this process's monotonic clock; no status where it is only known to be asked.

    `alive` tells that the words before these were of the same script, `gaps` how many seconds lay between its last
    words that were seen: what carries them may be slow. `answers` is how many that count it had given, the last one at
    `answered`: a sign of life, too, which may be carried faster than words, but no measure of their pace.
    """

    status: Status | None
    at: float
    fresh: bool
    alive: bool = False
    gaps: tuple[float, ...] = ()
    answers: int = 0
    answered: float = 0.0

    def is_silent(self, now: float) -> bool:
        """Whether there was no sign of it for too long."""
        return now - max(self.at, self.answered) > self.silence

    @property
    def silence(self) -> float:
        """Seconds without a sign after which the site is lost."""
        return patience(self.gaps, SILENCE)

    def next(self, status: Status, now: float) -> _Seen:
        """The same when its status has changed."""
        if self.status is None or status.session != self.status.session:
            return replace(self, status=status, at=now, fresh=True, alive=False, gaps=())
        gaps = with_gap(self.gaps, now - self.at)
        return replace(self, status=status, at=now, fresh=True, alive=True, gaps=gaps)


@dataclass
class _Rest:
    """A site whose script ended: how long it is not taken back, until when, and how many answers it had given.

    A script that is started over and over, and ends each time, would fill the journal with its coming and going.
    """

    answers: int
    seconds: float = 0.0
    until: float = 0.0


class RemoteSites:
    """The fleet of ``fltui server``.

    Args:
        exchange: the exchange folder.
        run: the run's id.
        names: the sites that may take part; empty for whoever comes.
        at_least: how many must be there to begin.
        wait: seconds to wait for all that are wanted; then `at_least` are enough.
        wanted: how many to begin with at once.
    """

    mode: RunMode = "server"
    same_user = False
    look_every = LOOK

    def __init__(
        self, exchange: ExchangeFolder, run: str, names: list[str], *, wanted: int, at_least: int, wait: float
    ) -> None:
        self._exchange = exchange
        self._run = run
        self._names = names
        self._wanted = wanted
        self._at_least = at_least
        self._wait = wait
        self._seen: dict[str, _Seen] = {}
        self._roster: Roster | None = None
        self._asked: frozenset[str] = frozenset()
        self._refused: dict[str, str] = {}
        self._rests: dict[str, _Rest] = {}
        self._looked = 0.0
        self._begun = False

    async def start(self, roster: Roster, wait: Wait, asked: frozenset[str]) -> None:
        """Wait for the sites; see `Fleet.start`."""
        self._roster, self._asked = roster, asked
        for name in asked:
            self._seen.setdefault(name, _Seen(None, time.monotonic(), fresh=False))
        if asked:
            self._begun = True
            self._look_now()
            return
        deadline = time.monotonic() + self._wait
        backoff = Backoff()
        while True:
            self._look_now()
            possible = len(roster.possible(self._names)) if self._names else self._wanted
            if len(roster.present) >= min(self._wanted, possible) >= self._at_least:
                self._begun = True
                return
            if self._names and sum(not self._has_failed(name) for name in self._names) < self._at_least:
                causes = "; ".join(f"{site}: {reason}" for site, reason in sorted(roster.absent.items()))
                raise RunFailedError(f"the first round cannot start: {self._at_least} sites are needed; {causes}")
            if roster.paused:
                await wait(min(backoff.next(), LOOK))
                deadline = time.monotonic() + self._wait
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                break
            await wait(min(backoff.next(), LOOK, left))
        if len(roster.present) < self._at_least:
            missing = ", ".join(map(self._missing, sorted(roster.possible(self._names) - roster.present)))
            raise RunFailedError(
                f"{len(roster.present)} of {self._wanted} sites appeared within {self._wait:g} s; missing: "
                f"{missing or f'{self._at_least} sites'}; "
                f"start each with 'fltui client SCRIPT --site NAME --exchange {self._exchange.root}'"
            )
        self._begun = True

    def _has_failed(self, site: str) -> bool:
        """Whether a site was dropped, or is not there and has failed for sure."""
        roster, seen = self._roster, self._seen.get(site)
        if roster is None or site not in roster.absent:
            return False
        if site in roster.dropped:
            return True
        if seen is None or seen.status is None or seen.status.state != "failed":
            return False
        return site not in roster.silent or time.monotonic() - seen.at > _DELIVERY

    def _missing(self, site: str) -> str:
        """A site that did not come, with what it said before the server looked for the first time."""
        seen = self._seen.get(site)
        if seen is None or seen.status is None or seen.status.state != "failed":
            return site
        when = "" if seen.fresh else " before this server began"
        return f"{site} (it failed{when}: {seen.status.reason[:600]})"

    def look(self) -> None:
        """Look at the statuses, not more often than `LOOK`."""
        if time.monotonic() - self._looked >= LOOK:
            self._look_now()

    def returns(self) -> bool:
        """A site can be started again."""
        return True

    def drop(self, site: str) -> None:
        """Its script was started by others; the end of the run in its folder tells it."""

    def hurry(self) -> None:
        """The moment that it waits is short."""

    async def stop(self, *, patient: bool) -> None:
        """Wait a moment for the scripts to say that they have finished."""
        deadline = time.monotonic() + (_FAREWELL if patient else 0)
        backoff = Backoff()
        while self._still_here() and time.monotonic() < deadline:
            await asyncio.sleep(min(backoff.next(), LOOK))

    def _still_here(self) -> bool:
        if self._roster is None:
            return False
        statuses = [read_status(self._exchange.site(name)) for name in self._roster.present]
        return any(status is not None and status.state not in ("finished", "failed") for status in statuses)

    def _has_left(self, status: Status) -> bool:
        """Whether a site that was at a task of this run has left it, before this server took over."""
        return status.site in self._asked and status.run == self._run and status.state in ("finished", "failed")

    def _look_now(self) -> None:
        first, now = not self._looked, time.monotonic()
        if not first and now - self._looked > _DEAF:
            # Who was not listened to has not been silent: the process was stopped, or sat out an outage.
            for seen in self._seen.values():
                seen.at += now - self._looked
                seen.answered += now - self._looked
        self._looked = now
        folders = [self._exchange.site(name) for name in self._names] or self._exchange.sites()
        for folder in folders:
            self._look_at(folder, first=first)

    def _look_at(self, folder: SiteFolder, *, first: bool) -> None:
        roster, now = self._roster, time.monotonic()
        if roster is None:
            return
        status = read_status(folder)
        seen = self._seen.get(folder.name)
        if status is not None and status.site == folder.name and status.run in ("", self._run):
            if seen is None or seen.status is None:
                # A status that was there before the server may be a leftover: only its change shows life.
                at = now if seen is None else seen.at
                self._seen[folder.name] = seen = _Seen(status, at, fresh=not first)
            elif (status.session, status.counter) != (seen.status.session, seen.status.counter):
                self._seen[folder.name] = seen = seen.next(status, now)
        if seen is not None and seen.answers != roster.answers[folder.name]:
            seen.answers, seen.answered = roster.answers[folder.name], now
        if seen is not None and seen.is_silent(now):
            if seen.fresh or folder.name in self._asked:
                roster.lose(folder.name, f"not heard of for {seen.silence:g} s", silent=True)
            return
        if seen is None or seen.status is None or not (seen.fresh or self._has_left(seen.status)):
            return
        # Last words without any before may be old ones, delivered late, while another script is at work.
        unsure = seen.fresh and not seen.alive
        if seen.status.state == "failed":
            self._rest(roster, folder.name)
            roster.lose(folder.name, seen.status.reason[:600] or "its script failed", silent=unsure)
        elif seen.status.state == "finished":
            self._rest(roster, folder.name)
            roster.lose(folder.name, SCRIPT_ENDED, silent=unsure or not self._begun)
        elif folder.name in roster.absent and folder.name in self._rests and now < self._rests[folder.name].until:
            return
        elif self._refused.get(folder.name) != seen.status.session:
            try:
                roster.join(folder.name)
            except BadInputError as error:
                # Once for every start of its script: its next look would bring the same refusal.
                self._refused[folder.name] = seen.status.session
                roster.lose(folder.name, str(error))

    def _rest(self, roster: Roster, site: str) -> None:
        """A site that is there has ended: the first time it may be back at once, then it has to wait."""
        if site not in roster.present:
            return
        rest, answers = self._rests.get(site), roster.answers[site]
        if rest is None or rest.answers != answers:
            self._rests[site] = _Rest(answers)
        else:
            rest.seconds = min(2 * rest.seconds, LONGEST_REST) or FIRST_REST
            rest.until = time.monotonic() + rest.seconds
