"""Taking in what the other side wrote. What a site wrote is hostile until proven otherwise.

The server reads a result in two steps: the manifest, compared with the task, then every array in one pass that compares
header, size and digest, looks for NaN and Inf, and copies into the run's private store. Only the copies are used later.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fltui.errors import ExchangeError, NotYetError, RefusedError
from fltui.exchange.durable import sync_folder
from fltui.exchange.layout import SERVER, SiteFolder, TaskId, array_files
from fltui.exchange.manifest import MANIFEST_LIMIT, ArrayEntry, Result, Status, Task, decode, digest
from fltui.exchange.npy import (
    NpyReader,
    check_size,
    file_size,
    header,
    map_checked,
    open_beneath,
    read_array,
    read_bytes,
    read_checked,
    write_all,
)
from fltui.exchange.publish import put_bytes
from fltui.exchange.signing import NOBODY, Identity
from fltui.model import NUM_STEPS, Params, ParamsType

Spec = Mapping[str, tuple[str, tuple[int, ...]]]
"""Parameter name to dtype string and shape."""

_STATUS_LIMIT = 1 << 16

_WORTH_MAPPING = 1 << 20
"""Bytes from which on it costs less to map a file than to copy it into memory."""

_HAS_PROC = Path("/proc/self/fd").is_dir()
"""Whether there is a name for a file that is open, whatever became of its own."""

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
        if not _leads_to(f"{site.tasks}/{task_id}.json", fd):
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


def _leads_to(path: str | Path, fd: int) -> bool:
    """Whether a name still leads to the file that is open."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except OSError:
        return False


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


@dataclass
class Copied:
    """What was copied of one site's answer to one task, kept between the looks at it: nothing is copied twice.

    Attributes:
        arrays: parameter, digest and whether it was checked as a difference, of every array in the store.
        made: digests of those that were not in the store before.
        read: bytes of arrays read so far, in vain or not.
    """

    arrays: set[tuple[str, str, bool]] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    read: int = 0


def store_arrays(
    site: SiteFolder,
    result: Result,
    store: Path,
    base: Callable[[str], NpyReader] | None = None,
    *,
    copied: Copied | None = None,
    shares: int = 0,
    manifest: bytes = b"",
    link: bool = False,
    durable: bool = False,
) -> None:
    """Copy every array of a checked manifest into the private store, as ``<digest>.npy``.

    Nothing is read before all the arrays have their sizes.

    Args:
        site: who sent it.
        result: the manifest.
        store: the private store.
        base: opens a parameter of the model that a DIFF is to be added to.
        copied: what was copied before; what is copied now is added.
        shares: how many results the free space of the store's disk has to do for, this one among them, where no model
            bounds what a site may claim; 0 where one does.
        manifest: its bytes, where they are to be kept, too, as ``<digest>.json``.
        link: the site is this very user, who writes no file in place: a second name does for a copy, where there can
            be one.
        durable: content and names survive a power cut when this returns, so that the journal may tell of them.

    Raises:
        NotYetError: an array is missing, short or different from its digest.
        RefusedError: it is not a plain file, has another header, or holds NaN or Inf; or a DIFF, added to the model,
            is beyond what the dtype holds; or the claim is larger than a fair share of the disk.
    """
    if result.params_type is not ParamsType.DIFF:
        base = None
    copied = Copied() if copied is None else copied
    keys = [(entry.name, entry.blake3, base is not None) for entry in result.arrays]
    missing = [(entry, key) for entry, key in zip(result.arrays, keys, strict=True) if key not in copied.arrays]
    if shares:
        _check_share(sum(entry.size for entry, _ in missing), store, shares, f"results/{result.task_id}.json")
    for entry, _ in missing if len(missing) > 1 else ():
        with _array(site, result, entry, link=link) as fd:
            check_size(fd, entry, f"results/{result.task_id}/{entry.file}")
    for entry, key in missing:
        where, target = f"results/{result.task_id}/{entry.file}", f"{store}/{entry.blake3}.npy"
        with ExitStack() as opened:
            fd = opened.enter_context(_array(site, result, entry, link=link))
            check_size(fd, entry, where)
            old = opened.enter_context(base(entry.name)) if base else None
            copied.read += entry.size
            if not os.path.exists(target):  # noqa: PTH110 - asked for every result
                copied.made.add(entry.blake3)
            elements = Elements(entry.dtype, old)
            if link:
                read_checked(fd, entry, elements.look, where)
                elements.check(entry, where)
                if _link(fd, f"{site.root}/{where}", target):
                    copied.arrays.add(key)
                    continue
                os.lseek(fd, 0, os.SEEK_SET)
                elements = Elements(entry.dtype, old)
            _copy_array(fd, entry, store, where, elements, durable=durable)
            copied.arrays.add(key)
    if manifest:
        put_bytes(manifest, store / f"{digest(manifest)}.json", store, durable=durable)
    elif durable:
        sync_folder(store)


