"""The server of a queue: starts what has its turn, goes on with what another server left, and writes down what ended.

Nothing is started before `Claim` says as which run, and nothing is looked at again once `EntryEnd` says how it ended.
Between the two the run's own journal is the truth, so a server that is killed at any instant and started again loses no
entry and runs none twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fltui.errors import BadInputError
from fltui.exchange.durable import make_folder
from fltui.exchange.hints import Hints
from fltui.exchange.keys import Keys, keys_path, server_identity
from fltui.exchange.layout import new_run_id
from fltui.exchange.lock import hold
from fltui.exchange.outage import exchange_id
from fltui.exchange.publish import open_exchange, show_server_key
from fltui.queue.documents import Claim, EntryEnd
from fltui.queue.folder import EntryBusyError, EntryFolder, QueueFolder
from fltui.queue.groups import Groups, read_groups, taking_part
from fltui.queue.incoming import Incoming
from fltui.queue.standing import Entry, Standing, read_entry, state_of
from fltui.queue.turns import Turn, next_turns
from fltui.run import control
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder
from fltui.server.dispatch.child import Child, Lifeline, progress_of, start
from fltui.server.dispatch.room import trouble
from fltui.server.dispatch.settings import Settings
from fltui.server.dispatch.telling import Kind, Tell, Told
from fltui.server.dispatch.verdict import judge
from fltui.server.ends import end_dead_runs


class Counts(NamedTuple):
    """How many entries ended in which way while this process served the queue."""

    completed: int = 0
    aborted: int = 0
    failed: int = 0


class Dispatcher:
    """See the module; used in one event loop.

    Args:
        queue: the queue.
        settings: how its runs are served.
        tell: called with all that happens.
    """

    def __init__(self, queue: QueueFolder, settings: Settings, tell: Tell) -> None:
        self._queue = queue
        self._settings = settings
        self._tell = tell
        self._incoming = Incoming(queue, job_code=settings.job_code)
        self._hints = Hints(queue.root, settings.watch)
        self._moved = asyncio.Event()
        self._stopped = False
        self._entries: dict[str, Entry] = {}
        self._over: set[str] = set()
        self._faults: dict[str, str] = {}
        self._held_up: dict[str, str] = {}
        self._children: dict[str, Child] = {}
        self._tries: dict[str, int] = {}
        self._trouble = ""
        self._settling: float | None = None
        self._ended = dict.fromkeys(RunStatus, 0)
        self._lifeline = Lifeline()

    def stop(self) -> None:
        """End soon; call it in the event loop's thread."""
        self._stopped = True
        self._moved.set()

    @property
    def counts(self) -> Counts:
        """See the class."""
        return Counts(*(self._ended[state] for state in (RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.FAILED)))

    async def run(self) -> None:
        """Serve the queue until `stop`, or with `Settings.drain` until nothing is left.

        Raises:
            BadInputError: the queue, the runs folder or the exchange cannot be used, or another process serves it.
        """
        with self._held():
            try:
                await self._serve()
            finally:
                await self._kill_all()
                self._hints.close()
                self._lifeline.close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the queue for this process.

        Raises:
            BadInputError: another process holds it, or it cannot be made.
        """
        self._queue.make()
        try:
            fd = hold(self._queue.lock)
        except BlockingIOError as error:
            raise BadInputError(f"queue {self._queue.root} is served by another process already") from error
        except OSError as error:
            raise BadInputError(f"queue {self._queue.root} cannot be held: {error.strerror}") from error
        try:
            self._queue.share(self._queue.lock)
            yield
        finally:
            if fd is not None:
                os.close(fd)

    async def _serve(self) -> None:
        settings = self._settings
        try:
            make_folder(settings.runs, durable=settings.durable)
            self._queue.tidy()
            taken = self._incoming.finish_taken()
        except OSError as error:
            raise BadInputError(f"{error.filename} cannot be used: {error.strerror}") from error
        self._exchange = open_exchange(settings.exchange, durable=settings.durable)
        self._exchange_id = exchange_id(settings.exchange)
        # Each run demands what its job demands; here only the ends of dead runs are signed.
        self._identity = server_identity(Keys(keys_path()), (), demanded=False)
        if self._identity.signer:
            show_server_key(self._exchange, self._identity.public, durable=settings.durable)
        for folder in (self._queue.root, self._queue.incoming):
            self._hints.add(folder)
        self._hints.follow(asyncio.get_running_loop(), lambda _: self._moved.set())
        many = "one job at a time" if settings.parallel == 1 else f"up to {settings.parallel} jobs at a time"
        self._say("serving", f"serving queue {self._queue.root}, {many}")
        for entry in taken:
            self._say("taken", f"entry {entry} was taken in from incoming/", entry)
        backoff = self._hints.backoff(trusted=False)
        while not self._stopped:
            self._moved.clear()
            await self._look()
            if self._stopped or (settings.drain and self._is_idle):
                return
            pause = backoff.next() if self._settling is None else min(backoff.next(), self._settling + 0.01)
            try:
                await asyncio.wait_for(self._moved.wait(), pause)
                backoff.reset()
            except TimeoutError:
                continue

    @property
    def _is_idle(self) -> bool:
        left = self._entries.keys() - self._over
        return not left and not self._children and self._settling is None

    async def _kill_all(self) -> None:
        """What runs goes on when the queue is served again, as after a kill: nobody is told anything."""
        left = list(self._children.values())
        for child in left:
            child.kill()
        for child in left:
            await child.ended
            child.close()
        if left:
            many = "1 run goes" if len(left) == 1 else f"{len(left)} runs go"
            self._say("stopped", f"stopped; {many} on when 'fltui server --queue {self._queue.root}' is started again")
        elif self._stopped:
            self._say("stopped", "stopped; nothing was running")

    # One look.

    async def _look(self) -> None:
        """Do what is due."""
        try:
            self._take_ended()
            self._take_in()
            self._read()
            self._ask_to_abort()
            await self._start_next()
        except OSError as error:  # a disk that is full, a share that is away: all is as it was, and looked at again
            self._has_trouble(f"{error.filename or self._queue.root} cannot be used now: {error.strerror}")
        except BadInputError as error:
            self._has_trouble(str(error))

    def _has_trouble(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self._say("trouble", f"{sentence}; nothing is started until that is over" if sentence else "that is over")

    def _take_in(self) -> None:
        made, self._settling = self._incoming.look()
        for entry in made:
            self._say("taken", f"entry {entry} was taken in from incoming/", entry)
        self._show_faults({f"incoming/{name}": fault for name, fault in self._incoming.faults.items()})

    def _read(self) -> None:
        """Read what is not over."""
        folders, faults = self._queue.entries(), {}
        names = {folder.id for folder in folders}
        self._over &= names
        known, self._entries = self._entries, {}
        for folder in folders:
            if folder.id in self._over:
                continue
            try:
                entry = read_entry(folder, with_run=False)
            except BadInputError as error:
                if folder.root.exists():
                    faults[folder.id] = str(error)
                continue
            if entry.end is not None:
                self._over.add(folder.id)
                if folder.id in known:  # it was aborted before it had its turn
                    self._tell_end(entry, entry.status, entry.reason)
            elif os.access(folder.root, os.W_OK):
                self._entries[folder.id] = entry
            else:
                faults[folder.id] = f"entry {folder.id} cannot be run: its folder is read-only for this user"
        self._show_faults(faults, within=False)

    def _show_faults(self, faults: dict[str, str], *, within: bool = True) -> None:
        """Tell once of each."""
        known = {name: text for name, text in self._faults.items() if name.startswith("incoming/") is not within}
        for name, text in faults.items():
            if self._faults.get(name) != text:
                self._say("fault", f"{text}; it is left alone")
        self._faults = {**known, **faults}

    # What ended.

    def _take_ended(self) -> None:
        for name, child in list(self._children.items()):
            if child.ended.done():
                self._judge(child, child.ended.result())
                child.close()
                del self._children[name]

    def _judge(self, child: Child, code: int) -> None:
        """See how a run's process has ended, and whether that is the end of its entry.

        Raises:
            OSError: that cannot be written down; it is judged again.
        """
        entry, claim = child.entry, child.claim
        try:
            state = state_of(child.run)
        except BadInputError as error:
            return self._end(entry, RunStatus.FAILED, str(error), claim)
        tries = 0 if progress_of(state) > child.before else self._tries.get(entry.id, 0) + 1
        found = judge(state, code, child.sentence(code), tries, self._what_troubles(entry.folder))
        if found.state is not None:
            return self._end(entry, found.state, found.reason, claim)
        self._tries[entry.id] = tries
        return self._say("again", f"entry {entry.id}, run {claim.run}: {found.reason}", entry.id, claim.run)

    def _end(self, entry: Entry, state: RunStatus, reason: str, claim: Claim | None = None) -> None:
        """Write down that an entry is over. Sites that still hold tasks of it are told that nobody waits for them."""
        entry.folder.put(EntryEnd(state=state.outcome, reason=reason), entry.folder.end)
        self._over.add(entry.id)
        self._entries.pop(entry.id, None)
        self._tries.pop(entry.id, None)
        self._held_up.pop(entry.id, None)
        self._tell_end(entry, state, reason, claim)

    def _tell_end(self, entry: Entry, state: RunStatus, reason: str, claim: Claim | None = None) -> None:
        self._ended[state] += 1
        word, run = state.value.removeprefix("FINISHED:").lower(), claim.run if claim else ""
        text = f"entry {entry.id}{f', run {run},' if run else ''} {word}{f': {reason}' if reason else ''}"
        self._tell(Told("ended", text, entry.id, run, state.value))

    # What is asked for.

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
                        self._say("asked", f"entry {name} is being aborted: {request.reason}", name, child.claim.run)
                    child.asked = True

    # What starts.

    async def _start_next(self) -> None:
        left = sorted(self._entries.values(), key=lambda entry: entry.turn)
        left = [entry for entry in left if entry.id not in self._children]
        turns = [Turn(entry.id, _sites(entry.claim)) for entry in left if entry.claim]  # what has begun goes on first
        turns += self._turns_of([entry for entry in left if not entry.claim])
        running = [Turn(name, _sites(child.claim)) for name, child in self._children.items()]
        due = next_turns(turns, running, self._settings.parallel)
        if due:
            self._has_trouble(self._what_troubles(self._queue.entry(due[0].id)))
        for turn in [] if self._trouble else due:
            await self._start(self._entries[turn.id], turn.sites)

    def _turns_of(self, waiting: list[Entry]) -> list[Turn]:
        """The turns of entries, in order; what can never start ends here."""
        groups: Groups = {}
        try:
            groups, broken = read_groups(self._queue.groups), ""
        except BadInputError as error:
            broken = str(error)
        found = []
        for entry in waiting:
            wishes = entry.about.wishes
            if entry.abort is not None:
                self._end(entry, RunStatus.ABORTED, f"before it began: {entry.abort.reason}")
            elif wishes.groups and broken:
                self._hold_up(entry, f"waits: {broken}")
            else:
                try:
                    sites = taking_part(wishes, groups, entry.folder.job)
                except BadInputError as error:
                    self._end(entry, RunStatus.FAILED, str(error))
                else:
                    found.append(Turn(entry.id, None if sites is None else frozenset(sites)))
        return found

    def _hold_up(self, entry: Entry, why: str) -> None:
        if self._held_up.get(entry.id) != why:
            self._held_up[entry.id] = why
            self._say("waiting", f"entry {entry.id} {why}", entry.id)

    async def _start(self, entry: Entry, sites: frozenset[str] | None) -> None:
        """Start an entry, or go on with it.

        Raises:
            OSError: the disk is full.
        """
        try:
            held = entry.folder.hold()
        except EntryBusyError:
            return self._hold_up(entry, "waits for another process that holds it to end")
        except FileNotFoundError:
            return None  # deleted meanwhile
        try:
            child = await self._start_held(entry.folder, sites, held)
        except BaseException:
            if held is not None:
                os.close(held)
            raise
        if child is None:
            if held is not None:
                os.close(held)
        else:
            self._children[entry.id] = child
            self._held_up.pop(entry.id, None)
        return None

    async def _start_held(self, folder: EntryFolder, sites: frozenset[str] | None, held: int | None) -> Child | None:
        """What was started; None where there was nothing to start."""
        try:
            entry = read_entry(folder)
        except BadInputError as error:
            claim = self._entries[folder.id].claim
            if claim is not None and folder.root.is_dir():  # the journal of its run cannot be read
                self._end(self._entries[folder.id], RunStatus.FAILED, str(error), claim)
            return None
        if entry.end is not None:
            return None
        if entry.standing is Standing.OVER:  # the last server of the queue died before it could write that down
            self._end(entry, entry.status, entry.reason, entry.claim)
            return None
        if entry.abort is not None and (entry.claim is None or entry.run_state is None):
            self._end(entry, RunStatus.ABORTED, f"before it began: {entry.abort.reason}", entry.claim)
            return None
        claim, state = entry.claim, entry.run_state
        if claim is None:
            run = new_run_id(entry.about.job)
            claim = Claim(run=run, runs=str(self._settings.runs), sites=None if sites is None else sorted(sites))
            folder.put(claim, folder.claim)
        elif RunFolder(claim.root).is_alive():
            self._hold_up(entry, f"waits for the process that runs {claim.run} to end")
            return None
        self._end_dead_runs(claim)
        child = await start(entry, claim, state, held, self._lifeline, self._settings)
        who = "whoever comes" if claim.sites is None else ", ".join(claim.sites)
        if state is None:
            self._say("started", f"entry {entry.id} started as run {claim.run} with {who}", entry.id, claim.run)
        else:
            self._say("resumed", f"entry {entry.id} goes on with run {claim.run}", entry.id, claim.run)
        child.ended.add_done_callback(lambda _: self._moved.set())
        return child

    def _end_dead_runs(self, claim: Claim) -> None:
        """Free the sites of runs whose server died and that nobody goes on with."""
        ours = {entry.claim.run for entry in self._entries.values() if entry.claim}
        others = ours | {child.claim.run for child in self._children.values()}
        with contextlib.suppress(OSError):  # the exchange is away: the run will sit it out, and say so
            end_dead_runs(
                self._exchange,
                self._settings.runs,
                claim.run,
                others=others,
                identity=self._identity,
                durable=self._settings.durable,
            )

    def _what_troubles(self, entry: EntryFolder) -> str:
        """See `trouble`. It makes a file for a moment, so not in the folder that is watched."""
        return trouble(entry.root, self._settings.runs, self._settings.exchange, self._exchange_id)

    def _say(self, kind: Kind, text: str, entry: str = "", run: str = "") -> None:
        self._tell(Told(kind, text, entry, run))


def _sites(claim: Claim) -> frozenset[str] | None:
    return None if claim.sites is None else frozenset(claim.sites)
