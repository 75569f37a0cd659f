"""A sync layer full of mischief: it carries files between the server's exchange folder and a site's copy of it.

Everything that was written arrives in the end, whole. Until then it comes in any order, late, twice, half, zero-filled,
in place under its final name; old versions come after new ones, what was deleted comes back, deletions come early or
never; copies under other names and what a sync engine leaves behind lie beside it.
"""

from __future__ import annotations

import heapq
import json
import os
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal


class Mischief(StrEnum):
    """What the layer does beside its duty."""

    LATE = "late"
    SILENT = "very late"
    HALF = "half"
    ZEROS = "zeros"
    TWICE = "twice"
    OLD = "old version after new"
    CONFLICTS = "conflict copies"
    LITTER = "temporary names left behind"
    UNDELETED = "no deletions"
    RISEN = "deleted files come back"
    DEAF = "no watch events"


ALL = frozenset(Mischief)

DUE = 0.02
"""Seconds that an honest delivery takes at most."""


def delay(rng: random.Random, kinds: frozenset[Mischief]) -> float:
    """Seconds until a file arrives; now and then long enough for its site to be taken for lost."""
    if Mischief.SILENT in kinds and rng.random() < 0.001:
        return rng.uniform(20, 45)
    if Mischief.LATE not in kinds:
        return rng.uniform(0, DUE)
    return rng.uniform(0, rng.choices((0.02, 0.15, 1), (60, 36, 4))[0])


