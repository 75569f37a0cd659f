"""Nudges: telling what carries an exchange at once that something was published, which it would see seconds later.

They are a hint. A run with a carrier that does not answer is a slower one, and no other; so nobody waits for them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fltui.errors import BadInputError
from fltui.exchange.watch import Backoff

if TYPE_CHECKING:
    from fltui.exchange.layout import SiteFolder
    from fltui.exchange.syncthing import Syncthing

SYNCTHING = "syncthing"

_PATIENCE = 0.5
"""Seconds to wait for the end of a look through a folder; it goes on without anybody waiting."""

_FAREWELL = 2.0
"""Seconds that `SyncthingNudge.close` waits for nudges that are still to be given."""

_RELEARN = 10.0
"""Least seconds between two questions for the folders that it shares, where one is not among them."""

_MOST = 10_000
"""Paths that wait to be told of; who is behind by more has a thread that does not get anywhere."""

_ITSELF = "Syncthing"
"""What trouble with all of it is remembered by."""


class Nudge(Protocol):
    """Who is told of what was published. Nothing here waits; where nobody is to be told, nothing costs anything.

    Attributes:
        on: somebody is told.
    """

    on: bool

    def task(self, site: SiteFolder) -> None:
        """The server has published for a site: a task, or the end of a run."""

    def result(self, site: SiteFolder, run: str) -> None:
        """A site has published a result, and what its script has logged before."""

    def status(self, site: SiteFolder) -> None:
        """A site has written its status, and what its script has printed."""

    def close(self) -> None:
        """End."""


class NoNudge:
    """Nobody is told: all machines mount the exchange, or what carries it looks by itself. See `Nudge`."""

    on = False

    def task(self, site: SiteFolder) -> None:
        """Nothing."""

    def result(self, site: SiteFolder, run: str) -> None:
        """Nothing."""

    def status(self, site: SiteFolder) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class SyncthingNudge:
    """Tells a Syncthing in a thread of its own, which begins with the first thing that is published. See `Nudge`.

    Args:
        syncthing: which one.
        told: called from that thread with a sentence when nudges do not get through, once, and when they do again.
    """

    on = True

    def __init__(self, syncthing: Syncthing, told: Callable[[str], None]) -> None:
        self._syncthing = syncthing
        self._told = told
        self._changed = threading.Condition()
        self._waiting: dict[Path, None] = {}
        self._closed = False
        self._idle = True
        self._failing = False
        self._thread: threading.Thread | None = None
        self._folders: dict[Path, str] = {}
        self._learnt = -_RELEARN
        self._trouble: dict[str, str] = {}
        """What was told and is not over: of all of it, or of a path."""

    def task(self, site: SiteFolder) -> None:
        """See `Nudge`."""
        self.published(site.tasks)

    def result(self, site: SiteFolder, run: str) -> None:
        """See `Nudge`."""
        self.published(site.results, site.metrics(run))

    def status(self, site: SiteFolder) -> None:
        """See `Nudge`."""
        self.published(site.status, site.logs)

    def published(self, *paths: Path) -> None:
        """Something was published in these folders, or these files have changed. Returns at once."""
        with self._changed:
            if self._closed or len(self._waiting) + len(paths) > _MOST:
                return
            self._waiting.update(dict.fromkeys(paths))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="fltui-nudge", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # this user may have no more threads
                    self._thread = None
            self._changed.notify_all()

    def close(self) -> None:
        """Give what is still to be given, in a moment, and end."""
        with self._changed:
            if self._thread is not None:
                self._changed.wait_for(lambda: self._failing or (self._idle and not self._waiting), _FAREWELL)
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        backoff = Backoff(_PATIENCE)
        while True:
            with self._changed:
                self._idle = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                paths, self._waiting, self._idle = list(self._waiting), {}, False
            failed = self._give(paths)
            self._failing = bool(failed)
            if not failed:
                backoff.reset()
                continue
            with self._changed:  # it may be started again, and what it missed meanwhile is told then
                self._waiting = dict.fromkeys(failed) | self._waiting
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed, backoff.next())

    def _give(self, paths: list[Path]) -> list[Path]:
        """Tell of what was published; those paths that are to be told of again."""
        from fltui.exchange.syncthing import NoAnswerError

        try:
            wanted = self._by_folder(paths)
        except NoAnswerError as error:
            self._say_trouble(_ITSELF, str(error))
            return paths
        failed: list[Path] = []
        for folder, below in wanted.items():
            try:
                self._scan(folder, below)
            except NoAnswerError as error:
                self._learnt, self._folders = -_RELEARN, {}  # its configuration may have changed
                self._say_trouble(_ITSELF, str(error))
                failed += below.values()
        if wanted and not failed:
            self._say_over(_ITSELF)
        return failed

    def _scan(self, folder: str, below: dict[str, Path]) -> None:
        from fltui.exchange.syncthing import BusyError

        try:
            self._syncthing.scan(folder, [] if "" in below else list(below), _PATIENCE)
        except BusyError:
            self._syncthing.ping()  # it has much to look through, or is stopped altogether

    def _by_folder(self, paths: list[Path]) -> dict[str, dict[str, Path]]:
        """The shared folders that hold the paths: the id of each, and what to look through below it."""
        real = {path: Path(os.path.realpath(path)) for path in paths}
        if not all(self._folder_of(one) for one in real.values()) and self._learnt + _RELEARN <= time.monotonic():
            self._learn()
        found: dict[str, dict[str, Path]] = {}
        for path, one in real.items():
            root = self._folder_of(one)
            if root is None:
                self._say_trouble(
                    str(path),
                    f"Syncthing shares no folder that holds {path}; it is not told of what is published there "
                    "('fltui exchange init' says what to share)",
                )
                continue
            self._say_over(str(path))
            below = one.relative_to(root).as_posix()
            found.setdefault(self._folders[root], {})["" if below == "." else below] = path
        return found

    def _folder_of(self, path: Path) -> Path | None:
        """The innermost of the shared folders that holds a path."""
        return next((one for one in (path, *path.parents) if one in self._folders), None)

    def _learn(self) -> None:
        from fltui.exchange.syncthing import BusyError, NoAnswerError

        try:
            self._folders = self._syncthing.folders()
        except BusyError as error:
            raise NoAnswerError(str(error)) from error
        self._learnt = time.monotonic()

    def _say_trouble(self, what: str, sentence: str) -> None:
        if self._trouble.get(what) is None and not self._closed:
            self._told(f"no nudge: {sentence}; the run goes on, and rounds take as long as its own looks")
        self._trouble[what] = sentence

    def _say_over(self, what: str) -> None:
        if self._trouble.pop(what, None) is not None:
            self._told(f"nudges of {what} get through again")


def open_nudge(text: str, told: Callable[[str], None]) -> Nudge:
    """What tells the carrier that a person has named.

    Args:
        text: as in ``--nudge``, or what `check_nudge` has made of it, which is taken as it is: a run can be resumed
            where there is no such carrier any more, and says so. Empty for none.
        told: see `SyncthingNudge`.

    Raises:
        BadInputError: there is no such carrier, or this user cannot use it.
    """
    if not text:
        return NoNudge()
    return SyncthingNudge(_syncthing(text, check=False), told)


def check_nudge(text: str, exchange: Path) -> tuple[str, str]:
    """Look whether nudges will get through, before a run begins.

    Args:
        text: as in ``--nudge``.
        exchange: the exchange folder.

    Returns:
        The text with the place of the carrier's configuration in it, for processes with another environment; and a
        sentence that warns if they would not get through now.

    Raises:
        BadInputError: there is no such carrier, or this user cannot use it.
    """
    if not text:
        return "", ""
    from fltui.exchange.syncthing import BusyError, NoAnswerError

    syncthing = _syncthing(text, check=True)
    named = f"{SYNCTHING}:{syncthing.home}"
    try:
        shared = syncthing.folders()
    except (NoAnswerError, BusyError) as error:
        return named, f"no nudge for now: {error}"
    root = Path(os.path.realpath(exchange))
    if any(root == one or root in one.parents or one in root.parents for one in shared):
        return named, ""
    return named, (
        f"no nudge for now: Syncthing of {syncthing.home} shares nothing of {exchange}; 'fltui exchange init' says "
        "what to share"
    )


def _syncthing(text: str, *, check: bool) -> Syncthing:
    name, _, home = text.partition(":")
    if name != SYNCTHING:
        raise BadInputError(
            f"--nudge is {text[:200]!r}, expected 'syncthing', or 'syncthing:DIR' with the folder of its config.xml"
        )
    from fltui.exchange.syncthing import Syncthing, find_home  # nobody else waits for what it imports

    return Syncthing(find_home(home) if check or not home else Path(home))
