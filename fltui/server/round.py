"""One round: publish the tasks, take in what is answered, decide when it is enough."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from fltui.errors import ExchangeError, NotYetError, RefusedError, RunFailedError
from fltui.exchange.collect import Spec, read_result
from fltui.exchange.layout import PROTOCOL, SiteFolder, TaskId
from fltui.exchange.manifest import Result, Task, digest
from fltui.exchange.npy import open_beneath, read_bytes
from fltui.exchange.outage import DISK_FULL, has_room, is_away
from fltui.exchange.publish import OpenTasks, open_tasks
from fltui.exchange.store import Copied, store_arrays
from fltui.exchange.watch import Backoff
from fltui.model import GROUPS, NUM_STEPS, SEED, ParamsType
from fltui.run.events import ResultAccepted, ResultDelayed, ResultRejected, RoundStarted, TaskPublished
from fltui.run.state import RoundState
from fltui.server.answers import answer_of
from fltui.server.deliveries import Delivery, Pace, traces_of
from fltui.server.place import RoundPlace
from fltui.server.plurality import odd_ones_out
from fltui.workflows.workflow import MOST_HELD, Answer, Request

_SERVER_FAULTS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What stops the publishing of a task and is no site's doing."""


_ALIKE = 3
"""Sites that failed for the same reason and are each named with it; of more, so many are named at all."""

_task_id = lru_cache(16)(TaskId)
"""One object for all sites of a round, so that its text is made once."""


@dataclass(frozen=True)
class _Asked:
    task: Task
    digest: str
    folder: SiteFolder
    manifest: str
    """Path of the result's manifest."""