def parts(rng: random.Random, whole: bytes, kinds: frozenset[Mischief]) -> list[bytes]:
    """What lies under the final name before the whole does."""
    found: list[bytes] = []
    size = len(whole)
    if Mischief.HALF in kinds and rng.random() < 0.5:
        lengths = {rng.choice((0, 1, size // 2, size - 1, rng.randrange(size + 1))) for _ in range(rng.randrange(1, 4))}
        found += [whole[: max(length, 0)] for length in sorted(lengths)]
    if Mischief.ZEROS in kinds and rng.random() < 0.5:
        found.append(bytes(size))
        if rng.random() < 0.5:
            kept = rng.randrange(size + 1)
            found.append(whole[:kept] + bytes(size - kept))
    return found


def conflicting(name: str, data: bytes) -> bytes:
    """Another version of a file, as whole as the real one: what somebody else might have written there."""
    if not name.endswith(".json"):
        return data[:-1] + bytes([data[-1] ^ 0x40]) if data else data
    try:
        document = json.loads(data)
    except ValueError:
        return data
    if document.get("kind") == "result":
        document["meta"] = {**document["meta"], "NUM_STEPS_CURRENT_ROUND": 999}
    return f"{json.dumps(document)}\n".encode()


def conflict_name(name: str) -> str:
    """As Syncthing names them."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.sync-conflict-20260101-000000-ABCDEFG{dot}{suffix}"


@dataclass(frozen=True)
class Step:
    """One change in the target folder: `put` renames a whole file into place, `write` writes in place."""

    name: str
    kind: Literal["put", "write", "delete"]
    data: bytes = b""


class Way:
    """The files that one side writes, on their way to the other side.

    Args:
        source: where they are written.
        target: where they arrive.
        carried: files and folders below both that are carried; names that begin with a dot are not.
        rng: decides.
        kinds: the mischief.
        told: called with the path of what has arrived, unless no events are given.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        carried: tuple[str, ...],
        rng: random.Random,
        kinds: frozenset[Mischief],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._source, self._target, self._carried = source, target, carried
        self._rng, self._kinds, self._told = rng, kinds, told
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._newest: dict[str, bytes] = {}
        self._there: dict[str, bytes | None] = {}
        self._pending: dict[str, int] = {}
        self._steps: list[tuple[float, int, Step]] = []
        self._count = 0

    @property
    def due(self) -> float:
        """When the next step is to be done."""
        return self._steps[0][0] if self._steps else float("inf")

    @property
    def is_done(self) -> bool:
        """Whether all that was seen has arrived."""
        return not self._steps

    def raise_up(self, relics: Mapping[str, bytes], now: float) -> None:
        """Let files of old times come back, some time or other, like any others."""
        for name, data in relics.items():
            self._deliver(name, data, now + self._rng.uniform(0, 2))

    def look(self, now: float) -> None:
        """See what has changed at the source."""
        found: dict[str, tuple[int, int, int]] = {}
        for name in self._carried:
            self._list(name, found)
        for name in sorted(found):
            if self._seen.get(name) != found[name]:
                self._changed(name, now)
        for name in sorted(self._seen.keys() - found.keys()):
            self._deleted(name, now)
        self._seen = found

    def act(self, now: float) -> None:
        """Do what is due."""
        while self._steps and self._steps[0][0] <= now:
            step = heapq.heappop(self._steps)[2]
            self._do(step)
            self._pending[step.name] -= 1
            newest = self._newest.get(step.name)
            if not self._pending[step.name] and newest is not None and self._there.get(step.name) != newest:
                self._plan(now + self._rng.uniform(0, 0.1), Step(step.name, "put", newest))

    def _list(self, name: str, found: dict[str, tuple[int, int, int]]) -> None:
        path = f"{self._source}/{name}"
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        self._list(f"{name}/{entry.name}", found)
                    else:
                        stat = entry.stat(follow_symlinks=False)
                        found[f"{name}/{entry.name}"] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except NotADirectoryError:
            stat = os.stat(path)  # noqa: PTH116 - called again and again
            found[name] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            pass

    def _changed(self, name: str, now: float) -> None:
        try:
            data = (self._source / name).read_bytes()
        except FileNotFoundError:
            return
        before = self._newest.get(name)
        self._newest[name] = data
        if data == before and Mischief.TWICE not in self._kinds:
            return
        last = self._deliver(name, data, now)
        if before is not None and self._has(Mischief.OLD, 0.3):
            self._plan(last + self._rng.uniform(0, 0.3), Step(name, "put", before))
        if self._has(Mischief.TWICE, 0.3):
            self._deliver(name, data, last)
        folder, _, plain = name.rpartition("/")
        if folder and self._has(Mischief.CONFLICTS, 0.6):
            copy = Step(f"{folder}/{conflict_name(plain)}", "put", conflicting(plain, data))
            self._plan(now + self._rng.uniform(0, DUE), copy)
        if folder and self._has(Mischief.LITTER, 0.2):
            left = self._rng.choice((f".syncthing.{plain}.tmp", f"~{plain}", f".{plain}.swp"))
            self._plan(now, Step(f"{folder}/{left}", "write", data[: self._rng.randrange(len(data) + 1)]))

    def _deleted(self, name: str, now: float) -> None:
        data = self._newest.pop(name, b"")
        gone = now + delay(self._rng, self._kinds)
        if not self._has(Mischief.UNDELETED, 0.7):
            self._plan(gone, Step(name, "delete"))
        if self._has(Mischief.RISEN, 0.5):
            last = self._deliver(name, data, gone + self._rng.uniform(0, 1))
            if self._has(Mischief.RISEN, 0.3):
                self._plan(last + self._rng.uniform(0, 2), Step(name, "delete"))

    def _deliver(self, name: str, data: bytes, now: float) -> float:
        """Plan the arrival of one version; when it is whole."""
        when = now + delay(self._rng, self._kinds)
        for part in parts(self._rng, data, self._kinds):
            self._plan(when, Step(name, "write", part))
            when += self._rng.uniform(0, 0.1)
        self._plan(when, Step(name, self._rng.choice(("put", "write")), data))
        return when

    def _has(self, kind: Mischief, chance: float) -> bool:
        return kind in self._kinds and self._rng.random() < chance

    def _plan(self, when: float, step: Step) -> None:
        self._count += 1
        self._pending[step.name] = self._pending.get(step.name, 0) + 1
        heapq.heappush(self._steps, (when, self._count, step))

    def _do(self, step: Step) -> None:
        path = f"{self._target}/{step.name}"
        folder, _, name = path.rpartition("/")
        if step.kind == "delete":
            self._there[step.name] = None
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - paths as text, for speed
            if name.endswith(".npy"):
                with suppress(OSError):  # not empty yet, or gone
                    os.rmdir(folder)  # noqa: PTH106
            return
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        place = f"{folder}/.syncthing.{name}.tmp" if step.kind == "put" else path
        fd = os.open(place, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(fd, step.data)
            os.ftruncate(fd, len(step.data))
        finally:
            os.close(fd)
        if place != path:
            os.replace(place, path)
        self._there[step.name] = step.data
        if not self._has(Mischief.DEAF, 0.7):
            self._told(path)


class Courier:
    """Both ways of one site.

    Args:
        server: the server's exchange folder.
        copy: the site's copy of it.
        site: the site.
        rng: decides.
        kinds: the mischief.
        told: see `Way`.
    """

    def __init__(
        self,
        server: Path,
        copy: Path,
        site: str,
        rng: random.Random,
        kinds: frozenset[Mischief],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        down = ("exchange.json", f"{site}/tasks")
        up = (f"{site}/results", f"{site}/status.json", f"{site}/logs")
        self.to_site = Way(server, copy, down, rng, kinds, told)
        self.to_server = Way(copy, server, up, rng, kinds, told)
        self._rng = rng
        self._next_look = 0.0

    def step(self, now: float) -> float:
        """Look where it is time to, do what is due; when to come again."""
        ways = (self.to_site, self.to_server)
        if now >= self._next_look:
            for way in ways:
                way.look(now)
            self._next_look = now + self._rng.uniform(0.03, 0.3)
        for way in ways:
            way.act(now)
        return min(self._next_look, *(way.due for way in ways))

    @property
    def is_done(self) -> bool:
        """Whether all that was seen has arrived."""
        return self.to_site.is_done and self.to_server.is_done
