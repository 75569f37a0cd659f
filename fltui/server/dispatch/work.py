"""What there is to do in a queue, looked at again and again: what ended, what came, what is asked for, what is next."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from fltui.errors import BadInputError
from fltui.queue.documents import Claim
from fltui.queue.entries import Entry, read_entry
from fltui.queue.folder import EntryBusyError, QueueFolder
from fltui.queue.incoming import Incoming
from fltui.queue.turns import Turn, next_turns
from fltui.run import control
from fltui.run.events import RunStatus
from fltui.server.dispatch.child import Child
from fltui.server.dispatch.ending import Ending
from fltui.server.dispatch.notices import Notices
from fltui.server.dispatch.settings import Settings
from fltui.server.dispatch.starting import Starting, check_claim
from fltui.server.dispatch.trouble import Places


class Work:
    """See the module.

    Args:
        queue: the queue.
        settings: how its runs are served.
        places: where runs write.
        starting: starts entries.
        ending: ends them.
        notices: told of all that happens.
        moved: called when the process of a run has ended.

    Attributes:
        settling: seconds until what is still being copied may be taken in; None where there is nothing of the kind.
    """

    def __init__(
        self,
        queue: QueueFolder,
        settings: Settings,
        places: Places,
        starting: Starting,
        ending: Ending,
        notices: Notices,
        moved: Callable[[], None],
    ) -> None:
        self.settling: float | None = None
        self._queue = queue
        self._settings = settings
        self._places = places
        self._starting = starting
        self._ending = ending
        self._notices = notices
        self._moved = moved
        self._incoming = Incoming(queue, job_code=settings.job_code)
        self._entries: dict[str, Entry] = {}
        self._children: dict[str, Child] = {}

    @property
    def is_done(self) -> bool:
        """Whether nothing waits or runs any more."""
        left = [name for name in self._entries if name not in self._ending.over]
        return not left and not self._children and self.settling is None

    async def kill_all(self) -> int:
        """Kill what runs; how much that is. It goes on when the queue is served again: nobody is told anything."""
        left = list(self._children.values())
        for child in left:
            child.kill()
        for child in left:
            await child.ended
            child.close()
        return len(left)

    async def look(self) -> None:
        """Do what is due. One entry's own trouble holds up that one alone; that of all of the queue is told."""
        try:
            trouble = await self._do_what_is_due()
        except OSError as error:  # a disk that is full, a share that is away: all is as it was, and looked at again
            trouble = f"{error.filename or self._queue.root} cannot be used now: {error.strerror}"
        except BadInputError as error:
            trouble = str(error)
        self._notices.trouble(trouble)

    async def _do_what_is_due(self) -> str:
        """Why nothing can be started now; empty where it can.

        Raises:
            BadInputError: the queue is away.
            OSError: see `look`.
        """
        self._take_ended()
        self._ending.write()
        self._take_in()
        self._read()
        self._ask_to_abort()
        return await self._start_next()

    def _take_ended(self) -> None:
        for name, child in list(self._children.items()):
            if child.ended.done():
                child.close()
                del self._children[name]
                self._ending.judge(child, child.ended.result())

    def _take_in(self) -> None:
        made, self.settling = self._incoming.look()
        for entry in made:
            self._notices.say("taken", f"entry {entry} was taken in from incoming/", entry)
        self._notices.incoming_faults(self._incoming.faults)

    def _read(self) -> None:
        """Read what is not over."""
        folders, faults = self._queue.entries(), dict[str, str]()
        self._ending.over &= {folder.id for folder in folders}
        known, self._entries = self._entries, {}
        for folder in folders:
            if self._ending.has_ended(folder.id):
                continue
            try:
                entry = read_entry(folder, with_run=False)
            except BadInputError as error:
                if os.path.lexists(folder.root):  # else it was deleted meanwhile
                    faults[folder.id] = str(error)
                continue
            if entry.end is not None:
                self._ending.over.add(folder.id)
                if folder.id in known:  # it was aborted before it had its turn
                    self._notices.ended(entry.id, entry.status, entry.reason)
            elif not os.access(folder.root, os.W_OK):
                faults[folder.id] = f"entry {folder.id} cannot be run: its folder is read-only for this user"
            elif fault := self._fault_of_claim(entry):
                faults[folder.id] = fault
            else:
                self._entries[folder.id] = entry
        self._notices.entry_faults(faults)

    def _fault_of_claim(self, entry: Entry) -> str:
        """What is wrong with an entry's claim. One that is to be aborted is over: there is no run of this server."""
        try:
            check_claim(entry, self._settings.runs)
        except BadInputError as error:
            if entry.abort is not None:
                self._ending.end(entry, RunStatus.ABORTED, f"{entry.abort.reason}; {error}")
            return str(error)
        return ""

    def _ask_to_abort(self) -> None:
        """Pass on to the runs what people ask of their entries.

        It is asked again until the run has ended: what was laid there while the run's process was getting ready to go
        on may have been cleared away.
        """
        for name, child in self._children.items():
            request = self._entries[name].abort if name in self._entries else None
            if request is None or child.ended.done() or not child.run.is_alive():
                continue
            with contextlib.suppress(OSError):
                if not any(child.run.control.glob("*.json")):
                    control.ask(child.run, control.Abort(request.reason))
                    if not child.asked:
                        text = f"entry {name} is being aborted: {request.reason}"
                        self._notices.say("asked", text, name, child.claim.run)
                    child.asked = True

    async def _start_next(self) -> str:
        """Start what has its turn. What cannot be started, for a reason of its own, keeps nobody else from starting.

        Returns:
            Why nothing can be started now; empty where it can.
        """
        left = sorted(self._entries.values(), key=lambda entry: entry.turn)
        left = [entry for entry in left if entry.id not in self._children]
        turns = [Turn(entry.id, _sites(entry.claim)) for entry in left if entry.claim]  # what has begun goes on first
        turns += self._starting.turns([entry for entry in left if not entry.claim])
        running = [Turn(name, _sites(child.claim)) for name, child in self._children.items()]
        ours = {entry.claim.run for entry in self._entries.values() if entry.claim}
        ours |= {child.claim.run for child in self._children.values()}
        while due := next_turns(turns, running, self._settings.parallel):
            if trouble := self._places.trouble(self._queue.entry(due[0].id).root):
                return trouble
            for turn in due:
                turns.remove(turn)
                entry = self._entries[turn.id]
                try:
                    child = await self._starting.start(entry, turn.sites, ours)
                except EntryBusyError:
                    if entry.claim is not None:  # its run is on, by another process
                        running.append(turn)
                    continue
                if child is not None:
                    child.ended.add_done_callback(lambda _: self._moved())
                    self._children[turn.id] = child
                    running.append(turn)
                    ours.add(child.claim.run)
        return ""


def _sites(claim: Claim | None) -> frozenset[str] | None:
    return None if claim is None or claim.sites is None else frozenset(claim.sites)
