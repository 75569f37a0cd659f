"""Filters at the server: opens the files, what changes them is in `fltui.aggregation.filters`.

What a filter has changed lies in the round's scratch folder, as the store has what the sites sent: until the next
filter has changed it, and what the last one has made until the round is finished.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.aggregators import Aggregator
from fltui.aggregation.filters import Change, Filter, View, asked
from fltui.aggregation.privacy import GaussianNoise
from fltui.aggregation.terms import Row, Term
from fltui.errors import BadInputError, FltuiError, RunFailedError
from fltui.exchange.layout import array_files
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader, NpyWriter
from fltui.model import ParamsType
from fltui.run.models import StoredModel, model_digest
from fltui.workflows.workflow import MOST_HELD, Answer, Federation, Request

_DIFFERENCES = "<f8"
"""Of an update that a filter has changed."""


@dataclass(frozen=True)
class FolderArrays:
    """Opens arrays by their files in one folder; `held`: see `NpyReader`."""

    folder: Path
    held: bool = True

    def open(self, entry: ArrayEntry) -> NpyReader:
        """The elements of one array."""
        return NpyReader(self.folder / entry.file, entry.dtype, entry.shape, held=self.held)


def checked(filters: object, aggregator: Aggregator, whose: str) -> tuple[Filter, ...]:
    """The filters of a workflow, if they can be there and leave what is said of privacy true.

    Args:
        filters: one after the other.
        aggregator: makes one update of the sites'.
        whose: the workflow's name, for the sentence.

    Raises:
        BadInputError: they are no filters, or one cannot be there.
    """
    if isinstance(filters, Filter):
        raise BadInputError(f"{whose}: filters is one filter, expected a list of them")
    found = tuple(filters) if isinstance(filters, list | tuple) else (filters,)
    for place, one in enumerate(found):
        if not isinstance(one, Filter):
            raise BadInputError(f"{whose}: filters has {one!r}, expected filters such as ClipNorm(1.0)")
        one.check(at_site=False)
        if not isinstance(one, GaussianNoise):
            continue
        if not aggregator.by_claims:
            raise BadInputError(
                f"{whose}: GaussianNoise hides one site in the mean of all, so it takes WeightedMean as aggregator and "
                f"not {type(aggregator).__name__}"
            )
        if place + 1 < len(found):
            raise BadInputError(
                f"{whose}: GaussianNoise comes last: {type(found[place + 1]).__name__} after it could undo its clipping"
            )
        for before in found[:place]:
            if type(before).aggregate is not Filter.aggregate:
                raise BadInputError(
                    f"{whose}: GaussianNoise hides an update in the mean of all, and {type(before).__name__} before it "
                    "changes that mean (aggregate())"
                )
    return found


def send_filtered(request: Request, filters: Sequence[Filter], federation: Federation) -> Request:
    """The request with the model as it is to be sent.

    Raises:
        RunFailedError: a filter refuses, or there is no model yet that an update could be seen against.
    """
    if filters and not request.model.entries:
        raise RunFailedError(
            f"round {request.round}: there is no model yet, so {type(filters[0]).__name__} has no update to look at; "
            "give the workflow an initial model"
        )
    made: Path | None = None
    for place, one in enumerate(filters):
        sent = request.sent or request.model
        terms = {name: (Term(_Opened.of(sent, name), 1.0), None) for name in _floats(sent.entries)}
        view = _view(request, place, federation, terms, sent.entries)
        failed = _failed(view)
        change = asked(one, "task", view, failed)
        if change is None:
            continue
        folder, entries = federation.scratch(f"sent-{place}"), {}
        for name, file in array_files(sent.entries).items():
            entry = sent.entries[name]
            with NpyWriter(folder / file, entry.dtype, entry.shape) as out:
                if name not in terms:
                    _copy(sent, name, out)
                else:
                    for start, values in view.blocks(name):
                        change(name, start, values)
                        out.write(_fitting(values, entry.dtype, name, failed))
            entries[name] = ArrayEntry(name, file, entry.dtype, entry.shape, out.size, out.digest)
        if made is not None:
            shutil.rmtree(made)
        made = folder
        request = replace(request, sent=StoredModel(folder, entries, model_digest(entries.values())))
    return request


def take_filtered(
    request: Request, answers: Sequence[Answer], filters: Sequence[Filter], federation: Federation
) -> list[Answer]:
    """The answers as they are to be aggregated.

    Where filters have changed the model on its way out, every answer becomes a difference to what its site received,
    and that is what is added to the server's own model.

    A site is rejected whose update makes a filter fail, or is none any more after it; the others stay.

    Raises:
        RunFailedError: too few are left, or the server's own disk or memory fails a filter.
    """
    held, found = len(answers) <= MOST_HELD, []
    for answer in answers:
        update = _Update(request, answer, federation, held=held)
        try:
            for place, one in enumerate(filters):
                update.pass_through(one, place)
            if request.sent is not None and update.answer.params_type is ParamsType.FULL:
                update.write("difference")
        except _UnfitError as error:
            update.remove()
            if isinstance(error.__cause__, OSError | MemoryError):
                where = f"round {request.round}, site {answer.site}"
                raise RunFailedError(f"{where}: {error}") from error.__cause__
            federation.reject(request, answer.site, str(error))
        else:
            found.append(update.answer)
    return found


class _UnfitError(FltuiError):
    """Why one site's update cannot be aggregated."""


