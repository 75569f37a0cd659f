"""Reading what the other side published. What a site wrote is hostile until proven otherwise.

The server reads a result in two steps: the manifest, compared with the task, here; then the arrays, see
`fltui.exchange.store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from fltui.errors import ExchangeError, NotYetError, RefusedError
from fltui.exchange.held import leads_to
from fltui.exchange.layout import SERVER, SiteFolder, TaskId, array_files
from fltui.exchange.manifest import MANIFEST_LIMIT, ArrayEntry, Result, Status, Task, decode, digest
from fltui.exchange.npy import (
    file_size,
    map_checked,
    open_beneath,
    read_array,
    read_bytes,
)
from fltui.exchange.signing import NOBODY, Identity
from fltui.model import NUM_STEPS, Params

Spec = Mapping[str, tuple[str, tuple[int, ...]]]
"""Parameter name to dtype string and shape."""

_STATUS_LIMIT = 1 << 16

_WORTH_MAPPING = 1 << 20
"""Bytes from which on it costs less to map a file than to copy it into memory."""

_MOST_MAPPED = 64
"""Arrays of a model that are mapped, the largest: each keeps a descriptor."""

LARGEST_WEIGHT = 2.0**53
"""A weight is a count of steps or samples; beyond this a float64 cannot count."""

LEAST_WEIGHT = 1e-9
"""A smaller weight above 0 would take bits from what it is multiplied with."""

LARGEST_NUMBER = 1e280
"""Metrics and float64 elements beyond this could overflow a weighted sum: 2**53 times this, times 10**12 sites, does
not. The smaller dtypes hold far less."""


def read_task(site: SiteFolder, task_id: TaskId, identity: Identity = NOBODY) -> tuple[Task, str]:
    """A task's manifest and its digest, read by the site, signed as `identity` has it.

    Raises:
        SignatureError: see `Identity.check`.
        NotYetError, RefusedError: see `decode`.
    """
    where = f"tasks/{task_id}.json"
    # While the server takes a task back, its manifest has a second name, under which the next one is written over it.
    with open_beneath(site.root, "tasks", f"{task_id}.json", links=None) as fd:
        data = read_bytes(fd, MANIFEST_LIMIT, where)
        if not leads_to(f"{site.tasks}/{task_id}.json", fd):
            raise NotYetError(f"{where} was taken back")
    task = decode(data, Task, where)
    if not data.endswith(b"\n"):
        # Whole JSON and not the whole file: the answer would name the digest of something that was never published.
        raise NotYetError(f"{where} does not end with a line feed")
    identity.check(SERVER, task, data, where)
    if task.task_id != str(task_id) or task.run != task_id.run or task.site != site.name or task.round != task_id.round:
        raise RefusedError(f"{where} holds the task {task.task_id[:200]!r} of site {task.site[:80]!r}")
    _check_files(task.arrays, where)
    return task, digest(data)


def read_params(site: SiteFolder, task: Task, *, mapped: bool = False) -> Params:
    """A task's arrays, each compared with its digest; they may be changed, and the task stays as it is.

    Args:
        site: the site.
        task: its manifest.
        mapped: nobody writes into a task's files once they are there, so large arrays need no memory of their own.

    Raises:
        NotYetError, RefusedError: as `read_checked`.
    """
    params: Params = {}
    largest = sorted(task.arrays, key=lambda entry: entry.size, reverse=True)[:_MOST_MAPPED] if mapped else ()
    worth = {entry.name for entry in largest if entry.size >= _WORTH_MAPPING}
    for entry in task.arrays:
        where = f"tasks/{task.task_id}/{entry.file}"
        # The simulator gives all sites links to one read-only copy, so here a file may have many names.
        with open_beneath(site.root, "tasks", task.task_id, entry.file, links=None) as fd:
            params[entry.name] = (map_checked if entry.name in worth else read_array)(fd, entry, where)
    return params


def read_result(
    site: SiteFolder, task: Task, in_reply_to: str, expected: Spec | None, identity: Identity = NOBODY
) -> tuple[Result, bytes]:
    """The manifest of the answer to `task`, checked against it, and its bytes.

    Args:
        site: who answers: the folder, whatever the manifest says.
        task: what was asked.
        in_reply_to: digest of the task's manifest.
        expected: dtype and shape of each parameter; None in a round without a model, where the answer decides.
        identity: knows the site's key.

    Raises:
        SignatureError: see `Identity.check`.
        NotYetError: no whole manifest yet.
        RefusedError: it answers something else or breaks the protocol or the task.
    """
    where = f"results/{task.task_id}.json"
    with open_beneath(site.root, "results", f"{task.task_id}.json") as fd:
        data = read_bytes(fd, MANIFEST_LIMIT, where)
    result = decode(data, Result, where)
    identity.check(site.name, result, data, where)
    if (
        result.site != site.name
        or result.task_id != task.task_id
        or result.run != task.run
        or result.round != task.round
    ):
        raise RefusedError(f"{where} is a result of site {result.site[:80]!r} for {result.task_id[:200]!r}")
    if result.in_reply_to != in_reply_to:
        raise RefusedError(f"{where} is stale: it answers a task with another digest than the one published")
    _check_weight(result.meta.get(NUM_STEPS, 1), where)
    for name, value in result.metrics.items():
        if not abs(value) <= LARGEST_NUMBER:
            raise RefusedError(f"{where}: metric {name[:80]!r} is {value}, expected at most {LARGEST_NUMBER:g}")
    _check_files(result.arrays, where)
    if expected is not None:
        _check_spec(result.arrays, expected, where)
    elif not result.arrays:
        raise RefusedError(f"{where} has no arrays and there is no model yet to fall back on")
    return result, data


def _check_weight(weight: object, where: str) -> None:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not (weight == 0 or LEAST_WEIGHT <= cast(float, weight) <= LARGEST_WEIGHT):
        said = "a huge number" if isinstance(weight, int) and abs(weight) > LARGEST_WEIGHT else f"{weight!r:.80}"
        expected = f"a number from 0 to 2**53, none between 0 and {LEAST_WEIGHT:g}"
        raise RefusedError(f"{where}: meta {NUM_STEPS!r} is {said}, expected {expected}")


def _check_files(entries: Sequence[ArrayEntry], where: str) -> None:
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise RefusedError(f"{where} lists a parameter twice")
    files = array_files(names)
    for entry in entries:
        if entry.file != files[entry.name]:
            raise RefusedError(
                f"{where}: parameter {entry.name[:80]!r} lies in {entry.file[:120]!r}, expected {files[entry.name]!r}"
            )
        try:
            size = file_size(entry.dtype, entry.shape)
        except RefusedError as error:
            raise RefusedError(f"{where}: parameter {entry.name[:80]!r}: {error}") from error
        if entry.size != size:
            raise RefusedError(f"{where}: parameter {entry.name[:80]!r} claims {entry.size} bytes, expected {size}")


def _check_spec(entries: Sequence[ArrayEntry], expected: Spec, where: str) -> None:
    names = {entry.name for entry in entries}
    if not expected and names:
        raise RefusedError(f"{where} has arrays, and only metrics were asked for")
    if missing := sorted(expected.keys() - names):
        raise RefusedError(f"{where} lacks the parameter {missing[0][:80]!r}")
    if extra := sorted(names - expected.keys()):
        raise RefusedError(f"{where} has the parameter {extra[0][:80]!r}, which the model does not have")
    for entry in entries:
        dtype, shape = expected[entry.name]
        if (entry.dtype, tuple(entry.shape)) != (dtype, shape):
            raise RefusedError(
                f"{where}: {entry.name[:80]!r} is {entry.dtype[:40]} {tuple(entry.shape)}, expected {dtype} {shape}"
            )


def read_status(site: SiteFolder) -> Status | None:
    """What a site says of itself, or None where that cannot be read."""
    try:
        with open_beneath(site.root, "status.json", links=None) as fd:
            return decode(read_bytes(fd, _STATUS_LIMIT, "status.json"), Status, "status.json")
    except ExchangeError:
        return None
