"""One round: publish the tasks, take in what is answered, decide when it is enough."""

from __future__ import annotations

import errno
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fltui.errors import NotYetError, RefusedError, RunFailedError
from fltui.exchange.collect import Spec, read_result, store_arrays
from fltui.exchange.layout import PROTOCOL, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.manifest import ArrayEntry, Result, Task, digest, encode
from fltui.exchange.npy import NpyReader
from fltui.exchange.publish import put_bytes, put_copies, put_links
from fltui.exchange.watch import Backoff
from fltui.model import NUM_STEPS, ParamsType
from fltui.run.events import Event, ResultAccepted, ResultRejected, RoundStarted, TaskPublished
from fltui.server.roster import Roster
from fltui.workflows.workflow import Answer, Request

DELIVERY_PATIENCE = 30.0
"""Seconds without any change after which a result whose arrays do not match its manifest is refused."""


_SERVER_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What stops the publishing of a task and is no site's doing."""


class AppendEvent(Protocol):
    """`Journal.append`."""

    def __call__(self, event: Event, /) -> object:
        """Write the event."""


@dataclass(frozen=True)
class RoundPlace:
    """Where a round happens.

    Attributes:
        run: the run's id.
        exchange: the exchange folder.
        store: folder of private copies.
        roster: who is there.
        append: writes an event into the journal.
        accepted: called with a site whose result was accepted.
        threads: how many sites may have a task at once; None for all.
        mandatory: sites that must answer if they are asked.
        link: give sites links to one copy of the model.
        durable: fsync what is published and stored.
    """

    run: str
    exchange: ExchangeFolder
    store: Path
    roster: Roster
    append: AppendEvent
    accepted: Callable[[str], None]
    threads: int | None
    mandatory: frozenset[str]
    link: bool
    durable: bool


@dataclass(frozen=True)
class _Asked:
    task: Task
    digest: str
    folder: SiteFolder


