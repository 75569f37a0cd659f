"""Copying what sites write beside their results into the run folder: their logs, and the values they logged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from fltui.errors import NotYetError, RefusedError
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import MALFORMED, Logged
from fltui.exchange.npy import open_beneath

LARGEST_LOG = 1 << 26
"""Bytes of a site's log that are copied."""

MOST_LINES = 100_000
"""Lines of logged values that are taken of a site."""

_LOG_AT_ONCE = 1 << 20
"""Bytes of the log that are taken at one look."""

_LINES_AT_ONCE = 1 << 16
"""Bytes of logged values that are taken at one look: each line may become an event."""

_LONGEST_LINE = 1 << 12

_LAST_LOOKS = 128

_logged = msgspec.json.Decoder(Logged)


class Mirror:
    """Follows one site's files of one run; every look takes what is new.

    Args:
        site: the site's folder, hostile.
        run: the run's id.
        log: where its log goes; None where that is the same file already.
        logged: called with every value the script logged.
        known: how many of these values were taken before, by a server of the same run. Of the log, what is there was.
        told: called with a sentence when a limit is reached or a file is none to read, once for each.
    """

    def __init__(
        self,
        site: SiteFolder,
        run: str,
        log: Path | None,
        logged: Callable[[str, Logged], None],
        known: int = 0,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._site = site
        self._log = log
        self._report = logged
        self._tell = told
        self._full: set[str] = set()
        self._told: set[str] = set()
        self._lines = 0
        self._names = {"log": site.log(run).name, "metrics": site.metrics(run).name}
        self._paths = {what: f"{site.logs}/{name}" for what, name in self._names.items()}
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
        """Take what is new.

        Raises:
            OSError: the run's disk is full; what was not taken in is taken at the next look.
        """
        if self._log is not None and (text := self._read("log", min(_LOG_AT_ONCE, LARGEST_LOG - self._done["log"]))):
            try:
                with self._log.open("ab") as file:
                    file.write(text)
            finally:
                self._done["log"] = self._log.stat().st_size
        if self._log is not None and self._done["log"] >= LARGEST_LOG:
            self._stop("log", f"{LARGEST_LOG >> 20} MiB of it are copied")
        self._take_metrics()

    def _stop(self, what: str, limit: str) -> None:
        self._full.add(what)
        self._say_once(f"end of {what}", f"logs/{self._names[what]} is followed no longer: {limit}, the most")

    def _say_once(self, what: str, sentence: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(f"site {self._site.name}: {sentence}")

    def _take_metrics(self) -> None:
        text = self._read("metrics", _LINES_AT_ONCE)
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            if self._lines >= MOST_LINES:
                self._stop("metrics", f"{MOST_LINES} lines of it are taken")
                return
            self._take_value(line)
            self._lines += 1
            self._done["metrics"] += len(line)  # now that it is told; a full disk may have kept it from that
        if len(text) - len(whole) > _LONGEST_LINE:
            self._done["metrics"] += len(text) - len(whole)

    def _take_value(self, line: bytes) -> None:
        try:
            found = _logged.decode(line)
        except MALFORMED:
            return  # a line that is no value is the site's loss alone
        if self._known:
            self._known -= 1
        else:
            self._report(self._site.name, found)

    def _read(self, what: str, most: int) -> bytes:
        if what in self._full or most <= 0 or self._stands_still(what):
            return b""
        try:
            with open_beneath(self._site.root, "logs", self._names[what]) as fd:
                text = os.pread(fd, most, self._done[what])
        except RefusedError as error:
            self._say_once(what, f"{error}; it is not followed")
            return b""
        except (NotYetError, OSError):
            return b""
        return text.rstrip(b"\0")  # what a sync engine has made room for, and not delivered yet

    def _stands_still(self, what: str) -> bool:
        """Whether a file on a disk of this very user has nothing new, seen without opening it and the way to it.

        A share may tell an old size until the file is opened.
        """
        if self._log is not None:
            return False
        try:
            return os.stat(self._paths[what]).st_size == self._done[what]  # noqa: PTH116 - asked of every site each time
        except OSError:
            return True
