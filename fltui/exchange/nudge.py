"""Nudges: telling a sync engine at once that something was published, which it would see by itself seconds later.

They are a hint. A run with an engine that does not answer is a slower one, and no other; so nobody waits for them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fltui.errors import BadInputError
from fltui.exchange.watch import Backoff

if TYPE_CHECKING:
    from fltui.exchange.syncthing import Syncthing

SYNCTHING = "syncthing"

_PATIENCE = 0.5
"""Seconds to wait for the end of a look through a folder; it goes on without anybody waiting."""

_FAREWELL = 2.0
"""Seconds that `Nudge.close` waits for nudges that are still to be given."""

_RELEARN = 10.0
"""Least seconds between two questions for the folders that an engine shares, where one is not among them."""

_MOST = 10_000
"""Paths that wait to be told of; who is behind by more has a thread that does not get anywhere."""


_ENGINE = "Syncthing"
"""What trouble with it is remembered by."""


class NoNudge:
    """Nobody is told: all machines mount the exchange, or what carries it looks by itself."""

    on = False

    def published(self, *paths: Path) -> None:
        """Something was published there."""

    def close(self) -> None:
        """End."""


class Nudge(NoNudge):
    """Tells a Syncthing in a thread of its own, which it is given work at the first `published`.

    Args:
        engine: which one.
        told: called from that thread with a sentence when nudges do not get through, once, and when they do again.
    """

    on = True

    def __init__(self, engine: Syncthing, told: Callable[[str], None]) -> None:
        self._engine = engine
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
        """What was told and is not over: of the engine, or of a path."""

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
            self._say_trouble(_ENGINE, str(error))
            return paths
        failed: list[Path] = []
        for folder, below in wanted.items():
            try:
                self._scan(folder, below)
            except NoAnswerError as error:
                self._learnt, self._folders = -_RELEARN, {}  # its configuration may have changed
                self._say_trouble(_ENGINE, str(error))
                failed += below.values()
        if wanted and not failed:
            self._say_over(_ENGINE)
        return failed

    def _scan(self, folder: str, below: dict[str, Path]) -> None:
        from fltui.exchange.syncthing import BusyError

        try:
            self._engine.scan(folder, [] if "" in below else list(below), _PATIENCE)
        except BusyError:
            self._engine.ping()  # it has much to look through, or is stopped altogether

    def _by_folder(self, paths: list[Path]) -> dict[str, dict[str, Path]]:
        """The folders of the engine that hold the paths: the id of each, and what to look through below it."""
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
        """The innermost of the engine's folders that holds a path."""
        return next((one for one in (path, *path.parents) if one in self._folders), None)

    def _learn(self) -> None:
        from fltui.exchange.syncthing import BusyError, NoAnswerError

        try:
            self._folders = self._engine.folders()
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


def open_nudge(text: str, told: Callable[[str], None]) -> NoNudge:
    """What tells the engine that a person has named.

    Args:
        text: as in ``--nudge``, or what `check_nudge` has made of it, which is taken as it is: a run can be resumed
            where there is no such engine any more, and says so. Empty for none.
        told: see `Nudge`.

    Raises:
        BadInputError: there is no such engine, or this user cannot use it.
    """
    if not text:
        return NoNudge()
    return Nudge(_engine(text, check=False), told)


def check_nudge(text: str, exchange: Path) -> tuple[str, str]:
    """Look whether nudges will get through, before a run begins.

    Args:
        text: as in ``--nudge``.
        exchange: the exchange folder.

    Returns:
        The text with the place of the engine's configuration in it, for processes with another environment; and a
        sentence that warns if they would not get through now.

    Raises:
        BadInputError: there is no such engine, or this user cannot use it.
    """
    if not text:
        return "", ""
    from fltui.exchange.syncthing import BusyError, NoAnswerError

    engine = _engine(text, check=True)
    named = f"{SYNCTHING}:{engine.home}"
    try:
        shared = engine.folders()
    except (NoAnswerError, BusyError) as error:
        return named, f"no nudge for now: {error}"
    root = Path(os.path.realpath(exchange))
    if any(root == one or root in one.parents or one in root.parents for one in shared):
        return named, ""
    return named, (
        f"no nudge for now: Syncthing of {engine.home} shares nothing of {exchange}; 'fltui exchange init' says what "
        "to share"
    )


def _engine(text: str, *, check: bool) -> Syncthing:
    name, _, home = text.partition(":")
    if name != SYNCTHING:
        raise BadInputError(
            f"--nudge is {text[:200]!r}, expected 'syncthing', or 'syncthing:DIR' with the folder of its config.xml"
        )
    from fltui.exchange.syncthing import Syncthing, find_home  # nobody else waits for what it imports

    return Syncthing(find_home(home) if check or not home else Path(home))
