"""Filters at a site: what changes the model received before the script sees it, and an update before it leaves."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import ArraySource
from fltui.aggregation.filters import Change, Filter, View, asked
from fltui.aggregation.privacy import GaussianNoise
from fltui.aggregation.terms import Term
from fltui.errors import BadInputError, ClientError
from fltui.exchange.manifest import Task
from fltui.model import STATISTICS, Params, ParamsType

_VALIDATE = "validate"
"""Name of the tasks that are answered with metrics alone."""


@dataclass
class SiteFilters:
    """The filters of one site, one after the other.

    Attributes:
        site: its name.
        filters: see `fltui.aggregation.filters`.
        updates: how many have left.
    """

    site: str
    filters: tuple[Filter, ...]
    updates: int = 0

    def received(self, task: Task, params: Params) -> Params:
        """The model received, as the script is to see it.

        Raises:
            ClientError: a filter refuses, or has no privacy left to spend on the round, or the task is no filter's.
        """
        if task.task_name == STATISTICS:
            raise ClientError(
                f"round {task.round} at site {self.site}: filters look at an update of a model, and statistics are no "
                "such; noise for them is Statistics(noise_multiplier=...)"
            )
        for place, one in enumerate(self.filters):
            if isinstance(one, GaussianNoise) and task.task_name != _VALIDATE:
                try:
                    one.check_budget(self._before(task), f"round {task.round} at site {self.site}")
                except BadInputError as error:
                    raise ClientError(str(error)) from error
            floats = [name for name, value in params.items() if value.dtype.kind == "f"]
            terms = {name: (Term(ArraySource(params[name]), 1.0), None) for name in floats}
            view = self._view(task, place, terms, params)
            if (change := asked(one, "task", view, _failed(view))) is not None:
                params = {name: _changed(view, change, name, value) for name, value in params.items()}
        return params

    def sent(
        self, task: Task, params: Params, kind: ParamsType, received: Params, *, has_groups: bool = False
    ) -> tuple[Params, ParamsType]:
        """What leaves in place of the parameters that the script sends, and of which kind it is.

        These are differences to the model received. Where that has parameters that are not of floats, which pass as
        they are, they are of the kind that the script sends: not every dtype holds its own differences.

        Args:
            task: that is answered.
            params: what the script sends.
            kind: of them.
            received: the model received, as the server sent it.
            has_groups: the script sends groups of arrays, too.

        Raises:
            ClientError: a filter refuses, there is no model yet, or something is sent that filters do not see.
        """
        where = f"send() in round {task.round} at site {self.site}"
        if not received:
            raise ClientError(f"{where}: filters look at an update, and there is no model yet to update")
        if has_groups:
            raise ClientError(f"{where}: filters see no groups of arrays, which would tell what a filter takes away")
        for name, value in params.items():
            if name not in received or received[name].shape != value.shape:
                raise ClientError(
                    f"{where}: filters look at the difference to the model received, and that has no parameter "
                    f"{name!r} of shape {value.shape}"
                )
        others = {name: value for name, value in params.items() if received[name].dtype.kind != "f"}
        floats, found = {name: value for name, value in params.items() if name not in others}, kind
        for place, one in enumerate(self.filters):
            terms: dict[str, tuple[Term, ArraySource | None]] = {
                name: (Term(ArraySource(value), 1.0, found is ParamsType.DIFF), ArraySource(received[name]))
                for name, value in floats.items()
            }
            view = self._view(task, place, terms, params)
            change = asked(one, "result", view, _failed(view))
            floats, found = {name: _changed(view, change, name, received[name]) for name in floats}, ParamsType.DIFF
        if others and found is not kind:
            floats = {name: _added(received[name], value, view, name) for name, value in floats.items()}
            found = kind
        self.updates += 1
        return {name: floats.get(name, value) for name, value in params.items()}, found

    def spent(self, task: Task) -> float | None:
        """The epsilon that is spent once a task is answered; None without noise."""
        rounds = max(task.round + 1, self.updates)
        noise = [one.epsilon(rounds) for one in self.filters if isinstance(one, GaussianNoise)]
        return noise[0] if noise else None

    def _before(self, task: Task) -> int:
        """How many updates have left before a task is answered: the server may have asked for one a second time."""
        return max(task.round, self.updates)

    def _view(
        self, task: Task, place: int, terms: Mapping[str, tuple[Term, ArraySource | None]], params: Params
    ) -> View:
        others = tuple(name for name in params if name not in terms)
        # No two updates have the same noise, also where a round is asked for again: their difference would have none.
        draws = (secrets.randbits(128), task.round, place, int.from_bytes(self.site.encode(), "big"))
        return View(terms, others, task.round, self.site, at_site=True, entropy=draws)


def load_site_filters(config: str, site: str) -> SiteFilters:
    """The filters that a site's configuration in a job folder names.

    Raises:
        BadInputError: they cannot be made.
    """
    job = import_module("fltui.job.site_filters")  # by name: scripts without filters load nothing of jobs
    return SiteFilters(site, job.load_filters(Path(config)))


def _failed(view: View) -> Callable[[str], ClientError]:
    """Says where a filter failed."""
    return lambda told: ClientError(f"round {view.round} at site {view.site}: {told}")


def _changed(view: View, change: Change | None, name: str, like: NDArray[Any]) -> NDArray[Any]:
    """A parameter after a change, in the dtype and shape of another."""
    if name not in view.terms:
        return like
    found = np.empty(like.size, like.dtype)
    for start, values in view.blocks(name):
        if change is not None:
            change(name, start, values)
        with np.errstate(over="ignore"):
            found[start : start + values.size] = values
    return _finite(found.reshape(like.shape), name, view)


def _added(base: NDArray[Any], difference: NDArray[Any], view: View, name: str) -> NDArray[Any]:
    """A parameter made whole, in its dtype."""
    with np.errstate(over="ignore"):
        return _finite(np.add(base, difference, dtype=np.float64).astype(base.dtype), name, view)


def _finite(found: NDArray[Any], name: str, view: View) -> NDArray[Any]:
    if not np.isfinite(found).all():
        raise _failed(view)(f"a filter made parameter {name!r} NaN or infinite")
    return found