def _array(site: SiteFolder, result: Result, entry: ArrayEntry, *, link: bool) -> AbstractContextManager[int]:
    # With `link` it may have its second name already, from a look that came to nothing afterwards.
    return open_beneath(site.root, "results", result.task_id, entry.file, links=None if link else 1)


def _check_share(claimed: int, store: Path, shares: int, where: str) -> None:
    free = shutil.disk_usage(store).free
    if claimed > free // shares:
        raise RefusedError(
            f"{where} claims {claimed} bytes, and {free} are free on the run's disk for {shares} such results; "
            "give FedAvg an initial model, or free space"
        )


def _copy_array(fd: int, entry: ArrayEntry, store: Path, where: str, elements: Elements, *, durable: bool) -> None:
    target = store / f"{entry.blake3}.npy"
    beside = store / f".{secrets.token_hex(8)}"
    out = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        with open(out, "wb", buffering=0):

            def take(piece: memoryview) -> None:
                elements.look(piece)
                write_all(out, piece)

            write_all(out, header(entry.dtype, entry.shape))
            read_checked(fd, entry, take, where)
            if durable:
                os.fsync(out)
        elements.check(entry, where)
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        raise


def _link(fd: int, path: str, target: str) -> bool:
    """Give the file that is open, and was at `path` when it was opened, a second name; False where that cannot be."""
    try:
        if _HAS_PROC:
            # With the descriptor of a folder, which a whole path makes no use of, Python follows the link to the file.
            os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd, follow_symlinks=True)
            return True
        beside = Path(target).with_name(f".{secrets.token_hex(8)}")
        os.link(path, beside, follow_symlinks=False)
    except FileExistsError:  # of the same content, which is its name
        return True
    except OSError:  # another disk, or one without links; the site has removed it
        return False
    if same := _leads_to(beside, fd):
        os.replace(beside, target)
    beside.unlink(missing_ok=True)  # where both were names of one file, nothing was moved
    return same


class Readable(Protocol):
    """Elements to read, such as those of an `NpyReader`."""

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill the 1-D `out` with the elements from `start`."""


class Elements:
    """Looks at the elements of an array on their way into the store: whether the mean can take them.

    Args:
        dtype: theirs.
        base: what they are to be added to, if they are differences.
    """

    def __init__(self, dtype: str, base: Readable | None) -> None:
        self._kind = np.dtype(dtype)
        self._base = None if self._kind.kind == "b" else base  # truth values stay such, whatever is added
        self._at = 0
        self._least, self._most = _limits(self._kind)
        self.fault = ""
        """What is wrong with them; empty as long as nothing is."""

    def look(self, piece: memoryview) -> None:
        """The next elements."""
        if self.fault:
            return
        values: NDArray[Any] = np.frombuffer(piece, self._kind)
        if self._kind.kind == "f" and not self._are_finite(values):
            self.fault = f"holds NaN or Inf or a number beyond {LARGEST_NUMBER:g}"
        elif self._base is not None and not self._fit(values, self._base):
            self.fault = f"is a difference that, added to the model, is beyond what {self._kind.name} may hold"
        self._at += values.size

    def check(self, entry: ArrayEntry, where: str) -> None:
        """Refuse them if something is wrong.

        Raises:
            RefusedError: it is.
        """
        if self.fault:
            raise RefusedError(f"{where}: {entry.name[:80]!r} {self.fault}")

    def _are_finite(self, values: NDArray[Any]) -> bool:
        # No sum of squares: BLAS gives it to all cores, and waits for them when others are at work there.
        if self._most == np.finfo(self._kind).max:
            return bool(np.isfinite(values).all())
        return bool(self._least <= values.min() and values.max() <= self._most)  # False for NaN, too

    def _fit(self, values: NDArray[Any], base: Readable) -> bool:
        old = np.empty(values.size, self._kind)
        base.read(self._at, old)
        new = np.add(old, values, dtype=np.float64)
        return bool(self._least <= new.min() and new.max() <= self._most)


def _limits(kind: np.dtype[Any]) -> tuple[float, float]:
    """The least and the largest element of a dtype that a result or a model may hold."""
    if kind.kind == "f":
        most = min(LARGEST_NUMBER, float(np.finfo(kind).max))
        return -most, most
    if kind.kind == "b":
        return 0.0, 1.0
    return float(np.iinfo(kind).min), float(np.iinfo(kind).max)


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
