"""A site that attacks, beside one that does not: what it may write, and what a crime is."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import blake3
import msgspec
import numpy as np
from numpy.typing import NDArray

from fltui.exchange import npy
from fltui.exchange.collect import read_params, read_task
from fltui.exchange.layout import PROTOCOL, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.manifest import ArrayEntry, Result, SiteActivity, Status, Task
from fltui.exchange.publish import open_site, put_arrays, put_bytes, put_document
from fltui.model import ParamsType

HONEST, HOSTILE = "honest", "hostile"
NAME = "numpy_key"
"""The model's one parameter, a 3x3 of ``<f4``."""

FILE = f"{NAME}.npy"

_REJOINING = 0.6
"""Seconds in which a server sees that a site it has lost is back."""


@dataclass
class Scene:
    """A task of the hostile site, and the means to answer it.

    Attributes:
        site: its folder.
        task: what was asked.
        in_reply_to: digest of the task's manifest.
        other: the folder of the honest site.
        outside: a folder of the attacker's own, on the same disk.
        before: the hostile site's last answer to an earlier task; None if there was none.
    """

    site: SiteFolder
    task: Task
    in_reply_to: str
    other: SiteFolder
    outside: Path
    before: Result | None = None

    @property
    def manifest(self) -> Path:
        """The manifest of the answer."""
        return self.site.results / f"{self.task.task_id}.json"

    @property
    def array(self) -> Path:
        """The array of the answer."""
        return self.site.results / self.task.task_id / FILE

    def good(self) -> NDArray[Any]:
        """The right answer: the model and 1."""
        return read_params(self.site, self.task)[NAME] + np.float32(1)

    def send(self, array: Any = None, **changes: Any) -> Result:
        """Answer, with some fields of the manifest changed."""
        entries = self.put(array)
        self.announce(entries, **changes)
        return self.result(entries)

    def put(self, array: Any = None) -> list[ArrayEntry]:
        """Write an array and not yet its manifest: a server looks whenever it likes."""
        params = {NAME: self.good() if array is None else np.asarray(array)}
        return put_arrays(params, self.array.parent, self.site.staging("site"))

    def announce(self, entries: list[Any], **changes: Any) -> None:
        """Publish a manifest alone, of anything that JSON can say."""
        put_bytes(self.text(entries, **changes), self.manifest, self.site.staging("site"))

    def text(self, entries: list[Any], **changes: Any) -> bytes:
        """What a manifest holds."""
        fields = {**msgspec.to_builtins(self.result([])), "arrays": msgspec.to_builtins(entries), **changes}
        return json.dumps(fields, indent=1).encode() + b"\n"

    def result(self, entries: list[ArrayEntry]) -> Result:
        """The right manifest for some arrays."""
        task = self.task
        return Result(
            PROTOCOL, task.run, task.task_id, self.in_reply_to, self.site.name, task.round, ParamsType.FULL, entries
        )

    def claim(self, **claims: Any) -> None:
        """A whole answer whose manifest claims something else of the array."""
        (entry,) = self.put()
        self.announce([{**msgspec.to_builtins(entry), **claims}])

    def file(self, data: bytes) -> None:
        """An array of any bytes, with its true digest."""
        (entry,) = self.put()
        put_bytes(data, self.array, self.site.staging("site"))
        digest = blake3.blake3(data).hexdigest()
        self.announce([msgspec.structs.replace(entry, blake3=digest)])

    def edit(self, *changes: tuple[bytes, bytes], **fields: Any) -> None:
        """A whole answer whose manifest is changed as text."""
        data = self.text(self.put(), **fields)
        for old, new in changes:
            assert old in data, old
            data = data.replace(old, new)
        put_bytes(data, self.manifest, self.site.staging("site"))

    def replace(self, path: Path, make: Callable[[Path], object]) -> None:
        """Put something else in the place of a file or folder of a good answer."""
        entries = self.put()
        remove(path)
        make(path)
        if path != self.manifest:
            self.announce(entries)


Later = Callable[[], object]


@dataclass(frozen=True)
class Crime:
    """What a hostile site does.

    Attributes:
        name: of the test.
        commit: does it; what it returns is done once the server has looked.
        reason: expression for the reason that the server gives; empty if it takes the result, and rightly.
        told: how the sentence begins that gives it.
        mutes: its status is a part of it.
        inside: it needs to be in one process with the server.
        unmet: why it cannot be tried here.
    """

    name: str
    commit: Callable[[Scene], Later | None]
    reason: str
    told: str = "result"
    mutes: bool = False
    inside: bool = False
    unmet: str = ""

    def line(self, run: str, number: int) -> str:
        """Expression for the one line that must tell site, task, file and reason of what was done in a round."""
        number += self.told == "lost"  # when the next task is to be published
        task = f"{run}.r{number:04}.train.a01"
        if self.told == "lost":
            return rf"site {HOSTILE} is lost: task {task} cannot be published: {self.reason} \(\S*/{HOSTILE}\S*\)"
        return rf"round {number}: result of {HOSTILE} rejected: results/{task}(\.json|/{FILE})\W.*{self.reason}"


