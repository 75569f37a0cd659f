"""Filters at a site: what changes the model received before the script sees it, and an update before it leaves."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.filters import Change, Filter, View
from fltui.aggregation.privacy import GaussianNoise
from fltui.aggregation.terms import Term
from fltui.errors import BadInputError, ClientError
from fltui.exchange.manifest import Task
from fltui.model import Params, ParamsType


@dataclass(frozen=True)
class SiteFilters:
    """The filters of one site, one after the other.

    Attributes:
        site: its name.
        filters: see `fltui.aggregation.filters`.
    """

    site: str
    filters: tuple[Filter, ...]
    _secret: int = field(default_factory=lambda: secrets.randbits(128), repr=False)

    def received(self, task: Task, params: Params) -> Params:
        """The model received, as the script is to see it.

        Raises:
            ClientError: a filter refuses, or has no privacy left to spend on the round.
        """
        for place, one in enumerate(self.filters):
            if isinstance(one, GaussianNoise):
                try:
                    one.check_budget(task.round, f"round {task.round} at site {self.site}")
                except BadInputError as error:
                    raise ClientError(str(error)) from error
            arrays = {name: Term(ArraySource(value), 1.0) for name, value in params.items()}
            view = self._view(task, place, {name: (term, None) for name, term in arrays.items()})
            if (change := _asked(one.task, view)) is not None:
                params = {name: _changed(view, change, name, value) for name, value in params.items()}
        return params

    def sent(self, task: Task, params: Params, kind: ParamsType, received: Params) -> Params:
        """The update that leaves, as differences to the model received.

        Args:
            task: that is answered.
            params: what the script sends.
            kind: of them.
            received: the model received, as the server sent it.

        Raises:
            ClientError: a filter refuses, or there is no model yet.
        """
        if not received:
            raise ClientError(f"round {task.round}: filters look at an update, and there is no model yet to update")
        for place, one in enumerate(self.filters):
            terms: dict[str, tuple[Term, ArraySource | None]] = {
                name: (Term(ArraySource(value), 1.0, kind is ParamsType.DIFF), ArraySource(received[name]))
                for name, value in params.items()
            }
            view = self._view(task, place, terms)
            change = _asked(one.result, view)
            every = replace(view, terms=terms)
            floats = view.terms.keys()
            params = {
                name: _changed(every, change if name in floats else None, name, received[name]) for name in params
            }
            kind = ParamsType.DIFF
        return params

    def spent(self, task: Task) -> float | None:
        """The epsilon that is spent once a task is answered; None without noise."""
        noise = [one.epsilon(task.round + 1) for one in self.filters if isinstance(one, GaussianNoise)]
        return noise[0] if noise else None

    def _view(self, task: Task, place: int, terms: Mapping[str, tuple[Term, ArraySource | None]]) -> View:
        floats = {name: pair for name, pair in terms.items() if pair[0].source.dtype.kind == "f"}
        others = tuple(name for name in terms if name not in floats)
        draws = (self._secret, task.round, place, int.from_bytes(self.site.encode(), "big"))
        return View(floats, others, task.round, self.site, at_site=True, entropy=draws)


def load_site_filters(config: str, site: str) -> SiteFilters:
    """The filters that a site's configuration in a job folder names.

    Raises:
        BadInputError: they cannot be made.
    """
    job = import_module("fltui.job.site_filters")  # by name: scripts without filters load nothing of jobs
    return SiteFilters(site, job.load_filters(Path(config)))


def _asked(method: Callable[[View], Change | None], view: View) -> Change | None:
    try:
        return method(view)
    except BadInputError as error:
        raise ClientError(f"round {view.round} at site {view.site}: {error}") from error


def _changed(view: View, change: Change | None, name: str, like: NDArray[Any]) -> NDArray[Any]:
    """A parameter after a change, in the dtype and shape of another."""
    if name not in view.terms:
        return like
    found = np.empty(like.size, like.dtype)
    for start, values in view.blocks(name):
        if change is not None:
            change(name, start, values)
        with np.errstate(over="ignore"):
            found[start : start + values.size] = values if like.dtype.kind == "f" else np.rint(values)
    if not np.isfinite(found).all():
        raise ClientError(f"round {view.round} at site {view.site}: a filter made parameter {name!r} NaN or infinite")
    return found.reshape(like.shape)
