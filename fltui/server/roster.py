"""Who is there: the sites that can be asked, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from fltui.run.options import RunMode

Wait = Callable[[float], Awaitable[object]]
"""Waits so many seconds at most while the engine attends to what happens."""

SCRIPT_ENDED = "its script ended before the run did; it must answer while flare.is_running()"
"""Why a site is lost whose script just returned."""


class Roster:
    """The sites of one run.

    Args:
        joined: called with a site that can be asked now; if it raises, the site has not joined.
        lost: called with a site that cannot be asked any more, and the reason.
        changed: called after either.
    """

    def __init__(
        self,
        joined: Callable[[str], None],
        lost: Callable[[str, str], None],
        changed: Callable[[], None],
    ) -> None:
        self.present: set[str] = set()
        """Who can be asked."""
        self.absent: dict[str, str] = {}
        """Who cannot any more, and why."""
        self.silent: set[str] = set()
        """Who is absent and said nothing of its end: it may be back with an answer to what it was asked."""
        self.dropped: set[str] = set()
        """Who is absent for good, because a person said so."""
        self.answers: Counter[str] = Counter()
        """How many results of each site this process accepted."""
        self.paused = False
        """Whether the run is paused: nobody has to come in time meanwhile."""
        self._joined = joined
        self._lost = lost
        self._changed = changed

    def join(self, site: str) -> None:
        """The site can be asked; one that was dropped is refused without a word."""
        if site not in self.present | self.dropped:
            self._joined(site)  # if that refuses it, it stays lost, and nobody is told again
            self.absent.pop(site, None)
            self.silent.discard(site)
            self.present.add(site)
            self._changed()

    def lose(self, site: str, reason: str, *, silent: bool = False) -> None:
        """The site cannot be asked any more; `silent` if it has just not been heard of."""
        if site not in self.absent:
            self.present.discard(site)
            self.absent[site] = reason
            if silent:
                self.silent.add(site)
            self._lost(site, reason)
            self._changed()
        elif not silent:
            self.silent.discard(site)

    def drop(self, site: str, reason: str) -> None:
        """Go on without the site, whatever it does."""
        if site not in self.dropped:
            self.dropped.add(site)
            self.absent.pop(site, None)
            self.silent.discard(site)
            self.lose(site, reason)

    def drop_before(self, site: str, reason: str) -> None:
        """The site was dropped before this process took over; nobody has to be told again."""
        self.dropped.add(site)
        self.absent[site] = reason

    def possible(self, named: Iterable[str]) -> set[str]:
        """Who of the sites that a job names was not dropped."""
        return set(named) - self.dropped


class Fleet(Protocol):
    """Where the sites' scripts run: processes of this machine, or other people's shells."""

    mode: RunMode
    """For the journal."""

    same_user: bool
    """Whether server and sites are one user on one file system, so that files can be linked instead of copied."""

    look_every: float
    """Seconds between two looks, see `look`."""

    async def start(self, roster: Roster, wait: Wait, asked: frozenset[str]) -> None:
        """Bring the sites; they join the roster now or later. Called again after an outage.

        Args:
            roster: where they join.
            wait: waits so many seconds at most, for changes and for requests of people.
            asked: sites that are at a task from before; nobody needs to wait until they show themselves.

        Raises:
            RunFailedError: too few came in time.
        """

    def look(self) -> None:
        """Look for sites that came, went or died, where nobody tells."""

    def returns(self) -> bool:
        """Whether a site that is lost may come back by itself."""

    def drop(self, site: str) -> None:
        """End what this fleet started for a site that was dropped."""

    async def stop(self, *, patient: bool) -> None:
        """The run is over: let the scripts end, or end them. Nothing that was started survives this."""

    def hurry(self) -> None:
        """Be patient no longer."""
