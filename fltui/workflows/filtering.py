"""Filters at the server: opens the files, what changes them is in `fltui.aggregation.filters`.

What a filter has changed lies in the round's scratch folder, as the store has what the sites sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.aggregators import Aggregator
from fltui.aggregation.filters import Change, Filter, View, asked
from fltui.aggregation.privacy import GaussianNoise
from fltui.aggregation.terms import Row, Term
from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.layout import array_files
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader, NpyWriter
from fltui.model import ParamsType
from fltui.run.models import StoredModel, model_digest
from fltui.workflows.workflow import Answer, Federation, Request

_DIFFERENCES = "<f8"
"""Of an update that a filter has changed."""


@dataclass(frozen=True)
class FolderArrays:
    """Opens arrays by their files in one folder."""

    folder: Path

    def open(self, entry: ArrayEntry) -> NpyReader:
        """The elements of one array."""
        return NpyReader(self.folder / entry.file, entry.dtype, entry.shape)


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
    for place, one in enumerate(filters):
        sent = request.sent or request.model
        with ExitStack() as files:
            terms = {name: (Term(files.enter_context(sent.open(name)), 1.0), None) for name in _floats(sent.entries)}
            view = _view(request, place, federation, terms, sent.entries)
            change = asked(one, "task", view, _failed(view))
            if change is not None:
                folder = federation.scratch(f"sent-{place}")
                entries = _written(view, change, sent, folder, {name: e.dtype for name, e in sent.entries.items()})
                stored = StoredModel(folder, entries, model_digest(entries.values()))
                request = replace(request, sent=stored)
    return request


def take_filtered(
    request: Request, answers: Sequence[Answer], filters: Sequence[Filter], federation: Federation
) -> list[Answer]:
    """The answers as they are to be aggregated.

    Raises:
        RunFailedError: a filter refuses.
    """
    found = list(answers)
    for place, one in enumerate(filters):
        found = [_taken(request, answer, one, place, federation) for answer in found]
    return found


def _taken(request: Request, answer: Answer, one: Filter, place: int, federation: Federation) -> Answer:
    with ExitStack() as files:
        is_difference = answer.params_type is ParamsType.DIFF
        bases = {name: files.enter_context(request.model.open(name)) for name in answer.entries}
        terms = {
            name: (Term(files.enter_context(answer.open(name)), 1.0, is_difference), bases[name])
            for name in answer.entries
        }
        floats = {name: terms[name] for name in _floats(request.model.entries)}
        view = _view(request, place, federation, floats, request.model.entries, answer.site)
        change = asked(one, "result", view, _failed(view))
        if change is None:
            return answer
        folder = federation.scratch(f"update-{place}-{answer.site}")
        whole = replace(view, terms=terms)
        entries = _written(whole, change, request.model, folder, dict.fromkeys(answer.entries, _DIFFERENCES))
        return replace(answer, params_type=ParamsType.DIFF, entries=entries, arrays=FolderArrays(folder))


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


def _written(
    view: View, change: Change, model: StoredModel, folder: Path, dtypes: Mapping[str, str]
) -> dict[str, ArrayEntry]:
    """Every array of a view after the change, in a folder; what is not of floats is not changed."""
    entries: dict[str, ArrayEntry] = {}
    floats = set(_floats(model.entries))
    for name, file in array_files(dtypes).items():
        shape, dtype = list(model.entries[name].shape), dtypes[name]
        with NpyWriter(folder / file, dtype, shape) as out:
            if name not in view.terms:
                _copy(model, name, out)
            else:
                for start, values in view.blocks(name):
                    if name in floats:
                        change(name, start, values)
                    out.write(_fitting(values, dtype, view, name))
        entries[name] = ArrayEntry(name, file, dtype, shape, out.size, out.digest)
    return entries


def _fitting(values: Row, dtype: str, view: View, name: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        found = values.astype(dtype)
    if not np.isfinite(found).all():
        raise RunFailedError(
            f"round {view.round}: a filter made parameter {name!r} of {view.site or 'the model'} NaN or infinite"
        )
    return found


def _copy(model: StoredModel, name: str, out: NpyWriter) -> None:
    with model.open(name) as source:
        for start in range(0, source.size, 1 << 16):
            block = np.empty(min(1 << 16, source.size - start), source.dtype)
            source.read(start, block)
            out.write(block)
