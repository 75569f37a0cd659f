"""What the server of a queue says: each thing when it happens, and what lasts once, until it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from fltui.run.events import RunStatus

Kind = Literal[
    "serving",
    "waiting",
    "taken",
    "started",
    "resumed",
    "asked",
    "ended",
    "gone",
    "again",
    "trouble",
    "fault",
    "stopped",
]


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened.

    Attributes:
        event: what kind of thing.
        text: one sentence, harmless only where it is printed.
        entry: id of the entry.
        run: id of its run.
        state: how it ended.
    """

    event: Kind
    text: str
    entry: str = ""
    run: str = ""
    state: str = ""


Tell = Callable[[Notice], None]


class Notices:
    """Makes notices, and knows what has been told.

    Args:
        tell: is called with each.

    Attributes:
        ends: how many entries ended in which way.
    """

    def __init__(self, tell: Tell) -> None:
        self.ends = dict.fromkeys(RunStatus, 0)
        self._tell = tell
        self._trouble = ""
        self._why: dict[str, str] = {}
        self._entry_faults: dict[str, str] = {}
        self._incoming_faults: dict[str, str] = {}

    def say(self, kind: Kind, text: str, entry: str = "", run: str = "") -> None:
        """Tell of something."""
        self._tell(Notice(kind, text, entry, run))

    def ended(self, entry: str, state: RunStatus, reason: str, run: str = "") -> None:
        """An entry is over."""
        self.ends[state] += 1
        text = f"entry {entry}{f', run {run},' if run else ''} {word_of(state)}{f': {reason}' if reason else ''}"
        self._tell(Notice("ended", text, entry, run, state.value))

    def held_up(self, entry: str, why: str) -> None:
        """An entry has to wait for something that lasts."""
        if self._why.get(entry) != why:
            self._why[entry] = why
            self.say("waiting", f"entry {entry} {why}", entry)

    def goes_on(self, entry: str) -> None:
        """It does not wait any more."""
        self._why.pop(entry, None)

    def trouble(self, sentence: str) -> None:
        """Something keeps the whole queue from going on; an empty sentence says that nothing does."""
        if sentence != self._trouble:
            self._trouble = sentence
            self.say("trouble", f"{sentence}; nothing is started until that is over" if sentence else "that is over")

    def entry_faults(self, faults: Mapping[str, str]) -> None:
        """What is no entry, or none that can be run, by name."""
        self._entry_faults = self._new(faults, self._entry_faults)

    def incoming_faults(self, faults: Mapping[str, str]) -> None:
        """What cannot be taken in, by name."""
        self._incoming_faults = self._new(faults, self._incoming_faults)

    def _new(self, faults: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
        for name, text in faults.items():
            if known.get(name) != text:
                self.say("fault", f"{text}; it is left alone")
        return dict(faults)


def word_of(state: RunStatus) -> str:
    """``completed``, ``aborted`` or ``failed``."""
    return state.value.removeprefix("FINISHED:").lower()
