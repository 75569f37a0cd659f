"""The sites that a run attends to: the server has opened their folders, awaits their results and mirrors their logs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from fltui.errors import BadInputError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import Logged
from fltui.exchange.outage import has_room
from fltui.exchange.publish import open_site
from fltui.run.folder import RunFolder
from fltui.server.arrivals import Arrivals
from fltui.server.mirror import Mirror


class Attendance:
    """See the module.

    Args:
        exchange: the exchange folder.
        folder: the run folder.
        arrivals: gets the sites' folders to watch.
        logged: called with every value that a site's script logged.
        told: called with a sentence for the server's log.
        same_user: the sites' logs are in the run folder already.
        durable: folders survive a power cut.
    """

    def __init__(
        self,
        exchange: ExchangeFolder,
        folder: RunFolder,
        arrivals: Arrivals,
        logged: Callable[[str, Logged], None],
        told: Callable[[str], None],
        *,
        same_user: bool,
        durable: bool,
    ) -> None:
        self._exchange = exchange
        self._folder = folder
        self._arrivals = arrivals
        self._logged = logged
        self._told = told
        self._same_user = same_user
        self._durable = durable
        self._mirrors: dict[str, Mirror] = {}

    @property
    def sites(self) -> set[str]:
        """Whom it attends to."""
        return set(self._mirrors)

    def open(self, site: str) -> None:
        """Make the server's folders at a site.

        Raises:
            BadInputError: the site, or whoever prepared its folder, has spoilt it.
            OSError: the exchange folder is full or away.
        """
        try:
            open_site(self._exchange.site(site), "server", durable=self._durable)
        except BadInputError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and not has_room(self._exchange.root, 1 << 16):
                raise cause from None
            raise

    def attend(self, site: str, logged_before: int) -> None:
        """Await a site's results and mirror its logs from now on.

        Args:
            site: its folders are open.
            logged_before: how many of its logged values another server has taken.
        """
        folder = self._exchange.site(site)
        log = None if self._same_user else self._folder.logs / f"{site}.log"
        self._mirrors[site] = Mirror(folder, self._folder.run, log, self._logged, logged_before, self._told)
        self._arrivals.add(folder)

    def look(self, site: str) -> None:
        """Take what is new in a site's logs."""
        self._mirrors[site].look()

    def look_at_all(self) -> None:
        """Take what is new in all logs."""
        for mirror in self._mirrors.values():
            mirror.look()

    def finish(self) -> None:
        """Take the rest of all logs, as far as they and the run folder let it."""
        for mirror in self._mirrors.values():
            with contextlib.suppress(OSError):
                mirror.finish()
