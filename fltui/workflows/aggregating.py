"""Making the next model from a round's answers: opens the files, the maths is in `fltui.aggregation`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import numpy as np

from fltui.aggregation.aggregators import Aggregator, unmeasured
from fltui.aggregation.blocks import Source
from fltui.aggregation.distances import Distances, squared_distances
from fltui.aggregation.filters import Change
from fltui.aggregation.optimizers import OptimizerStep, ServerOptimizer, Step
from fltui.aggregation.parameter import write_parameter
from fltui.aggregation.terms import Row, Term
from fltui.errors import RunFailedError
from fltui.model import ParamsType
from fltui.run.models import ModelWriter
from fltui.workflows.workflow import Answer, Request

_STATE = "<f8"
"""What an optimiser keeps from round to round."""


def judge(
    request: Request, answers: Sequence[Answer], aggregator: Aggregator, factors: Mapping[str, float]
) -> list[Answer]:
    """The answers with the weights that they have in the next model.

    Args:
        request: the round's.
        answers: by name of the site; all with the same parameters.
        aggregator: has the say.
        factors: of a site's claimed weight, where that counts; 1 for sites that are not named.

    Raises:
        RunFailedError: the aggregator needs more answers, or cannot measure them.
    """
    if aggregator.by_claims:
        return [replace(answer, weight=answer.weight * factors.get(answer.site, 1.0)) for answer in answers]
    counting = [answer for answer in answers if answer.weight]
    name = type(aggregator).__name__
    if len(counting) < aggregator.least:
        idle = ", ".join(answer.site for answer in answers if not answer.weight)
        raise RunFailedError(
            f"round {request.round}: {name} needs {aggregator.least} result{'s' * (aggregator.least > 1)} of a weight "
            f"above 0 and has {len(counting)}" + (f"; of weight 0: {idle}" if idle else "")
        )
    measured = _distances(request, counting) if aggregator.by_distance else unmeasured(len(counting))
    try:
        weights = aggregator.judge(measured)
    except ValueError as error:
        raise RunFailedError(f"round {request.round}: {name}: {error}") from error
    found = {answer.site: weight for answer, weight in zip(counting, weights, strict=True)}
    return [replace(answer, weight=found.get(answer.site, 0.0)) for answer in answers]


def _distances(request: Request, answers: Sequence[Answer]) -> Distances:
    def parameters() -> Iterator[tuple[Sequence[Term], Source | None]]:
        for name in sorted(answers[0].entries):
            with ExitStack() as files:
                base = files.enter_context(request.open(name)) if name in request.entries else None
                yield _terms(answers, name, files), base

    return squared_distances(parameters())


def write_next(
    request: Request,
    answers: Sequence[Answer],
    new: ModelWriter,
    aggregator: Aggregator,
    optimizer: ServerOptimizer | None = None,
    change: Change | None = None,
) -> float:
    """Write what the answers make together into `new`, and what the optimiser keeps as groups of it.

    Args:
        request: the round's; without arrays in a first round that has no model, where no optimiser steps.
        answers: by name of the site, which fixes the order of summation; all with the same parameters. Their weights
            are those of `judge`.
        new: takes the next model.
        aggregator: makes one of many.
        optimizer: goes a step of its own; it leaves whole numbers and truth values as the aggregator made them.
        change: of what is added to the model, before that step; not of whole numbers and truth values.

    Returns:
        Euclidean norm of the model's change.

    Raises:
        RunFailedError: the weights add up to nothing, or the next model does not fit into its dtype.
    """
    names = sorted(answers[0].entries)
    moving = [name for name in names if request.entries and np.dtype(request.entries[name].dtype).kind == "f"]
    states = {name: new.group(name, moving) for name in (optimizer.states if optimizer and moving else ())}
    norm = 0.0
    for name in names:
        moves = optimizer if name in moving else None
        with ExitStack() as files:
            step = _step(request, name, moves, states, files) if moves is not None else None
            changed = partial(change, name) if change is not None and name in moving else None
            norm = math.hypot(norm, write_one(request, answers, name, new, aggregator, step, changed))
    return norm


def _step(
    request: Request, name: str, optimizer: ServerOptimizer, states: Mapping[str, ModelWriter], files: ExitStack
) -> OptimizerStep:
    """An optimiser's step on one parameter."""
    shape, groups = request.entries[name].shape, request.model.groups
    goes_on = request.round > request.start_round  # else it may be what the optimiser of another workflow has kept
    before = {
        state: files.enter_context(groups[state].open(name)) if state in groups and goes_on else None
        for state in states
    }
    after = {state: files.enter_context(writer.array(name, _STATE, shape)) for state, writer in states.items()}
    return OptimizerStep(optimizer, before, after)


def write_one(
    request: Request,
    answers: Sequence[Answer],
    name: str,
    new: ModelWriter,
    aggregator: Aggregator,
    step: Step | None = None,
    change: Callable[[int, Row], None] | None = None,
    *,
    to: str = "",
    are_differences: bool = False,
) -> float:
    """Write one array of the next model.

    Args:
        request, answers, aggregator: as for `write_next`.
        name: the name that it travels by.
        new: takes it.
        step, change: see `write_parameter`.
        to: its name in `new`, where that is another.
        are_differences: the answers hold differences, whatever their parameters are.

    Returns:
        Euclidean norm of its change.

    Raises:
        RunFailedError: see `write_next`.
    """
    entry = request.entries.get(name, answers[0].entries[name])
    with ExitStack() as files:
        terms = _terms(answers, name, files, are_differences=are_differences)
        base = files.enter_context(request.open(name)) if request.entries else None
        sink = files.enter_context(new.array(to or name, entry.dtype, list(entry.shape)))
        try:
            return write_parameter(aggregator.combine(terms), base, sink, step, change)
        except ValueError as error:
            sites = ", ".join(answer.site for answer in answers)
            where = f"round {request.round}: parameter {name!r} of {sites}"
            raise RunFailedError(f"{where} cannot be aggregated: {error}") from error


def _terms(answers: Sequence[Answer], name: str, files: ExitStack, *, are_differences: bool = False) -> list[Term]:
    """One array of every answer, open as long as `files` is."""
    return [
        Term(
            files.enter_context(answer.open(name)),
            answer.weight,
            are_differences or answer.params_type is ParamsType.DIFF,
        )
        for answer in answers
    ]
