"""Taking in the arrays of a result: each in one pass that compares header, size and digest, looks for NaN and Inf, and
copies into the run's private store. Only the copies are used later.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fltui.errors import RefusedError
from fltui.exchange.collect import LARGEST_NUMBER
from fltui.exchange.durable import sync_folder
from fltui.exchange.held import is_there, leads_to
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import ArrayEntry, Result, digest
from fltui.exchange.npy import NpyReader, check_size, header, open_beneath, read_checked, write_all
from fltui.exchange.publish import put_bytes
from fltui.model import ParamsType

_HAS_PROC = Path("/proc/self/fd").is_dir()
"""Whether there is a name for a file that is open, whatever became of its own."""


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
            if not is_there(target):
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
    if same := leads_to(beside, fd):
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
