"""How entries end: what the end of a run's process means, and that it is written down, once it can be."""

from __future__ import annotations

from dataclasses import dataclass

from fltui.errors import BadInputError
from fltui.queue.documents import Claim, EntryEnd
from fltui.queue.entries import Entry, state_of
from fltui.queue.folder import QueueFolder, is_trouble
from fltui.run.events import RunStatus
from fltui.server.dispatch.child import Child, progress_of
from fltui.server.dispatch.notices import Notices, word_of
from fltui.server.dispatch.trouble import Places
from fltui.server.dispatch.verdict import judge

_LONGEST_REASON = 4000
"""Characters of a reason that are written down; the run's journal has all of it."""


@dataclass(frozen=True)
class _End:
    entry: Entry
    state: RunStatus
    reason: str
    run: str


class Ending:
    """See the module.

    Args:
        queue: the queue.
        places: where runs write.
        notices: told of all ends.

    Attributes:
        over: ids of entries whose end is written down.
    """

    def __init__(self, queue: QueueFolder, places: Places, notices: Notices) -> None:
        self.over: set[str] = set()
        self._queue = queue
        self._places = places
        self._notices = notices
        self._unwritten: dict[str, _End] = {}
        self._tries: dict[str, int] = {}

    def has_ended(self, entry: str) -> bool:
        """Whether an entry is over, also where that could not be written down yet."""
        return entry in self.over or entry in self._unwritten

    def judge(self, child: Child, code: int) -> None:
        """See how a run's process has ended, and whether that is the end of its entry.

        Raises:
            OSError: the end cannot be written down now; see `write`.
        """
        entry, claim = child.entry, child.claim
        try:
            state = state_of(child.run)
        except BadInputError as error:
            return self.end(entry, RunStatus.FAILED, str(error), claim)
        if self._is_gone(entry):
            self._tries.pop(entry.id, None)
            ended = state is not None and state.status.is_finished
            what = f"which {word_of(state.status)}" if state is not None and ended else "which nobody goes on with"
            text = f"entry {entry.id} was removed while it ran as run {claim.run}, {what}"
            return self._notices.say("gone", text, entry.id, claim.run)
        tries = 0 if progress_of(state) > child.before else self._tries.get(entry.id, 0) + 1
        found = judge(state, code, child.sentence(code), tries, self._places.trouble(entry.folder.root))
        if found.state is not None:
            return self.end(entry, found.state, found.reason, claim)
        self._tries[entry.id] = tries
        return self._notices.say("again", f"entry {entry.id}, run {claim.run}: {found.reason}", entry.id, claim.run)

    def end(self, entry: Entry, state: RunStatus, reason: str, claim: Claim | None = None) -> None:
        """An entry is over.

        Raises:
            OSError: that cannot be written down now; see `write`.
        """
        self._tries.pop(entry.id, None)
        self._unwritten[entry.id] = _End(entry, state, reason, claim.run if claim else "")
        self.write()

    def write(self) -> None:
        """Write down what is over.

        Raises:
            OSError: not all of it can be, and other entries would have the same trouble; try again later.
        """
        for name, end in list(self._unwritten.items()):
            try:
                document = EntryEnd(state=end.state.outcome, reason=end.reason[:_LONGEST_REASON])
                end.entry.folder.put(document, end.entry.folder.end)
            except OSError as error:
                if not self._is_gone(end.entry):
                    if is_trouble(error) or not self._queue.root.is_dir():
                        raise
                    what = f"{word_of(end.state)}, which cannot be written down"
                    self._notices.held_up(name, f"{what}: {error.strerror} ({error.filename})")
                    continue
            else:
                self.over.add(name)
            del self._unwritten[name]
            self._notices.goes_on(name)
            self._notices.ended(name, end.state, end.reason, end.run)

    def _is_gone(self, entry: Entry) -> bool:
        """Whether somebody has removed an entry; not where the whole queue is away."""
        return self._queue.root.is_dir() and not entry.folder.root.is_dir()
