"""The small files of a queue. Whoever may write in the folder wrote them, so reading is strict and within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.layout import check_name, check_run_id, check_site
from fltui.exchange.manifest import LAST_STEP, MALFORMED, RunOutcome, encode
from fltui.exchange.plain import NotPlainError, read_plain
from fltui.run.control import Reason

LARGEST = 1 << 18
"""Bytes of the largest document; that of thousands of sites has room."""

MOST_WAIT = 30 * 86400.0
"""Seconds of the longest wait for sites that may be asked for."""

Text = Annotated[str, msgspec.Meta(max_length=200)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=LAST_STEP)]


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person may choose for a job, beside the job.

    Attributes:
        sites: names of sites that are to take part; with those of `groups`. Empty for those that the job names.
        groups: names of groups of sites, as ``groups.json`` has them when the job starts.
        count: how many sites to wait for, whoever they are; not with names.
        rounds: instead of the job's.
        wait: seconds to wait for sites; None for the server's own.
        seed: see `RunOptions.seed`.
        keep_results: see `RunOptions.keep_results`.
        keep_models: see `RunOptions.keep_models`.
    """

    sites: list[str] = []
    groups: list[str] = []
    count: Positive | None = None
    rounds: Positive | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=MOST_WAIT)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=LAST_STEP)] = 0
    keep_results: bool = False
    keep_models: Positive | None = None

    def __post_init__(self) -> None:
        for site in self.sites:
            check_site(site)
        for group in self.groups:
            check_name(group, "group")
        if self.count is not None and (self.sites or self.groups):
            raise BadInputError("a job is for a number of sites or for named ones, not for both")

    @property
    def sites_text(self) -> str:
        """For whom, in words; empty where the job says it."""
        if self.count is not None:
            return f"any {self.count}"
        return ", ".join([*self.groups, *self.sites])


class EntryAbout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``entry.json``: written once, when the job was submitted.

    Attributes:
        order: its place: what has a lower one starts before it; of equal ones the one whose id comes first.
        job: the job's name.
        wishes: see `Wishes`.
        submitted: when, in UTC, by the clock of whoever submitted it: for people.
        by: who, and where.
        clone_of: the entry that it repeats.
    """

    order: Annotated[int, msgspec.Meta(ge=0, le=LAST_STEP)]
    job: str
    wishes: Wishes = Wishes()
    submitted: Text = ""
    by: Text = ""
    clone_of: Text = ""

    def __post_init__(self) -> None:
        check_name(self.job, "job")


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``claim.json``: the run that the server chose for an entry, written before anything of it is started.

    It tells people where the run is. Whoever may write in the queue may have written it, so the server itself goes to
    no other folder than its own.

    Attributes:
        run: its id.
        runs: the folder of run folders, its whole path.
        sites: who may take part; None for whoever comes.
    """

    run: str
    runs: str
    sites: list[str] | None = None

    def __post_init__(self) -> None:
        check_run_id(self.run)
        if "\0" in self.runs or not Path(self.runs).is_absolute():
            raise BadInputError(f"folder of runs {self.runs[:80]!r} cannot be used: expected a whole path")
        for site in self.sites or []:
            check_site(site)

    @property
    def root(self) -> Path:
        """The run folder."""
        return Path(self.runs) / self.run


class EntryEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``end.json``: the entry is over and is not looked at again.

    Attributes:
        state: how its run ended, or what came of it where there was no run.
        reason: why, where there is something to say.
    """

    state: RunOutcome
    reason: str = ""


class AbortRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``abort.json``: a person wants the entry to end."""

    reason: Reason = "asked for"


_T = TypeVar("_T", bound=msgspec.Struct)


def check_document(document: msgspec.Struct) -> None:
    """Make sure that what is to be written can be read again.

    Raises:
        BadInputError: it cannot: a value is out of bounds, or all of it is too large.
    """
    kind = type(document).__name__
    try:
        data = encode(document)
        msgspec.json.decode(data, type=type(document))
    except (*MALFORMED, OverflowError) as error:
        raise BadInputError(f"{kind} cannot be written: {error}") from error
    if len(data) > LARGEST:
        raise BadInputError(f"{kind} cannot be written: it takes {len(data)} bytes, and {LARGEST} are the most")


def read_document(path: Path, kind: type[_T], most: int = LARGEST) -> _T:
    """Read one of them.

    Args:
        path: the file.
        kind: what it has to be.
        most: bytes that it may have.

    Raises:
        FileNotFoundError: it is not there.
        BadInputError: it cannot be read or is not what it has to be; the sentence names the file.
    """
    try:
        return msgspec.json.decode(read_plain(path, most), type=kind)
    except FileNotFoundError:
        raise
    except NotPlainError as error:
        raise BadInputError(f"{path} is not a plain file") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error
    except MALFORMED as error:
        raise BadInputError(f"{path} is malformed: {error}") from error
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from error
