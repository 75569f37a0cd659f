"""Names and places in the exchange folder. Every path is derived here by rule, never taken from a manifest."""

from __future__ import annotations

import os
import re
import secrets
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from fltui.errors import BadInputError

PROTOCOL = 1

Side = Literal["server", "site"]
"""Who writes."""

SERVER: Final = "server"
"""The server's side; no site has this name."""

ABOUT = "exchange.json"
"""The file that makes a folder an exchange."""

HIDDEN = ".syncthing.fltui."
"""How the names begin of what is on its way: no server or site reads them, and Syncthing leaves them alone."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_TASK_ID = re.compile(
    r"(?P<run>[A-Za-z0-9][A-Za-z0-9._-]{0,99})\.r(?P<round>\d{4,9})\.(?P<name>[a-z][a-z0-9_]{0,31})\.a(?P<attempt>\d{2,6})",
    re.ASCII,
)
_RUN_STAMP = re.compile(r"-(\d{8}T\d{6}Z)-[0-9a-f]+\Z", re.ASCII)
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_SLUG_LENGTH = 100


def check_name(name: str, what: str) -> str:
    """Return `name` if it can be a file name on every system.

    Args:
        name: what to check.
        what: what it names, for the sentence: ``"site"`` or ``"job"``.

    Raises:
        BadInputError: it cannot; the sentence says which names can.
    """
    if not _NAME.fullmatch(name) or name.endswith(".") or name.split(".")[0].lower() in _RESERVED:
        raise BadInputError(
            f"{what} name {name[:80]!r} cannot be used: a name has 1 to 64 letters, digits, '.', '_' or '-', "
            "begins with a letter or digit, does not end with '.' and is not reserved on Windows"
        )
    return name


def check_site(name: str) -> str:
    """`check_name` for a site; ``server`` is not one.

    Raises:
        BadInputError: see `check_name`.
    """
    if name.lower() == SERVER:
        raise BadInputError(f"site name {SERVER!r} cannot be used: it means the server")
    return check_name(name, "site")


def is_site(name: str) -> bool:
    """Whether `name` passes `check_site`."""
    try:
        check_site(name)
    except BadInputError:
        return False
    return True


def new_run_id(job_name: str) -> str:
    """A name that is never used again: job name, UTC time, random."""
    return f"{job_name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"


def run_stamp(run: str) -> str:
    """The UTC time inside a run id as sortable text, empty for a foreign id. For display and tie-breaks only."""
    found = _RUN_STAMP.search(run)
    return found[1] if found else ""


def job_of(run: str) -> str | None:
    """The name of the job inside a run id; None for a foreign id."""
    found = _RUN_STAMP.search(run)
    return run[: found.start()] if found and _NAME.fullmatch(run[: found.start()]) else None


LONGEST_RUN = 100
"""Characters of the longest run id."""


def check_run_id(run: str) -> str:
    """Return `run` if it is an id such as `new_run_id` gives.

    Raises:
        BadInputError: it is none.
    """
    if job_of(run) is None or len(run) > LONGEST_RUN:
        raise BadInputError(f"run id {run[:120]!r} cannot be used: expected a job's name, a UTC time and a random part")
    return run


END = "end"
"""The name in the id of the manifest that ends a run; no task has it."""


class TaskId(msgspec.Struct, frozen=True, order=True, dict=True):
    """Which task: run, round, name and attempt. Its text is the task's file name.

    The end of a run has an id, too: that of the newest task it ends, with the name ``end``. A task that is newer than
    the end revives the run, so that no deletion has to reach a site.
    """

    run: str
    round: int
    name: str
    attempt: int = 1

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"{self.run}.r{self.round:04}.{self.name}.a{self.attempt:02}"

    @staticmethod
    @lru_cache(4096)  # the same names are met at every look
    def parse(text: str) -> TaskId | None:
        """Read a task id, or None for any other text."""
        found = _TASK_ID.fullmatch(text)
        if not found:
            return None
        task = TaskId(found["run"], int(found["round"]), found["name"], int(found["attempt"]))
        return task if str(task) == text else None

    @cached_property
    def is_end(self) -> bool:
        """Whether this is the end of a run."""
        return self.name == END

    @cached_property
    def age(self) -> tuple[int, int]:
        """Round and attempt: greater is newer, within one run."""
        return self.round, self.attempt

    def end(self) -> TaskId:
        """The id of the manifest that ends the run at this task."""
        return TaskId(self.run, self.round, END, self.attempt)


def running(ids: Iterable[TaskId]) -> dict[str, tuple[int, int]]:
    """The runs among `ids` that have not ended, each with the age of its newest task."""
    newest: dict[str, tuple[int, int]] = {}
    ends: dict[str, tuple[int, int]] = {}
    for one in ids:
        known = ends if one.is_end else newest
        known[one.run] = max(known.get(one.run, one.age), one.age)
    return {run: age for run, age in newest.items() if run not in ends or ends[run] < age}


def array_files(names: Iterable[str]) -> dict[str, str]:
    """File name of each parameter: a slug of its name, numbered where slugs collide.

    Names are taken in sorted order, so the rule gives the same answer at the server and at every site. Slugs that
    differ only in case collide, since some file systems do not tell them apart.
    """
    files: dict[str, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for name in sorted(names):
        plain = unicodedata.normalize("NFKD", name)
        slug = re.sub(r"[^A-Za-z0-9._-]+", "_", plain)[:_SLUG_LENGTH].lstrip(".-") or "_"
        if slug.split(".")[0].lower() in _RESERVED:
            slug = f"_{slug}"
        candidate, number = slug, numbers.get(slug.lower(), 1)
        while candidate.lower() in taken:
            number += 1
            candidate = f"{slug}-{number}"
        numbers[slug.lower()] = number
        taken.add(candidate.lower())
        files[name] = f"{candidate}.npy"
    return files


@dataclass(frozen=True)
class SiteFolder:
    """The folder of one site. The server writes ``tasks/``, the site everything else."""

    root: Path
    name: str

    @cached_property
    def tasks(self) -> Path:
        """Task manifests and a folder of arrays per task; written by the server."""
        return self.root / "tasks"

    @cached_property
    def results(self) -> Path:
        """Result manifests and a folder of arrays per result; written by the site."""
        return self.root / "results"

    @cached_property
    def status(self) -> Path:
        """What the site says it is doing; written by the site."""
        return self.root / "status.json"

    @cached_property
    def logs(self) -> Path:
        """What the site's script printed, a file per run; written by the site."""
        return self.root / "logs"

    def log(self, run: str) -> Path:
        """The script's output in one run."""
        return self.logs / f"{run}.log"

    def metrics(self, run: str) -> Path:
        """The values the script logged in one run, a JSON object a line."""
        return self.logs / f"{run}.metrics.jsonl"

    def staging(self, side: Side) -> Path:
        """Temporary files of one side, ``"server"`` or ``"site"``: same file system, never watched, never synced."""
        return self._servers if side == SERVER else self._own

    @cached_property
    def _servers(self) -> Path:
        return self.root / f"{HIDDEN}{SERVER}"

    @cached_property
    def _own(self) -> Path:
        return self.root / f"{HIDDEN}site"

    def task(self, task_id: TaskId) -> Path:
        """The manifest of a task, or of the end of a run."""
        return self.tasks / f"{task_id}.json"

    def result(self, task_id: TaskId) -> Path:
        """The manifest of the answer to a task."""
        return self.results / f"{task_id}.json"

    def published(self) -> list[TaskId]:
        """All tasks and ends that are there.

        Raises:
            OSError: the folder cannot be listed.
        """
        names = (name[:-5] for name in os.listdir(self.tasks) if name.endswith(".json"))  # noqa: PTH208 - faster
        return [found for name in names if (found := TaskId.parse(name))]


@dataclass(frozen=True)
class ExchangeFolder:
    """The folder that the server and the sites share."""

    root: Path

    @cached_property
    def about(self) -> Path:
        """Protocol version and identity; written by the server that comes first."""
        return self.root / ABOUT

    def site(self, name: str) -> SiteFolder:
        """The folder of the site `name`.

        Raises:
            BadInputError: the name could leave the exchange folder or is not portable.
        """
        found = self._sites.get(name)
        if found is None:
            found = self._sites[name] = SiteFolder(self.root / check_site(name), name)
        return found

    @cached_property
    def _sites(self) -> dict[str, SiteFolder]:
        """Those that were asked for: their paths are made once."""
        return {}

    def sites(self) -> list[SiteFolder]:
        """Every folder that a site has announced itself in, by name."""
        return [
            SiteFolder(entry, entry.name)
            for entry in sorted(self.root.iterdir())
            if is_site(entry.name) and os.path.isfile(entry / "status.json")  # noqa: PTH113 - raises for no folder
        ]