class StoreArrays:
    """Opens private copies by digest."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def open(self, entry: ArrayEntry) -> NpyReader:
        """The elements of one array."""
        return NpyReader(self._store / f"{entry.blake3}.npy", entry.dtype, entry.shape)


@dataclass
class Round:
    """One round while it lasts.

    Attributes:
        attempt: 1, more where the round was interrupted and begins again.
        started: by the monotonic clock.
        arrivals: seconds from the start at which results were accepted.
        bytes_in, bytes_out: sizes of the arrays accepted and sent.
        published: site and task id of every task.
        stored: digests of the private copies made.
    """

    place: RoundPlace
    request: Request
    attempt: int = 1
    started: float = field(default_factory=time.monotonic)
    arrivals: list[float] = field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    published: list[tuple[str, TaskId]] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)
    _waiting: deque[str] = field(default_factory=deque)
    _open: dict[str, _Asked] = field(default_factory=dict)
    _accepted: dict[str, Result] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _stalled: dict[str, tuple[object, float]] = field(default_factory=dict)
    _moved: bool = False

    async def collect(self, wait: Callable[[float], Awaitable[set[str]]]) -> list[Answer]:
        """Ask, wait and take in.

        Args:
            wait: waits so many seconds at most and returns the sites where something arrived; none means "look
                everywhere".

        Returns:
            The accepted answers by name of the site.

        Raises:
            RunFailedError: the quorum cannot be had any more.
        """
        request = self.request
        self.place.append(
            RoundStarted(
                round=request.round,
                task_name=request.task_name,
                sites=list(request.sites),
                model=request.model.digest,
                attempt=self.attempt,
            )
        )
        self._waiting.extend(request.sites)
        deadline = None if request.timeout is None else self.started + request.timeout
        backoff = Backoff()
        hints: set[str] = set()
        while True:
            before, self._moved = len(self._accepted), False
            for site in sorted(hints or self._open):
                self._take(site)
            self._drop_lost()
            self._publish_more()
            self._check_quorum()
            if not self._open and not self._waiting:
                break
            left = float("inf") if deadline is None else deadline - time.monotonic()
            if left <= 0:
                self._time_out()
                break
            if len(self._accepted) > before or self._moved:
                backoff.reset()
            hints = await wait(min(backoff.next(), left))
        self._check_quorum()
        if not request.model.entries:
            self._agree_on_spec()
            self._check_quorum()
        return [self._answer(site) for site in sorted(self._accepted)]

    @property
    def _task_id(self) -> TaskId:
        return TaskId(self.place.run, self.request.round, self.request.task_name, self.attempt)

    def _publish_more(self) -> None:
        limit = self.place.threads or len(self.request.sites)
        while self._waiting and len(self._open) < limit:
            site = self._waiting.popleft()
            if site in self.place.roster.absent:
                self._failed[site] = self.place.roster.absent[site]
            else:
                self._publish(site)

    def _publish(self, site: str) -> None:
        request, place, task_id = self.request, self.place, self._task_id
        folder = place.exchange.site(site)
        task = Task(
            PROTOCOL,
            place.run,
            str(task_id),
            request.task_name,
            site,
            request.round,
            request.start_round,
            request.total_rounds,
            ParamsType.FULL,
            list(request.model.entries.values()),
        )
        manifest = encode(task)
        self._open[site] = _Asked(task, digest(manifest), folder)
        place.append(
            TaskPublished(
                round=request.round,
                site=site,
                task_id=task.task_id,
                manifest=self._open[site].digest,
                bytes=request.model.size,
            )
        )
        staging = folder.staging("server")
        try:
            self._publish_model(folder.tasks / task.task_id, staging)
            put_bytes(manifest, folder.tasks / f"{task_id}.json", staging, durable=place.durable)
        except OSError as error:
            if error.errno in _SERVER_FAULTS:
                raise
            place.roster.lose(site, f"its task cannot be published: {error.strerror} ({error.filename})")
            return
        self.bytes_out += request.model.size
        self.published.append((site, task_id))

    def _publish_model(self, target: Path, staging: Path) -> None:
        files = {entry.file: self.request.model.folder / entry.file for entry in self.request.model.entries.values()}
        if not files:
            return
        if self.place.link and self.published:
            # The model itself is never linked: a site that writes into its task changes the copy of the sites alone.
            first, task_id = self.published[0]
            copy = self.place.exchange.site(first).tasks / str(task_id)
            put_links({name: copy / name for name in files}, target, staging)
        else:
            put_copies(files, target, staging, durable=self.place.durable)

    def _take(self, site: str) -> None:
        """Take the site's answer in if it is there and whole, and the site was not dropped."""
        asked = self._open.get(site)
        if asked is None or site in self.place.roster.dropped:
            return
        model = self.request.model
        expected: Spec | None = {name: (e.dtype, tuple(e.shape)) for name, e in model.entries.items()} or None
        try:
            result = read_result(asked.folder, asked.task, asked.digest, expected)
            if expected is None and result.params_type is ParamsType.DIFF:
                raise RefusedError("the result is a DIFF, but there is no model yet to add it to")
            self.stored.update(entry.blake3 for entry in result.arrays)
            store_arrays(asked.folder, result, self.place.store, durable=self.place.durable)
        except NotYetError as error:
            if self._is_stalled(site, asked):
                self._reject(site, str(error))
            return
        except RefusedError as error:
            self._reject(site, str(error))
            return
        del self._open[site]
        self._stalled.pop(site, None)
        self._accepted[site] = result
        size = sum(entry.size for entry in result.arrays)
        self.bytes_in += size
        self.arrivals.append(time.monotonic() - self.started)
        self.place.append(
            ResultAccepted(
                round=self.request.round,
                site=site,
                task_id=asked.task.task_id,
                params_type=result.params_type,
                weight=_weight(result),
                metrics=result.metrics,
                arrays=result.arrays,
                bytes=size,
            )
        )
        self.place.accepted(site)

    def _is_stalled(self, site: str, asked: _Asked) -> bool:
        """Whether a manifest is there, its arrays do not match, and nothing has changed for too long."""
        looks = _looks(asked.folder.results, asked.task.task_id)
        if looks is None:
            return False
        before, since = self._stalled.get(site, (None, 0.0))
        if looks != before:
            self._stalled[site] = (looks, time.monotonic())
            self._moved = True
            return False
        return time.monotonic() - since > DELIVERY_PATIENCE

    def _reject(self, site: str, reason: str) -> None:
        self._open.pop(site, None)
        self._stalled.pop(site, None)
        self._accepted.pop(site, None)
        self._failed[site] = reason
        task_id = str(self._task_id)
        self.place.append(ResultRejected(round=self.request.round, site=site, task_id=task_id, reason=reason))

    def _drop_lost(self) -> None:
        for site in [site for site in self._open if site in self.place.roster.absent]:
            self._take(site)  # it may have answered before it went
            if self._open.pop(site, None):
                self._failed[site] = self.place.roster.absent[site]

    def _time_out(self) -> None:
        for site in [*self._open, *self._waiting]:
            self._reject(site, f"no answer within {self.request.timeout:g} s")
        self._waiting.clear()

    def _check_quorum(self) -> None:
        request = self.request
        possible = len(self._accepted) + len(self._open) + len(self._waiting)
        needed = sorted(self.place.mandatory & self._failed.keys())
        if possible >= request.quorum and not needed:
            return
        causes = "; ".join(f"{site}: {reason}" for site, reason in sorted(self._failed.items()))
        need = f"{needed[0]} is mandatory" if needed else f"{request.quorum} needed"
        raise RunFailedError(
            f"round {request.round}: {len(self._accepted)} of {len(request.sites)} sites answered, {need}; {causes}"
        )

    def _agree_on_spec(self) -> None:
        """In a round without a model the answers decide what the model looks like, by majority, never by who was first.

        Raises:
            RunFailedError: no majority.
        """
        looks = {site: _look_of(result) for site, result in self._accepted.items()}
        counts = Counter(looks.values()).most_common()
        if len(counts) < 2:
            return
        if counts[0][1] == counts[1][1]:
            told = "; ".join(f"{site} sent {look}" for site, look in sorted(looks.items()))
            raise RunFailedError(
                f"round {self.request.round}: the sites disagree on the model and there is none to compare with: "
                f"{told}; give FedAvg an initial model"
            )
        for site, look in sorted(looks.items()):
            if look != counts[0][0]:
                self._reject(site, f"sent {look}, while {counts[0][1]} of {len(looks)} sites sent {counts[0][0]}")

    def _answer(self, site: str) -> Answer:
        result = self._accepted[site]
        return Answer(
            site=site,
            params_type=result.params_type,
            weight=_weight(result),
            metrics=result.metrics,
            entries={entry.name: entry for entry in result.arrays},
            arrays=StoreArrays(self.place.store),
        )


def _weight(result: Result) -> float:
    return float(result.meta.get(NUM_STEPS, 1))


def _look_of(result: Result) -> str:
    """Names, dtypes and shapes as text."""
    entries = sorted(result.arrays, key=lambda entry: entry.name)
    return ", ".join(f"{entry.name[:80]!r} {entry.dtype} {tuple(entry.shape)}" for entry in entries)


def _looks(results: Path, task_id: str) -> object:
    """What a change of a result on disk would change; None without a manifest."""
    try:
        manifest = (results / f"{task_id}.json").lstat()
    except OSError:
        return None
    try:
        arrays = sorted((entry.name, entry.lstat().st_size) for entry in (results / task_id).iterdir())
    except OSError:
        arrays = []
    return manifest.st_ino, manifest.st_size, manifest.st_mtime_ns, arrays
