"""Making the next model from a round's answers: opens the files, the maths is in `fltui.aggregation`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack

from fltui.aggregation.mean import Term, weighted_mean
from fltui.errors import RunFailedError
from fltui.model import ParamsType
from fltui.run.models import ModelWriter, StoredModel
from fltui.workflows.workflow import Answer


def average(number: int, answers: Sequence[Answer], model: StoredModel, new: ModelWriter) -> float:
    """Write the weighted mean of `answers` into `new`.

    Args:
        number: of the round, for the sentence.
        answers: by name of the site, which fixes the order of summation; all with the same parameters.
        model: what the sites received; without arrays in a first round that has none.
        new: takes the next model.

    Returns:
        Euclidean norm of the model's change.

    Raises:
        RunFailedError: the weights add up to nothing, or the mean overflows.
    """
    norm = 0.0
    for name, entry in sorted(answers[0].entries.items()):
        with ExitStack() as files:
            terms = [
                Term(
                    files.enter_context(answer.arrays.open(answer.entries[name])),
                    answer.weight,
                    answer.params_type is ParamsType.DIFF,
                )
                for answer in answers
            ]
            base = files.enter_context(model.open(name)) if model.entries else None
            sink = files.enter_context(new.array(name, entry.dtype, list(entry.shape)))
            try:
                norm = math.hypot(norm, weighted_mean(terms, base, sink))
            except ValueError as error:
                sites = ", ".join(answer.site for answer in answers)
                where = f"round {number}: parameter {name!r} of {sites}"
                raise RunFailedError(f"{where} cannot be averaged: {error}") from error
    return norm