@dataclass
class _Update:
    """What a site has sent, on its way through the filters. Of all that they make of it the last is on disk, and beside
    it the next while it is made."""

    request: Request
    answer: Answer
    federation: Federation
    held: bool
    folders: list[Path] = field(default_factory=list)

    def pass_through(self, one: Filter, place: int) -> None:
        """Let a filter have its say.

        Raises:
            _UnfitError: it fails.
        """
        floats = {name: self._term(name) for name in _floats(self.request.model.entries)}
        view = _view(self.request, place, self.federation, floats, self.request.model.entries, self.answer.site)
        if (change := asked(one, "result", view, _UnfitError)) is not None:
            self.write(f"update-{place}", change)

    def write(self, name: str, change: Change | None = None) -> None:
        """Write every array as a difference; what is not of floats is not changed.

        Raises:
            _UnfitError: a change fails, or makes what cannot be added to the server's own model.
        """
        folder, entries = self.federation.scratch(f"{name}-{self.answer.site}"), {}
        self.folders.append(folder)
        floats = set(_floats(self.request.model.entries))
        view = View({name: self._term(name) for name in self.answer.entries})
        for name, file in array_files(self.answer.entries).items():
            entry = self.request.model.entries[name]
            own = _Opened.of(self.request.model, name)
            with NpyWriter(folder / file, _DIFFERENCES, entry.shape) as out:
                for start, values in view.blocks(name):
                    if name in floats:
                        if change is not None:
                            change(name, start, values)
                        _check_sum(values, own, start, name)
                    out.write(values)
            entries[name] = ArrayEntry(name, file, _DIFFERENCES, entry.shape, out.size, out.digest)
        arrays = FolderArrays(folder, held=self.held)
        self.answer = replace(self.answer, params_type=ParamsType.DIFF, entries=entries, arrays=arrays)
        for before in self.folders[:-1]:
            shutil.rmtree(before)
        self.folders = [folder]

    def remove(self) -> None:
        """Remove all that was written."""
        for folder in self.folders:
            shutil.rmtree(folder)

    def _term(self, name: str) -> tuple[Term, _Opened | None]:
        """An array, and what its site received, which it is a difference to."""
        source = _Opened(self.answer.entries[name], partial(self.answer.open, name))
        if self.answer.params_type is ParamsType.DIFF:
            return Term(source, 1.0, is_difference=True), None
        return Term(source, 1.0), _Opened.of(self.request.sent or self.request.model, name)


class _Opened:
    """A `Source` whose file is open only while it is read: a view shows all parameters, and a process may have so many
    files open and no more."""

    def __init__(self, entry: ArrayEntry, opens: Callable[[], NpyReader]) -> None:
        self.dtype: np.dtype[Any] = np.dtype(entry.dtype)
        self.size = math.prod(entry.shape)
        self._opens = opens

    @classmethod
    def of(cls, model: StoredModel, name: str) -> _Opened:
        """A parameter of a model."""
        return cls(model.entries[name], partial(model.open, name))

    def read(self, start: int, out: NDArray[Any]) -> None:
        """See `Source.read`."""
        with self._opens() as source:
            source.read(start, out)


def aggregate_change(
    request: Request, answers: Sequence[Answer], filters: Sequence[Filter], federation: Federation
) -> Change | None:
    """What the filters do to the update that all answers make together; None for nothing.

    Raises:
        RunFailedError: a filter refuses.
    """
    changes = []
    for place, one in enumerate(filters):
        view = _view(request, place, federation, {}, {}, weights={answer.site: answer.weight for answer in answers})
        if change := asked(one, "aggregate", view, _failed(view)):
            changes.append(change)
    if not changes:
        return None

    def all_changes(name: str, start: int, values: Row) -> None:
        for change in changes:
            change(name, start, values)

    return all_changes


def _view(
    request: Request,
    place: int,
    federation: Federation,
    terms: Mapping[str, tuple[Term, Any]],
    entries: Mapping[str, ArrayEntry],
    site: str = "",
    weights: Mapping[str, float] | None = None,
) -> View:
    others = tuple(name for name in entries if name not in terms)
    draws = (federation.secret, request.round, place, int.from_bytes(site.encode(), "big"))
    return View(terms, others, request.round, site, entropy=draws, weights=weights or {})


def _failed(view: View) -> Callable[[str], RunFailedError]:
    """Says where a filter failed."""
    whose = f", site {view.site}" if view.site else ""
    return lambda told: RunFailedError(f"round {view.round}{whose}: {told}")


def _floats(entries: Mapping[str, ArrayEntry]) -> list[str]:
    return [name for name in sorted(entries) if np.dtype(entries[name].dtype).kind == "f"]


def _fitting(values: Row, dtype: str, name: str, failed: Callable[[str], FltuiError]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        found = values.astype(dtype)
    if not np.isfinite(found).all():
        raise failed(f"a filter made parameter {name!r} NaN, infinite or larger than {found.dtype} holds")
    return found


def _check_sum(values: Row, own: _Opened, start: int, name: str) -> None:
    """Make sure that the server's own elements can take what is to be added to them.

    Raises:
        _UnfitError: they cannot.
    """
    info = np.finfo(own.dtype)
    # Less than half of the last digit of the greatest number: that brings no number above it, so it need not be read.
    if max(values.max(initial=0), -values.min(initial=0)) < 2.0 ** (info.maxexp - info.nmant - 2):
        return
    old = np.empty(values.size, own.dtype)
    own.read(start, old)
    with np.errstate(over="ignore", invalid="ignore"):
        _fitting(old + values, own.dtype.str, name, _UnfitError)


def _copy(model: StoredModel, name: str, out: NpyWriter) -> None:
    with model.open(name) as source:
        for start in range(0, source.size, 1 << 16):
            block = np.empty(min(1 << 16, source.size - start), source.dtype)
            source.read(start, block)
            out.write(block)