def remove(path: Path) -> None:
    """Whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def exchange_for_link(path: Path, target: Path) -> None:
    """Put a link in place of a folder, which is kept beside it; see `restore`."""
    path.rename(path.with_name(f"real-{path.name}"))
    path.symlink_to(target, target_is_directory=True)


def restore(site: SiteFolder) -> None:
    """Put everything in a site's folder back in order."""
    for part in (site.root, site.tasks, site.staging("server"), site.results):
        if part.is_symlink():
            part.unlink()
            part.with_name(f"real-{part.name}").rename(part)
    remove(site.status)
    remove(site.logs)
    if not site.results.is_dir():
        remove(site.results)
    else:
        for part in site.results.iterdir():
            remove(part)
    open_site(site, "site")


@contextmanager
def while_read(path: Path, act: Callable[[], object]) -> Iterator[None]:
    """Do something once, when a part of a file was read and a part was not."""
    fill, done = npy._fill, False

    def fill_and_act(fd: int, out: memoryview, where: str) -> memoryview:
        nonlocal done
        got = fill(fd, out, where)
        if not done and path.exists() and os.fstat(fd).st_ino == path.stat().st_ino:
            done = True
            act()
        return got

    with patch.object(npy, "_fill", fill_and_act):
        yield


def plan_of(crimes: Iterable[Crime]) -> list[Crime | None]:
    """Rounds for some crimes: one for each, with good answers around all of them, and after one that needs an answer
    that counts or spoils the next: a server may look before the site has put its folder in order."""
    plan: list[Crime | None] = [None]
    for crime in crimes:
        plan += [crime, None] if crime.mutes else [crime]
    return [*plan, None]


@dataclass
class Pair:
    """The two sites of a run: every look does what is due in their folders.

    Attributes:
        exchange: where.
        outside: a folder of the attacker's own.
        plan: what the hostile site does in each round, see `plan_of`; None for good answers.
    """

    exchange: ExchangeFolder
    outside: Path
    plan: Sequence[Crime | None]
    _counter: int = 0
    _muted: bool = False
    _seen: dict[str, set[TaskId]] = field(default_factory=lambda: {HONEST: set(), HOSTILE: set()})
    _due: list[tuple[float, Later]] = field(default_factory=list)
    _before: Result | None = None

    def look(self) -> None:
        """Answer what was asked; the honest site one look after the hostile one."""
        now = time.monotonic()
        due, self._due = [each for each in self._due if each[0] <= now], [each for each in self._due if each[0] > now]
        for _, later in due:
            later()
        self.say(HONEST, "waiting")
        if not self._muted:
            self.say(HOSTILE, "waiting")
        for task_id in self._new_tasks(HOSTILE):
            self._act(task_id)
        for task_id in self._new_tasks(HONEST):
            if task_id in self._seen[HOSTILE] or self._is_lost_in(task_id):
                self._answer_later(task_id)
            else:
                self._seen[HONEST].remove(task_id)  # the hostile site is first

    def say(self, name: str, state: SiteActivity, reason: str = "") -> None:
        """Write a site's status."""
        site = self.exchange.site(name)
        open_site(site, "site")
        self._counter += 1
        status = Status(PROTOCOL, name, state, self._counter, "s", reason=reason)
        put_document(status, site.status, site.staging("site"))

    def _new_tasks(self, name: str) -> list[TaskId]:
        site, seen = self.exchange.site(name), self._seen[name]
        if not site.tasks.is_dir() or site.tasks.is_symlink() or site.root.is_symlink():
            return []
        found = [task_id for task_id in site.published() if not task_id.is_end and task_id not in seen]
        seen.update(found)
        return found

    def _is_lost_in(self, task_id: TaskId) -> bool:
        before = self.plan[task_id.round - 1] if task_id.round else None
        return before is not None and before.told == "lost"

    def _answer_later(self, task_id: TaskId) -> None:
        now = time.monotonic()
        if self._is_lost_in(task_id):
            self._due.append((now, self._restore))
            now += _REJOINING
        self._due.append((now, lambda: self._scene(HONEST, task_id).send()))

    def _restore(self) -> None:
        restore(self.exchange.site(HOSTILE))
        self._muted = False

    def _scene(self, name: str, task_id: TaskId) -> Scene:
        site = self.exchange.site(name)
        task, digest = read_task(site, task_id)
        return Scene(site, task, digest, self.exchange.site(HONEST), self.outside, self._before)

    def _act(self, task_id: TaskId) -> None:
        crime = self.plan[task_id.round]
        self._restore()
        self.say(HOSTILE, "waiting")
        scene = self._scene(HOSTILE, task_id)
        if crime is None:
            self._before = scene.send()
            return
        self._muted = crime.mutes
        if later := crime.commit(scene):
            self._due.append((0.0, later))
