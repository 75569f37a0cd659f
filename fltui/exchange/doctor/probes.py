"""What a file system does, tried out in a folder of one's own that nobody else reads."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import shutil
import statistics
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from fltui.exchange.doctor.finding import Finding, Level
from fltui.exchange.durable import sync_folder
from fltui.exchange.layout import HIDDEN
from fltui.exchange.lock import hold, is_held, let_go
from fltui.exchange.npy import write_all
from fltui.exchange.outage import DISK_FULL
from fltui.exchange.publish import copy_file, put_bytes
from fltui.exchange.sizes import size_text
from fltui.exchange.watch import Watcher, WatchMode, is_remote

PROBE = f"{HIDDEN}doctor."
"""How the names of probing folders begin."""

_RENAMES = 200
_SIZE = 1 << 16
_PATIENCE = 2.0
"""Seconds until an event that does not come is missed: as long as whoever waits would wait for its next look."""

_EVENTS = 5
_SYNCS = 3
_SLOW_SYNC = 0.5
_SKEW = 2.0
"""Seconds by which two clocks may differ without a word; FAT keeps times to two seconds."""

_LONG_NAME = 210
"""Characters of the longest name of a file on its way, rounded up: task id, parameter's file, random suffix."""


class NoPlaceError(OSError):
    """There can be no folder to try things out in."""