@dataclass
class Round:
    """One round while it lasts.

    Attributes:
        attempt: 1, more where the round was interrupted and begins again.
        before: what the journal knows of this very attempt, where another process, or this one before an outage, was at
            it: its results count, its tasks stand.
        started: by the monotonic clock.
        arrivals: seconds from the start at which each site's result was accepted; 0 if that was before.
        published: site and task id of every task.
        stored: digests of the private copies made.
        unanswered: the tasks whose sites were waited for no longer.
    """

    place: RoundPlace
    request: Request
    attempt: int = 1
    before: RoundState | None = None
    started: float = field(default_factory=lambda: time.monotonic())
    arrivals: dict[str, float] = field(default_factory=dict)
    published: list[tuple[str, TaskId]] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)
    unanswered: dict[str, TaskId] = field(default_factory=dict)
    _waiting: deque[str] = field(default_factory=deque)
    _open: dict[str, _Asked] = field(default_factory=dict)
    _accepted: dict[str, ResultAccepted] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _deliveries: dict[str, Delivery] = field(default_factory=dict)
    _silent_since: dict[str, float] = field(default_factory=dict)
    _enough_since: float | None = None
    _copy: Path | None = None
    _moved: bool = False

    @property
    def bytes_in(self) -> int:
        """Size of the arrays that count."""
        return sum(event.bytes for event in self._accepted.values())

    @property
    def bytes_out(self) -> int:
        """Size of the arrays sent."""
        return len(self.published) * self.request.size

    @property
    def bytes_in_exchange(self) -> int:
        """What its arrays take there, those of results with them."""
        return self.bytes_in + (self.request.size if self.place.link else self.bytes_out)

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
        self._begin()
        backoff = Backoff()
        hints: set[str] = set()
        while True:
            before, self._moved = len(self._accepted), False
            for site in sorted(hints or self._answering()):
                self._take(site)
            self._drop_lost()
            self._publish_more()
            self._check_quorum()
            if not self._open and not self._waiting:
                break
            left, limit = self._time_left()
            if left <= 0:
                for site in [site for site in self._open if self._rests(site)]:
                    self._take(site, at_last=True)
                self._time_out(limit)
                break
            if len(self._accepted) > before or self._moved:
                backoff.reset()
            hints = await wait(min(backoff.next(), left))
        self._check_quorum()
        if not self.request.entries and not self.request.for_metrics:
            # The answers decide what the model looks like.
            for site, reason in odd_ones_out(self.request.round, str(self._task_id), self._accepted).items():
                self._reject(site, reason)
            self._check_quorum()
        held = len(self._accepted) <= MOST_HELD
        return [answer_of(self._accepted[site], self.place.store, held=held) for site in sorted(self._accepted)]

    def agrees(self, before: RoundState) -> bool:
        """Whether this round's tasks are, byte for byte, those that were published before."""
        asked, started = self.request, before.started
        same = (started.task_name, started.model, started.part) == (asked.task_name, asked.model.digest, asked.part)
        return same and all(digest(self._manifest(site)) == known for site, known in before.published.items())

    def _begin(self) -> None:
        """Start the round in the journal, or take over what it knows."""
        request, before = self.request, self.before
        if before is None:
            self.place.append(
                RoundStarted(
                    round=request.round,
                    task_name=request.task_name,
                    sites=list(request.sites),
                    model=request.model.digest,
                    attempt=self.attempt,
                    part=request.part,
                )
            )
            self._waiting.extend(request.sites)
            return
        for site, event in before.accepted.items():
            self._accepted[site] = event
            self.arrivals[site] = 0.0
            self.stored.update(entry.blake3 for entry in event.arrays)
        self._failed.update({site: event.reason for site, event in before.rejected.items()})
        self.published.extend((site, self._task_id) for site in before.published)
        self._waiting.extend(
            site for site in before.started.sites if site not in self._accepted and site not in self._failed
        )

    @property
    def _task_id(self) -> TaskId:
        return _task_id(self.place.run, self.request.round, self.request.task_name, self.attempt)

    def _task(self, site: str) -> Task:
        request = self.request
        return Task(
            PROTOCOL,
            self.place.run,
            str(self._task_id),
            request.task_name,
            site,
            request.round,
            request.start_round,
            request.total_rounds,
            ParamsType.FULL,
            list(request.entries.values()),
            {**self._meta, **request.site_meta.get(site, {})},
        )

    @cached_property
    def _meta(self) -> dict[str, Any]:
        """For the scripts."""
        request = self.request
        groups = {GROUPS: list(request.groups)} if request.groups else {}
        return {SEED: self.place.seed, **request.meta, **groups}

    def _manifest(self, site: str) -> bytes:
        """The bytes of a site's task, the same whenever they are made with the same key."""
        return self.place.identity.encode(self._task(site))

    def _publish_more(self) -> None:
        limit = self.place.threads or len(self._waiting) + len(self._open)
        while self._waiting and len(self._open) < limit:
            site = self._waiting.popleft()
            if site in self.place.roster.absent and not self._is_awaited(site):
                self._give_up(site, self.place.roster.absent[site])
            else:
                self._publish(site)

    def _publish(self, site: str) -> None:
        place, task_id = self.place, self._task_id
        folder, task = place.exchange.site(site), self._task(site)
        manifest = place.identity.encode(task)
        asked = self._open[site] = _Asked(task, digest(manifest), folder, str(folder.result(task_id)))
        if self.before is None or site not in self.before.published:
            place.append(
                TaskPublished(
                    round=self.request.round,
                    site=site,
                    task_id=task.task_id,
                    manifest=asked.digest,
                    bytes=self.request.size,
                )
            )
            self.published.append((site, task_id))
        elif self._is_there(asked, manifest):
            return
        for tries_left in (1, 0):
            try:
                with open_tasks(folder) as tasks:
                    self._publish_model(tasks, folder)
                    tasks.put_manifest(task_id, manifest, durable=place.durable)
                place.nudge.task(folder)
            except OSError as error:
                if self._is_outage(error):
                    raise
                if tries_left and error.errno in DISK_FULL:  # there is room again, or never was for this site
                    continue
                reason = f"task {task.task_id} cannot be published: {error.strerror} ({error.filename})"
                place.roster.lose(site, reason)
                self._give_up(site, reason)  # it may be back before anybody looks, and has no task
            return

    def _is_outage(self, error: OSError) -> bool:
        """Whether no task can be published, to whatever site."""
        root = self.place.exchange.root
        needed = max(1, self.request.size) if error.errno in DISK_FULL else 1
        return error.errno in _SERVER_FAULTS or is_away(root) or not has_room(root, needed)

    def _publish_model(self, tasks: OpenTasks, folder: SiteFolder) -> None:
        files = self.request.files
        if not files:
            return
        spare = self.place.spare.pop(folder.name, None)
        if self.place.link and self._copy is not None:
            # The model itself is never linked: a site that writes into its task changes the copy of the sites alone.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # its site may have removed it meanwhile
                links = {name: self._copy / name for name in files}
                tasks.put_links(self._task_id, links, spare=spare, durable=self.place.durable)
                return
        tasks.put_copies(self._task_id, files, spare=spare, durable=self.place.durable)
        self._copy = folder.tasks / str(self._task_id)

    def _is_there(self, asked: _Asked, manifest: bytes) -> bool:
        """Whether a task that was published before still stands, whole as far as sizes tell."""
        arrays = asked.folder.tasks / asked.task.task_id
        try:
            sizes = all((arrays / entry.file).stat().st_size == entry.size for entry in asked.task.arrays)
            with open_beneath(asked.folder.root, "tasks", f"{self._task_id}.json") as fd:
                return sizes and read_bytes(fd, len(manifest), "") == manifest
        except (OSError, ExchangeError):
            return False

    def _answering(self) -> list[str]:
        """The sites to look at where nobody gave a hint."""
        if not self.place.link:
            return list(self._open)
        # On a disk of this very user, a manifest that is not there costs a look and not an attempt to read it.
        return [site for site, asked in self._open.items() if os.path.lexists(asked.manifest)]

    def _rests(self, site: str) -> bool:
        return site in self._deliveries and self._deliveries[site].rests

    def _take(self, site: str, *, at_last: bool = False) -> None:
        """Take the site's answer in if it is there and whole, and the site was not dropped.

        With `at_last` there is no later look: its arrays are read though they rest.
        """
        asked = self._open.get(site)
        if asked is None or site in self.place.roster.dropped:
            return
        request = self.request
        expected: Spec | None = {name: (e.dtype, tuple(e.shape)) for name, e in request.entries.items()} or None
        if request.for_metrics:
            expected = {}
        files: list[str] = []
        delivery = self._deliveries.setdefault(site, Delivery())
        read, began = delivery.copied.read, time.monotonic()
        try:
            result, manifest = read_result(asked.folder, asked.task, asked.digest, expected, self.place.identity)
            files = [entry.file for entry in result.arrays]
            if request.for_metrics and not result.metrics:
                raise RefusedError(f"results/{asked.task.task_id}.json has no metrics, and that is what was asked for")
            if expected is None and result.params_type is ParamsType.DIFF:
                raise RefusedError(
                    f"results/{asked.task.task_id}.json is a DIFF, but there is no model yet to add it to"
                )
            if delivery.rests and not at_last:
                raise NotYetError(delivery.missing)
            self._drop_superseded(delivery.copied, result)
            self.stored.update(entry.blake3 for entry in result.arrays)
            store_arrays(
                asked.folder,
                result,
                self.place.store,
                request.open if request.entries else None,
                copied=delivery.copied,
                shares=0 if request.entries else len(self._open) + len(self._waiting),
                manifest=manifest if self.place.keep else b"",
                link=self.place.link and not self.place.durable,
                durable=self.place.durable,
            )
        except NotYetError as error:
            if delivery.copied.read > read:
                delivery.was_in_vain(str(error), time.monotonic() - began)
            self._wait_on(site, asked, files, str(error), at_last=at_last)
            return
        except RefusedError as error:
            self._reject(site, str(error))
            return
        del self._open[site]
        self._deliveries.pop(site, None)
        self.arrivals[site] = time.monotonic() - self.started
        self.place.roster.answers[site] += 1
        self._accepted[site] = ResultAccepted(
            round=self.request.round,
            site=site,
            task_id=asked.task.task_id,
            params_type=result.params_type,
            weight=float(result.meta.get(NUM_STEPS, 1)),
            metrics=result.metrics,
            arrays=result.arrays,
            bytes=sum(entry.size for entry in result.arrays),
            manifest=digest(manifest),
            signed_by=self.place.identity.signed_by(result),
        )
        self.place.append(self._accepted[site])
        self.place.accepted(site)

    def _wait_on(self, site: str, asked: _Asked, files: Sequence[str], missing: str, *, at_last: bool) -> None:
        """A result is not whole. If its manifest is there, somebody is delivering it, or nobody any more."""
        traces = traces_of(asked.folder.results, asked.task.task_id, files)
        if traces is None:
            return
        delivery = self._deliveries[site]
        match delivery.judge(traces, self.place.delivery):
            case Pace.MOVES:
                self._moved = True
            case Pace.STALLED:
                number, task_id = self.request.round, asked.task.task_id
                self.place.append(ResultDelayed(round=number, site=site, task_id=task_id, reason=missing))
            case Pace.GIVEN_UP if delivery.rests and not at_last:
                self._take(site, at_last=True)  # what came while its arrays were left alone has not been read
            case Pace.GIVEN_UP:
                self._reject(site, missing)

    def _drop_superseded(self, copied: Copied, result: Result) -> None:
        """Remove copies of arrays that the site's newer manifest has no more: many manifests must not fill the disk."""
        listed = {(entry.name, entry.blake3) for entry in result.arrays}
        self._drop_copies(copied, {one for one in copied.arrays if one[:2] not in listed})

    def _drop_copies(self, copied: Copied, superseded: set[tuple[str, str, bool]]) -> None:
        """Remove copies that no result needs; with `keep` a result of an earlier round may be the same."""
        if not superseded:
            return
        copied.arrays -= superseded
        used = {entry.blake3 for event in self._accepted.values() for entry in event.arrays}
        used.update(known for one in self._deliveries.values() for _, known, _ in one.copied.arrays)
        for found in {known for _, known, _ in superseded} - used:
            if found in copied.made or not self.place.keep:
                self.place.store.joinpath(f"{found}.npy").unlink(missing_ok=True)

    def reject(self, site: str, reason: str) -> None:
        """Leave out an accepted result that turned out to be unfit.

        Raises:
            RunFailedError: the quorum cannot be had without it.
        """
        self._reject(site, reason)
        self._check_quorum()

    def _reject(self, site: str, reason: str) -> None:
        self._open.pop(site, None)
        if delivery := self._deliveries.pop(site, None):
            self._drop_copies(delivery.copied, set(delivery.copied.arrays))
        self._accepted.pop(site, None)
        self.arrivals.pop(site, None)
        self._failed[site] = reason
        task_id = str(self._task_id)
        self.place.append(ResultRejected(round=self.request.round, site=site, task_id=task_id, reason=reason))

    def _give_up(self, site: str, reason: str) -> None:
        """Wait for a site no longer."""
        if self._open.pop(site, None):
            self.unanswered[site] = self._task_id
        self._failed[site] = reason

    def _drop_lost(self) -> None:
        roster = self.place.roster
        for site in [site for site in self._silent_since if site not in roster.absent]:
            del self._silent_since[site]
        for site in sorted(site for site in roster.absent if site in self._open):
            self._take(site)  # it may have answered before it went
            if site in self._open and not self._is_awaited(site):
                self._take(site, at_last=True)
                if site in self._open:
                    self._give_up(site, roster.absent[site])

    def _is_awaited(self, site: str) -> bool:
        """Whether the round needs a site that is silent, and has the patience."""
        if site not in self.place.roster.silent:
            return False
        since = self._silent_since.setdefault(site, time.monotonic())
        needed = len(self._accepted) < self.request.quorum or site in self.place.mandatory
        return needed and time.monotonic() - since < self.place.patience

    def _time_left(self) -> tuple[float, str]:
        """Seconds until the round ends in any case, and why it does."""
        request, now = self.request, time.monotonic()
        left, limit = math.inf, ""
        if request.timeout is not None:
            left, limit = self.started + request.timeout - now, f"within {request.timeout:g} s"
        if request.grace is not None and len(self._accepted) >= request.quorum and not self._lacks_mandatory():
            if self._enough_since is None:
                self._enough_since = now
            grace = self._enough_since + request.grace - now
            if grace < left:
                left, limit = grace, f"within {request.grace:g} s after {request.quorum} had answered"
        return left, limit

    def _time_out(self, limit: str) -> None:
        for site in [*self._open, *self._waiting]:
            if site in self._open:
                self.unanswered[site] = self._task_id
            self._reject(site, f"no answer {limit}")
        self._waiting.clear()

    def _lacks_mandatory(self) -> bool:
        mandatory = self.place.mandatory
        return bool(mandatory) and not mandatory.isdisjoint(
            self._open.keys() | set(self._waiting) | self._failed.keys()
        )

    def _check_quorum(self) -> None:
        request = self.request
        possible = len(self._accepted) + len(self._open) + len(self._waiting)
        needed = sorted(self.place.mandatory & self._failed.keys())
        if possible >= request.quorum and not needed:
            return
        causes = _causes(self._failed)
        need = f"{needed[0]} is mandatory" if needed else f"{request.quorum} needed"
        asked = len(self._accepted) + len(self._open) + len(self._waiting) + len(self._failed)
        answered = f"{len(self._accepted)} of {asked} sites answered, {need}"
        raise RunFailedError(f"round {request.round}: {'; '.join([answered, *causes])}")


def _causes(failed: Mapping[str, str]) -> list[str]:
    """Why sites failed, each by its name; many that have failed for the same reason in one sentence."""
    alike: dict[str, list[str]] = {}
    for site in sorted(failed):
        alike.setdefault(failed[site], []).append(site)
    causes: list[str] = []
    for site in sorted(failed):
        reason, sites = failed[site], alike[failed[site]]
        if len(sites) <= _ALIKE:
            causes.append(f"{site}: {reason}")
        elif site == sites[0]:
            causes.append(f"{', '.join(sites[:_ALIKE])} and {len(sites) - _ALIKE} more: {reason}")
    return causes
