"""What a site has answered: the files in its ``results/``, until their tasks are gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection

from fltui.exchange.held import Folder, is_there
from fltui.exchange.layout import SiteFolder, TaskId
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.publish import put_arrays, put_bytes, remove_published, spare_of, spare_published
from fltui.model import Params


class Results:
    """The results of one site in one run.

    Args:
        site: the site.
        durable: they survive a power cut.
        carried: a sync engine carries them. Then no file or folder is used again: it would carry one that is half
            written over, and the old content once more under its new name.
    """

    def __init__(self, site: SiteFolder, *, durable: bool, carried: bool = False) -> None:
        self._site = site
        self._durable = durable
        self._afresh = durable or carried
        self._known: dict[TaskId, bool] = {}
        """Whose files may be there, and whether this process has answered it: else its manifest tells."""
        self._spare = ""
        """Name of a folder of arrays that the next result is written over."""

    def begin(self, run: str) -> None:
        """Take charge of what processes before this one left of a run, whole or not: it goes with its tasks, too.

        Raises:
            OSError: a folder cannot be listed.
        """
        names = os.listdir(self._site.results)  # noqa: PTH208 - faster
        there = self._site.published()
        for task_id in {TaskId.parse(name.removesuffix(".json")) for name in names}:
            if task_id is None or task_id.run != run:
                continue
            if f"{task_id}.json" in names or task_id in there:
                self._known[task_id] = False
            else:  # arrays that were to be written over
                remove_published(self._site.results, str(task_id))

    def put_arrays(self, task_id: TaskId, params: Params) -> list[ArrayEntry]:
        """Write the arrays of an answer; it is none before its manifest is there.

        Raises:
            OSError: they cannot be written; to try again is harmless.
        """
        folder = self._site.results / str(task_id)
        staging = self._site.staging("site")
        entries = put_arrays(params, folder, staging, durable=self._durable, spare=self._spare)
        self._spare = ""
        return entries

    def put_manifest(self, task_id: TaskId, manifest: bytes) -> None:
        """Answer a task.

        Raises:
            OSError: it cannot be written; to try again is harmless.
        """
        over, staging = "" if self._afresh else spare_of(task_id.run), self._site.staging("site")
        put_bytes(manifest, self._site.result(task_id), staging, durable=self._durable, over=over)

    def answered(self, task_id: TaskId) -> None:
        """A task is answered, as far as this site is concerned."""
        self._known[task_id] = True

    def has(self, task_id: TaskId) -> bool:
        """Whether a task is answered, by this process or one before it.

        Raises:
            OSError: the share does not tell.
        """
        return self._known.get(task_id, False) or is_there(f"{self._site.results}/{task_id}.json")

    def retire(self, there: Collection[TaskId], *, keep_newest: bool) -> None:
        """Take back the answers whose tasks the server has taken back.

        Args:
            there: the tasks that it has not.
            keep_newest: the newest stays in any case, for people to look at.
        """
        gone = set(self._known).difference(there)
        if not gone:
            return
        if keep_newest:
            gone.discard(max(self._known))
        with contextlib.suppress(OSError):  # the share is away: another time
            for task_id in sorted(gone):
                if self._spare or self._afresh:
                    remove_published(self._site.results, str(task_id))
                else:
                    spare_published(self._site.results, task_id, self._site.staging("site"))
                    self._spare = self._named_ahead(task_id)
                del self._known[task_id]

    def _named_ahead(self, task_id: TaskId) -> str:
        """Give the folder of an answer that was taken back the name that the next one is likely to have.

        When that is written, the server waits for it, and a new folder would wake it too soon.
        """
        coming = TaskId(task_id.run, max(self._known).round + 1, task_id.name)
        return str(coming if Folder(self._site.results).reuse(str(task_id), str(coming)) else task_id)

    def close(self, run: str) -> None:
        """Take back what can be, and leave nothing to be written over.

        Raises:
            OSError: the share is away.
        """
        self.retire(self._site.published(), keep_newest=True)
        if self._spare:
            remove_published(self._site.results, self._spare)
            self._spare = ""
        spare = self._site.staging("site") / spare_of(run)
        if spare.exists():
            spare.unlink()
