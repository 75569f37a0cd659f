"""Which array on disk a person means: the global model, a site's result, or the difference of two of them.

`plan` needs the run's state and is made in the app's thread; `load` looks at the disk, in another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from fltui.console.arrays.files import Array, ArrayFile, Difference, dtype_text, shape_text
from fltui.console.natural import natural
from fltui.console.runs.view import RunView
from fltui.console.safe import safe
from fltui.errors import FltuiError, NotYetError, RefusedError
from fltui.exchange.layout import TaskId, is_site
from fltui.exchange.manifest import ArrayEntry
from fltui.model import ParamsType
from fltui.run.events import ResultAccepted

if TYPE_CHECKING:
    from fltui.run.models import ModelAbout

MODEL_LIMIT = 1 << 26
"""Bytes of the largest ``model.json`` that is read."""

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\.npy", re.ASCII)


@dataclass(frozen=True)
class Shown:
    """What a person wants to see.

    Attributes:
        kind: ``global`` is the model, ``change`` what a round made of it, ``group`` other arrays that belong to it,
            such as an optimiser's momentum, ``own`` such a group that is a site's own model, ``result`` what a site
            sent, ``update`` what a site made of the model it was sent.
        site: of a result, an update or an own model.
        group: name of the group.
    """

    kind: Literal["global", "change", "group", "own", "result", "update"] = "global"
    site: str = ""
    group: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "result":
                return self.site
            case "update":
                return f"{self.site} \N{MINUS SIGN} global"
            case "group":
                return self.group
            case "own":
                return f"model of {self.site}"
        return self.kind


GLOBAL_MODEL = Shown()


def sources_of(view: RunView, groups: Iterable[str] = ()) -> list[Shown]:
    """Everything there is to choose from, groups and sites in natural order.

    Args:
        view: the run.
        groups: names of the groups that belong to its models, as far as they are known.
    """
    sites = sorted(view.state.sites, key=natural)
    named = [group for group in sorted(groups, key=natural) if group not in view.state.sites]
    others = [Shown("group", group=group) for group in named]
    others += [Shown("own", site, site) for site in sites if site in groups]
    pairs = [(Shown("result", site), Shown("update", site)) for site in sites]
    return [GLOBAL_MODEL, Shown("change"), *others, *(source for pair in pairs for source in pair)]


class Place(Protocol):
    """Where the arrays of one model lie."""

    @property
    def words(self) -> str:
        """What it is, for sentences: ``the model after round 2``."""

    def entries(self) -> Mapping[str, ArrayEntry]:
        """Harmless parameter name to array.

        Raises:
            FltuiError: it cannot be told.
        """

    def open(self, name: str, entry: ArrayEntry) -> ArrayFile:
        """The array of a parameter.

        Raises:
            FltuiError: it cannot be read.
        """


@dataclass(frozen=True)
class ModelPlace:
    """The global model that enters round `number`, in ``models/`` of the run folder; or a group of it.

    Attributes:
        models: that folder.
        number: of the model.
        words: what it is.
        digest: of the model, as far as it is known: another model of the same number has another.
        group: name of the group; empty for the model itself.
    """

    models: Path
    number: int
    words: str
    digest: str
    group: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Where its files are, below that folder."""
        folder = f"round-{self.number:04}"
        return (folder, self.group) if self.group else (folder,)

    def entries(self) -> Mapping[str, ArrayEntry]:
        """See `Place.entries`."""
        return self.entries_of(self.about())

    def entries_of(self, about: ModelAbout) -> Mapping[str, ArrayEntry]:
        """The same, of what was read.

        Raises:
            RefusedError: there is no such group.
        """
        if self.group and self.group not in about.groups:
            raise RefusedError(f"there is no {self.group} with {self.words}")
        return {safe(entry.name): entry for entry in (about.groups[self.group] if self.group else about.arrays)}

    def about(self) -> ModelAbout:
        """What its ``model.json`` says.

        Raises:
            FltuiError: it cannot be read.
        """
        import msgspec  # with those below loaded here, NumPy among them: not with the console

        from fltui.exchange.npy import open_beneath, read_bytes
        from fltui.run.models import ModelAbout

        about = f"model.json of {self.words}"
        try:
            with open_beneath(self.models, self.parts[0], "model.json", links=None) as fd:
                return msgspec.json.decode(read_bytes(fd, MODEL_LIMIT, about), type=ModelAbout)
        except NotYetError as error:
            raise NotYetError(f"{self.words} is not in the run folder") from error
        except RefusedError as error:
            raise RefusedError(f"{self.words} cannot be read: {error}") from error
        except OSError as error:
            raise NotYetError(f"{about} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or not a model
            raise RefusedError(f"{about} cannot be read: {safe(str(error), 200)}") from error

    def open(self, name: str, entry: ArrayEntry) -> ArrayFile:
        """See `Place.open`."""
        from fltui.exchange.npy import open_beneath  # see above

        where = f"{name!r} of {self.group and f'{self.group} with '}{self.words}"
        file = _plain_file(entry, where)
        with open_beneath(self.models, *self.parts, file, links=None) as fd:
            return ArrayFile(os.dup(fd), where, str(self.models.joinpath(*self.parts, file)))


@dataclass(frozen=True)
class ResultPlace:
    """What a site sent in one round.

    Attributes:
        store: folder of private copies by digest, which are dropped after the round unless the job keeps them.
        exchange: the exchange folder, where the site's own files stay for some rounds.
        result: what was accepted.
        words: what it is.
    """

    store: Path
    exchange: Path
    result: ResultAccepted
    words: str

    def entries(self) -> Mapping[str, ArrayEntry]:
        """See `Place.entries`."""
        return {entry.name: entry for entry in self.result.arrays}

    def open(self, name: str, entry: ArrayEntry) -> ArrayFile:
        """See `Place.open`; a private copy goes before the site's own file, which the site may have changed."""
        where = f"{name!r} of {self.words}"
        if not _DIGEST.fullmatch(entry.blake3):
            raise RefusedError(f"{where} has no digest that names a file")
        try:
            return ArrayFile.open(self.store / f"{entry.blake3}.npy", where)
        except NotYetError:
            return self._of_site(entry, where)

    def _of_site(self, entry: ArrayEntry, where: str) -> ArrayFile:
        from fltui.exchange.npy import open_beneath  # see above

        result = self.result
        if not is_site(result.site) or TaskId.parse(result.task_id) is None:
            raise RefusedError(f"{self.words} has no place in the exchange folder")
        parts = (result.site, "results", result.task_id, _plain_file(entry, where))
        try:
            with open_beneath(self.exchange, *parts, links=None) as fd:
                return ArrayFile(os.dup(fd), where, str(self.exchange.joinpath(*parts)))
        except NotYetError as error:
            raise NotYetError(f"{self.words} is not kept; run with --keep-results to keep it") from error


@dataclass(frozen=True)
class Plan:
    """What is shown.

    Attributes:
        source: what a person wants to see.
        shown: what is read.
        minus: what is subtracted from it.
        base: what is subtracted only to tell how far it is away: ``‖Δ‖``.
        when: of which round it is, in words.
        signed: whether the numbers are differences.
    """

    source: Shown
    shown: Place
    when: str
    minus: Place | None = None
    base: Place | None = None
    signed: bool = False


@dataclass(frozen=True)
class Gap:
    """There is nothing to show.

    Attributes:
        source: what a person wants to see.
        why: a harmless sentence.
        when: of which round it would be, in words.
    """

    source: Shown
    why: str
    when: str = ""


def plan(view: RunView, source: Shown) -> Plan | Gap:
    """What `source` is in the round that is shown."""
    if source.kind in ("result", "update"):
        return _plan_result(view, source)
    number = view.model
    if number is None:
        return Gap(source, "no round has begun yet: there is no model to show")
    model = _model(view, number)
    if source.kind != "change":
        model = replace(model, group=source.group)
        before = replace(_model(view, number - 1), group=source.group) if number > view.state.start_round else None
        return Plan(source, model, model.words.removeprefix("the model "), base=before)
    if number - 1 not in view.state.rounds or number - 1 < view.state.start_round:
        return Gap(source, f"round {number} is not finished: it has changed nothing yet", f"in round {number}")
    return Plan(source, model, f"in round {number - 1}", minus=_model(view, number - 1), signed=True)


def _model(view: RunView, number: int) -> ModelPlace:
    saved = view.state.models.get(number)
    left = view.round is not None and number == view.round + 1
    words = f"the model after round {number - 1}" if left else f"the model entering round {number}"
    return ModelPlace(view.folder.models, number, words, saved.model if saved else "")


def _plan_result(view: RunView, source: Shown) -> Plan | Gap:
    number, found, site = view.round, view.round_state, source.site
    if number is None or found is None:
        return Gap(source, f"no round has begun yet: {site} has sent nothing")
    when = f"in round {number}"
    result = found.accepted.get(site)
    if result is None:
        return Gap(source, _why_missing(view, site), when)
    if not result.arrays:
        return Gap(source, f"the result of {site} in round {number} holds metrics alone, and no arrays", when)
    place = ResultPlace(view.folder.store, view.exchange_folder, result, f"the result of {site} in round {number}")
    sent = _model(view, number)
    words, part = f"the model entering round {number}", found.started.part
    sent = ModelPlace(sent.models, number, words, sent.digest, part)  # what the sites got in this round
    if result.params_type is ParamsType.DIFF:  # what was sent is the difference
        return Plan(source, place, f"{when}, sent as a difference", signed=True)
    if source.kind == "update":
        return Plan(source, place, when, minus=sent, signed=True)
    return Plan(source, place, when, base=sent)


def _why_missing(view: RunView, site: str) -> str:
    number, found = view.round, view.round_state
    state = view.state.sites.get(site)
    if found is None or state is None:
        return f"{site} is not a site of this run"
    if site in found.rejected:
        return f"the result of {site} in round {number} was rejected: {found.rejected[site].reason}"
    if site not in found.started.sites:
        return f"{site} was not asked in round {number}"
    if found.finished is None and number == view.newest and not view.state.status.is_finished:
        if state.state == "lost":
            return f"{site} is lost in round {number}: {state.reason}"
        return f"{site} has not answered in round {number} yet"
    return f"{site} did not answer in round {number}"


@dataclass
class Loaded:
    """What was found on disk.

    Attributes:
        plan: what was looked for.
        names: the parameters, harmless.
        parameter: the one that was opened; empty if there is none.
        array: its elements; None with a `problem`.
        base: how far it is away from what it came from, where that is on disk.
        dtype, shape: of the parameter's file, in words.
        problem: a harmless sentence if there is no array.
        groups: names of the groups that belong to the model, as far as it was looked at.
    """

    plan: Plan
    names: list[str] = field(default_factory=list)
    parameter: str = ""
    array: Array | None = None
    base: Array | None = None
    dtype: str = ""
    shape: str = ""
    problem: str = ""
    groups: list[str] = field(default_factory=list)


def load(what: Plan, parameter: str) -> Loaded:
    """Look at the disk, and open the array. Not for the app's thread: a share may be slow.

    Args:
        what: what to show.
        parameter: harmless name of the parameter; the first of the model if it has none of that name.
    """
    loaded = Loaded(what)
    try:
        if isinstance(what.shown, ModelPlace):
            about = what.shown.about()
            loaded.groups = list(about.groups)
            entries = what.shown.entries_of(about)
        else:
            entries = what.shown.entries()
        loaded.names = list(entries)
        if not entries:
            loaded.problem = f"{what.shown.words} has no parameters"
            if isinstance(what.shown, ModelPlace):
                loaded.problem = f"{what.shown.words} is empty: the sites start from their own"
                if what.shown.group:
                    loaded.problem = f"{what.shown.group} has no arrays with {what.shown.words}"
            return loaded
        loaded.parameter = parameter if parameter in entries else loaded.names[0]
        entry = entries[loaded.parameter]
        shown = _open(what.shown, loaded.parameter, entry)
        loaded.dtype, loaded.shape = dtype_text(shown.dtype), shape_text(shown.shape)
        loaded.array = shown if what.minus is None else _subtract(shown, what.minus, loaded.parameter)
    except FltuiError as error:
        loaded.problem = str(error)
        return loaded
    if what.base is not None:
        try:
            loaded.base = _subtract(shown, what.base, loaded.parameter)
        except FltuiError:
            loaded.base = None  # the first model has none before it, and old ones may be gone
    return loaded


def _subtract(shown: ArrayFile, place: Place, name: str) -> Difference:
    entries = place.entries()
    if not entries:
        raise RefusedError(f"{place.words} is empty: there is nothing to subtract")
    if name not in entries:
        raise RefusedError(f"{place.words} has no parameter {name!r}")
    return Difference(shown, _open(place, name, entries[name]))


def _open(place: Place, name: str, entry: ArrayEntry) -> ArrayFile:
    found = place.open(name, entry)
    if found.dtype != entry.dtype or list(found.shape) != entry.shape:
        raise RefusedError(
            f"{name!r} of {place.words} holds {dtype_text(found.dtype)} of shape {shape_text(found.shape)}, "
            f"expected {safe(entry.dtype, 20)} of shape {shape_text(tuple(entry.shape[:40]))}"
        )
    return found


def _plain_file(entry: ArrayEntry, where: str) -> str:
    if not _FILE.fullmatch(entry.file):
        raise RefusedError(f"{where} lies in {safe(entry.file, 80)!r}, which is no file name of an array")
    return entry.file