@contextlib.contextmanager
def probing_folder(place: Path) -> Iterator[Path]:
    """A folder in `place` that goes with all that is in it, however the block ends.

    Raises:
        NoPlaceError: it cannot be made.
    """
    folder = place / f"{PROBE}{secrets.token_hex(4)}"
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise NoPlaceError(error.errno, error.strerror, str(place)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rename(folder: Path) -> Finding:
    """Rename over a file again and again while a thread reads it: it is never missing, half, or old and new mixed."""
    target, staging = folder / "renamed", folder / "staging"
    staging.mkdir()
    whole = [bytes([number]) * _SIZE for number in (1, 2)]
    put_bytes(whole[0], target, staging)
    reader = _Reader(target, frozenset(whole))
    reader.start()
    try:
        for number in range(_RENAMES):
            put_bytes(whole[number % 2], target, staging)
    finally:
        reader.stop()
    last = target.read_bytes()
    leftovers = os.listdir(staging)  # noqa: PTH208 - a list of names
    fix = "fltui needs a file system whose rename replaces in one step: a local disk, NFS or SMB; not this one"
    seen = f"{_RENAMES} renames over a file that was read {reader.reads} times meanwhile"
    if last != whole[(_RENAMES - 1) % 2] or leftovers:
        return Finding("rename", Level.UNSAFE, f"{seen}: the last one did not take effect", fix)
    if reader.missing or reader.broken:
        seen += f": {reader.missing} times it was missing, {reader.broken} times half or mixed"
        if not reader.broken and is_remote(folder):  # as with sshfs, for those on the very mount that renames
            fix = "nothing is lost by that: whoever misses a file looks again; a mount of each side's own shows it less"
            return Finding("rename", Level.WARNING, seen, fix)
        return Finding("rename", Level.UNSAFE, seen, fix)
    return Finding("rename", Level.OK, f"{seen}: never missing, never half")


class _Reader(threading.Thread):
    """Reads a file over and over."""

    def __init__(self, path: Path, whole: frozenset[bytes]) -> None:
        super().__init__(name="fltui-doctor-reader", daemon=True)
        self._path = path
        self._whole = whole
        self._over = threading.Event()
        self.reads = self.missing = self.broken = 0

    def run(self) -> None:
        while not self._over.is_set() or not self.reads:
            self.reads += 1
            try:
                self.broken += self._path.read_bytes() not in self._whole
            except OSError:
                self.missing += 1

    def stop(self) -> None:
        self._over.set()
        self.join()


def names(folder: Path) -> Finding:
    """Which names are told apart, and how long they may be."""
    (folder / "Case").touch()
    composed, parted = (unicodedata.normalize(form, "n\u00e9") for form in ("NFC", "NFD"))
    odd = []
    if (folder / "case").exists():
        odd.append("names that differ only in case are one name, so two sites' names must differ in more than that")
    with contextlib.suppress(OSError):
        (folder / composed).touch()
        if (folder / parted).exists():
            odd.append("different spellings of an accented letter are one name; fltui's names are plain ASCII")
    longest = folder / ("x" * _LONG_NAME)
    try:
        longest.touch()
        longest.unlink()
    except OSError as error:
        _check_room(error)
        seen = f"a name of {_LONG_NAME} characters is refused: {error.strerror}"
        fix = "give the job and its parameters short names, or use a file system that takes 255 characters"
        return Finding("names", Level.WARNING, seen, fix)
    seen = "; ".join(odd) or f"upper and lower case are told apart, names of {_LONG_NAME} characters are taken"
    return Finding("names", Level.NOTE if odd else Level.OK, seen)


def watch(folder: Path) -> Finding:
    """How long it takes until a file renamed into a watched folder is reported."""
    if is_remote(folder):
        seen = (
            "this kind of file system does not report what other machines change, so fltui looks for itself: arrivals "
            "are seen within 0.25 s by the server and within 2 s by a site that has waited long"
        )
        return Finding("watch", Level.NOTE, seen)
    watched, staging = folder / "watched", folder / "beside"
    watched.mkdir()
    staging.mkdir()
    arrivals: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
    watcher = Watcher(lambda path: arrivals.put((path, time.monotonic())), folder, WatchMode.EVENTS)
    taken = []
    try:
        watcher.add(watched)
        for number in range(_EVENTS):
            name = watched / f"{number}.json"
            started = time.monotonic()
            put_bytes(b"{}", name, staging)
            taken.append(_arrival(arrivals, str(name), started + _PATIENCE) - started)
    except queue.Empty:
        seen = f"no event within {_PATIENCE:g} s: arrivals are found by looking, within 2 s"
        fix = "nothing is lost by that; --watch poll saves the attempt, more inotify watches may bring events"
        return Finding("watch", Level.NOTE, seen, fix)
    finally:
        watcher.close()
    seen = f"a file renamed into a watched folder is reported after {statistics.median(taken) * 1000:.1f} ms"
    return Finding("watch", Level.OK, f"{seen} (median of {_EVENTS}, {max(taken) * 1000:.1f} ms at most)")


def _arrival(arrivals: queue.SimpleQueue[tuple[str, float]], name: str, deadline: float) -> float:
    """When the event for `name` came."""
    while True:
        path, at = arrivals.get(timeout=max(deadline - time.monotonic(), 0.001))
        if path == name:
            return at


def links(folder: Path) -> Finding:
    """Whether a file can have a second name: the simulator spares copies by that."""
    source, second = folder / "first", folder / "second"
    source.write_bytes(b"1")
    try:
        os.link(source, second)
    except OSError as error:
        _check_room(error)
        seen = f"no hard links here ({error.strerror}): the simulator copies each model for each site"
        return Finding("hard links", Level.NOTE, seen)
    if not os.path.samestat(source.stat(), second.stat()):
        return Finding("hard links", Level.NOTE, "a hard link is a copy here, which costs room and nothing else")
    return Finding("hard links", Level.OK, "hard links work: sites of the simulator share one copy of a model")


def copies(folder: Path) -> Finding:
    """Copying the way that tasks are copied for sites, which shares blocks where the disk can."""
    source, target = folder / "source", folder / "copy"
    data = os.urandom(_SIZE) * 16
    source.write_bytes(data)
    copy_file(source, target)
    if target.read_bytes() != data:
        fix = "do not use this file system; report it with the type and version of the kernel"
        return Finding("copies", Level.UNSAFE, f"a copy of {size_text(len(data))} differs from its source", fix)
    by_kernel = "by the kernel (copy_file_range)" if _kernel_copies(source, folder / "third") else "byte by byte"
    return Finding("copies", Level.OK, f"a copy of {size_text(len(data))} is the same; it is made {by_kernel}")


def _kernel_copies(source: Path, target: Path) -> bool:
    with source.open("rb") as read, target.open("wb") as write:
        try:
            return os.copy_file_range(read.fileno(), write.fileno(), _SIZE) > 0
        except (AttributeError, OSError):
            return False


def sync(folder: Path, kind: str) -> Finding:
    """Whether fsync of a file and of its folder works, and what it costs."""
    fix = "start server and clients with --durability process, and know that a power cut can then cost the run"
    taken = []
    try:
        for number in range(_SYNCS):
            fd = os.open(folder / f"synced{number}", os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                write_all(fd, b"1" * (1 << 20))
                started = time.monotonic()
                os.fsync(fd)
            finally:
                os.close(fd)
            sync_folder(folder)
            taken.append(time.monotonic() - started)
    except OSError as error:
        _check_room(error)
        return Finding("fsync", Level.WARNING, f"fsync fails: {error.strerror}", fix)
    cost = statistics.median(taken)
    seen = f"fsync of 1 MB and of its folder takes {cost * 1000:.1f} ms (median of {_SYNCS})"
    if kind in ("tmpfs", "ramfs"):
        return Finding("fsync", Level.WARNING, f"{seen}, but this is memory: nothing survives a power cut", fix)
    if cost > _SLOW_SYNC:
        return Finding("fsync", Level.NOTE, f"{seen}; every array and every manifest waits that long", fix)
    return Finding("fsync", Level.OK, seen)


def lock(folder: Path) -> Finding:
    """Whether a second process would notice that a site is served already."""
    path = folder / "any-run.lock"
    fix = "take care that no site's script is started twice"
    fd = hold(path)
    if fd is None:
        return Finding("locks", Level.WARNING, "there are no locks here: two scripts of one site would not notice", fix)
    try:
        if not is_held(path):
            return Finding("locks", Level.WARNING, "a lock that is held is not seen by others", fix)
    finally:
        let_go(path, fd)
    return Finding("locks", Level.OK, "locks work: a second script of a site is turned away")


def clock(folder: Path) -> Finding:
    """The file system's clock against this machine's, which nothing depends on."""
    path = folder / "now"
    before = time.time()
    path.write_bytes(b"1")
    off = path.stat().st_mtime - (before + time.time()) / 2
    if abs(off) <= _SKEW:
        return Finding("clock", Level.OK, f"the file system's clock and this machine's are {abs(off):.1f} s apart")
    ahead = "ahead of" if off > 0 else "behind"
    seen = f"the file system's clock is {abs(off):.0f} s {ahead} this machine's"
    return Finding("clock", Level.NOTE, f"{seen}; that is harmless, fltui never compares times of two machines")


def attempt(probe: Callable[[], Finding], name: str) -> Finding:
    """The finding of a probe, also where the file system fails it altogether."""
    try:
        return probe()
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return failed(name, error, f"the trial of '{name}' failed", place)


def failed(name: str, error: OSError, told: str, place: str = "") -> Finding:
    """The finding where the file system refuses what has to be tried; of a full disk it says nothing but that."""
    fix = "make room" if error.errno in DISK_FULL else "a run here would fail in the same way; mend that first"
    return Finding(name, Level.UNSAFE, f"{told}: {error.strerror}{place}", fix)


def _check_room(error: OSError) -> None:
    """A disk that is full refuses everything, so its refusal tells nothing of what it can do.

    Raises:
        OSError: it is full.
    """
    if error.errno in DISK_FULL:
        raise error
