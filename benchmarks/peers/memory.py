"""The memory of all processes of a job together, sampled from Linux's ``/proc``.

All together is the sum of their PSS: a page that processes share, as a mapped file or a store in shared memory, counts
once. The server alone is its RSS. Pages of files that nobody has mapped count nowhere.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

import msgspec

EVERY = 0.05
"""Seconds from one sample to the next."""

_MOST = 0.1
"""Of a core, for sampling: reading the maps of many GB takes a while, and the next sample then waits longer."""

_PROC = "/proc"


class Peak(msgspec.Struct, frozen=True):
    """The most that was seen, in MB (10^6 bytes); `samples` times it was looked at."""

    all_mb: float
    server_mb: float
    samples: int


class Sampler:
    """Looks at all processes below one, in a thread, while its context lasts."""

    def __init__(self, root: int, is_server: Callable[[str], bool]) -> None:
        self._root = root
        self._is_server = is_server
        self._all = self._server = self._samples = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_until_ended, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def peak(self) -> Peak:
        """What was seen so far."""
        return Peak(self._all / 1e6, self._server / 1e6, self._samples)

    def _look_until_ended(self) -> None:
        spent = 0.0
        while not self._ended.wait(max(EVERY - spent, spent * (1 / _MOST - 1))):
            began = time.thread_time()
            self._look()
            spent = time.thread_time() - began

    def _look(self) -> None:
        together = server = 0
        for pid in descendants(self._root, parents_now()):
            try:
                rss, pss = parse_rollup(_read(pid, "smaps_rollup"))
                command_line = _read(pid, "cmdline").replace("\0", " ")
            except OSError:  # it has ended
                continue
            together += pss
            if self._is_server(command_line):
                server = max(server, rss)
        self._all, self._server = max(self._all, together), max(self._server, server)
        self._samples += 1


def parents_now() -> dict[int, int]:
    """Process to parent, of all that there are."""
    parents = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 - this is most of a sample, and takes half the time of Path's
        if name.isdecimal():
            try:
                parents[int(name)] = parse_parent(_read(name, "stat"))
            except OSError:  # it has ended
                continue
    return parents


def _read(pid: int | str, name: str) -> str:
    with open(f"{_PROC}/{pid}/{name}", "rb", buffering=0) as file:
        return file.read().decode(errors="replace")


def parse_parent(stat: str) -> int:
    """The parent in a ``/proc/<pid>/stat``; the name before it may hold spaces and brackets."""
    return int(stat.rpartition(")")[2].split()[1])


def descendants(root: int, parents: Mapping[int, int]) -> set[int]:
    """All processes below `root`, without itself."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    pending = [root]
    while pending:
        below = [pid for pid in children.get(pending.pop(), []) if pid not in found]
        found.update(below)
        pending += below
    return found


def parse_rollup(text: str) -> tuple[int, int]:
    """RSS and PSS in bytes, of a ``/proc/<pid>/smaps_rollup``; 0 for a process that has no memory any more."""
    amounts = {"Rss:": 0, "Pss:": 0}
    for line in text.splitlines():
        name, *values = line.split()
        if name in amounts:
            amounts[name] = int(values[0]) * 1024
    return amounts["Rss:"], amounts["Pss:"]
