"""Leaves out of a site's tasks what its server has not signed.

Where that is demanded, a task or an end without the server's signature is passed over. Where it is not, only a task
with a wrong signature is; one without any is answered, and every end ends the run.
"""

from __future__ import annotations

import os
import sys

from fltui.errors import ExchangeError, NotYetError, RefusedError, SignatureError
from fltui.exchange.collect import read_task
from fltui.exchange.layout import SERVER, SiteFolder, TaskId
from fltui.exchange.manifest import MANIFEST_LIMIT, End, Task, decode
from fltui.exchange.npy import open_beneath, read_bytes
from fltui.exchange.signing import Identity
from fltui.exchange.visible import visible


class Vetting:
    """What a site makes of the manifests in ``tasks/``.

    Args:
        site: the site.
        identity: knows the server's key.
    """

    def __init__(self, site: SiteFolder, identity: Identity) -> None:
        self._site = site
        self._identity = identity
        self._refused: dict[TaskId, object] = {}
        self._told: set[TaskId] = set()
        self._right: set[TaskId] = set()

    def published(self, run: str) -> list[TaskId]:
        """The tasks and ends that are there, without those that were refused and have not changed since.

        Where signatures are demanded, an end of `run`, or of any run if that is empty, is among them once its signature
        is seen to be right.

        Raises:
            OSError: the folder cannot be listed.
        """
        found = self._site.published()
        if self._refused:
            found = [one for one in found if one not in self._refused or self._looks(one) != self._refused[one]]
        if self._identity.demanded:
            found = [one for one in found if not one.is_end or run not in ("", one.run) or self._is_right(one)]
        return found

    def task(self, task_id: TaskId) -> tuple[Task, str] | None:
        """See `collect.read_task`; None for a task that is refused for its signature, which is told once.

        Raises:
            NotYetError: see `collect.read_task`.
            RefusedError: it breaks the protocol, and no signatures are demanded. Where they are, it may be anybody's.
        """
        looks = self._looks(task_id)  # before it is read: what changes meanwhile is looked at again
        try:
            return read_task(self._site, task_id, self._identity)
        except RefusedError as error:
            if not self._identity.demanded and not isinstance(error, SignatureError):
                raise
            self._refuse(task_id, looks, error)
            return None

    def pass_over(self, task_id: TaskId, error: NotYetError) -> None:
        """Tell once of a task that is not whole, unless it was taken back meanwhile."""
        if self._looks(task_id) is not None:
            self._tell(task_id, error)

    def end(self, task_id: TaskId) -> End | None:
        """The end of a run; None where it cannot be read: its name alone ends the run."""
        try:
            return self._read_end(task_id)
        except ExchangeError:
            return None

    def _is_right(self, task_id: TaskId) -> bool:
        """Whether an end is signed by the server, for this site and at this task."""
        if task_id in self._right:
            return True
        looks = self._looks(task_id)
        try:
            self._read_end(task_id)
        except NotYetError:
            return False
        except RefusedError as error:
            self._refuse(task_id, looks, error)
            return False
        self._right.add(task_id)
        return True

    def _read_end(self, task_id: TaskId) -> End:
        where = f"tasks/{task_id}.json"
        with open_beneath(self._site.root, "tasks", f"{task_id}.json") as fd:
            data = read_bytes(fd, MANIFEST_LIMIT, where)
        end = decode(data, End, where)
        if self._identity.demanded:
            self._identity.check(SERVER, end, data, where)
            if (end.run, end.site, end.task_id) != (task_id.run, self._site.name, str(task_id)):
                raise SignatureError(f"{where} holds the end {end.task_id[:200]!r} of site {end.site[:80]!r}")
        return end

    def _refuse(self, task_id: TaskId, looks: object, error: RefusedError) -> None:
        self._refused[task_id] = looks
        self._tell(task_id, error)

    def _tell(self, task_id: TaskId, error: ExchangeError) -> None:
        if task_id not in self._told:
            self._told.add(task_id)
            print(visible(f"site {self._site.name} goes on waiting: {error}"), file=sys.stderr)

    def _looks(self, task_id: TaskId) -> object:
        """What a change of a manifest on disk would change."""
        try:
            found = os.lstat(f"{self._site.tasks}/{task_id}.json")
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
