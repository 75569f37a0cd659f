"""Copying what sites write beside their results into the run folder: their logs, and the values they logged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from fltui.errors import ExchangeError
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import MALFORMED, Logged
from fltui.exchange.npy import open_beneath

_AT_ONCE = 1 << 20
"""Bytes of one file that are taken at one look."""

_LONGEST_LINE = 1 << 12

_LAST_LOOKS = 64

_logged = msgspec.json.Decoder(Logged)


class Mirror:
    """Follows one site's files of one run; every look takes what is new.

    Args:
        site: the site's folder, hostile.
        run: the run's id.
        log: where its log goes; None where that is the same file already.
        logged: called with every value the script logged.
        known: how many of these values were taken before, by a server of the same run. Of the log, what is there was.
    """

    def __init__(
        self, site: SiteFolder, run: str, log: Path | None, logged: Callable[[str, Logged], None], known: int = 0
    ) -> None:
        self._site = site
        self._log = log
        self._report = logged
        self._names = {"log": site.log(run).name, "metrics": site.metrics(run).name}
        self._known = known
        self._done = {"log": log.stat().st_size if log is not None and log.exists() else 0, "metrics": 0}

    def finish(self) -> None:
        """Take the rest, as much of it as a run folder is given at its end."""
        for _ in range(_LAST_LOOKS):
            before = dict(self._done)
            self.look()
            if self._done == before:
                return

    def look(self) -> None:
        """Take what is new."""
        if self._log is not None and (text := self._take("log")):
            with self._log.open("ab") as file:
                file.write(text)
        self._take_metrics()

    def _take_metrics(self) -> None:
        text = self._take("metrics")
        whole, _, rest = text.rpartition(b"\n")
        if len(rest) <= _LONGEST_LINE:
            self._done["metrics"] -= len(rest)
        for line in whole.splitlines():
            try:
                found = _logged.decode(line)
            except MALFORMED:
                continue  # a line that is no value is the site's loss alone
            if self._known:
                self._known -= 1
            else:
                self._report(self._site.name, found)

    def _take(self, what: str) -> bytes:
        try:
            with open_beneath(self._site.root, "logs", self._names[what], links=None) as fd:
                text = os.pread(fd, _AT_ONCE, self._done[what])
        except (ExchangeError, OSError):
            return b""
        self._done[what] += len(text)
        return text
