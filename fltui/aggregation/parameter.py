"""One parameter of the next model: what the sites' arrays make together, an optimiser's step, the cast to its dtype.

Everything between the arrays that are read and the one that is written is float64, a block at a time.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import Sink, Source, in_order, spans
from fltui.aggregation.elements import cast, norm_of, read
from fltui.aggregation.optimizers import Step
from fltui.aggregation.terms import Row, Term


class Combine(Protocol):
    """What one parameter of all sites makes together; blocks may be made in several threads at once."""

    @property
    def terms(self) -> Sequence[Term]:
        """The parameter of each site, at least one, all of one size."""

    @property
    def length(self) -> int:
        """Elements of a block."""

    def block(self, start: int, old: Row, out: Row) -> None:
        """Fill `out` with the elements from `start`, whole ones; `old` are those before the round, 0 without any."""


def write_parameter(
    combine: Combine,
    base: Source | None,
    sink: Sink,
    step: Step | None = None,
    change: Callable[[int, Row], None] | None = None,
) -> float:
    """Write one parameter of the next model into `sink`.

    Args:
        combine: of the sites' arrays.
        base: the array before the round; None if there was none, and then no term may be a difference.
        sink: takes elements of the base's dtype, or of the first term's without a base. Integers and truth values are
            rounded to the nearest; beyond 2**53 they are as exact as float64 is.
        step: goes from the base towards what the terms make; not without a base.
        change: changes what the terms add to the base before the step does, from the number of an element on.

    Returns:
        Euclidean norm of the change against the base (against zero without one).

    Raises:
        ValueError: a difference without a base, or an element that does not fit into the dtype.
    """
    if base is None and any(term.is_difference for term in combine.terms):
        raise ValueError("a difference came, but there is no model to add it to")
    parameter = _Parameter(combine, base, step, change)
    norm = 0.0
    for new, moved, states in in_order(parameter.block, spans(parameter.size, combine.length)):
        sink.write(new)
        if step is not None:
            step.write(states)
        parameter.give_back(new)
        norm = math.hypot(norm, moved)
        if not math.isfinite(norm):
            raise ValueError(f"the next model does not fit into {parameter.dtype}")
    return norm


class _Parameter:
    """The parameter block by block; blocks may be made in several threads at once."""

    def __init__(
        self,
        combine: Combine,
        base: Source | None,
        step: Step | None,
        change: Callable[[int, Row], None] | None,
    ) -> None:
        first = combine.terms[0].source
        self.dtype = first.dtype if base is None else base.dtype
        self.size = first.size
        self._combine = combine
        self._base = base
        self._step = step
        self._change = change
        self._threads = threading.local()
        self._written: deque[NDArray[Any]] = deque()
        """New elements that nobody needs any more. Their memory is used again: to get and clear it takes as long as the
        maths."""

    def give_back(self, new: NDArray[Any]) -> None:
        """Take back what `block` has given."""
        self._written.append(new)

    def block(self, start: int, count: int) -> tuple[NDArray[Any], float, Sequence[Row]]:
        """New elements, the Euclidean norm of their change against the base, and the step's new states."""
        old, found, scratch = (buffer[:count] for buffer in self._buffers())
        if self._base is not None:
            read(self._base, start, old, scratch)
        else:
            old.fill(0)
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow is found in the result
            self._combine.block(start, old, found)
            if self._change is not None:
                np.subtract(found, old, out=found)
                self._change(start, found)
                np.add(found, old, out=found)
            states = self._step.block(start, old, found) if self._step is not None else ()
            new = cast(found, self._new(count))
            np.copyto(found, new)
            return new, norm_of(np.subtract(found, old, out=found)), states

    def _new(self, count: int) -> NDArray[Any]:
        """Room for the new elements of a block."""
        with contextlib.suppress(IndexError):
            if (found := self._written.popleft()).size == count:
                return found
        return np.empty(count, self.dtype)

    def _buffers(self) -> tuple[Row, Row, Row]:
        """Of this thread: two to compute in, one for bytes that are read."""
        found: tuple[Row, Row, Row] | None = getattr(self._threads, "buffers", None)
        if found is None:
            length = min(self._combine.length, self.size)
            found = self._threads.buffers = (np.empty(length), np.empty(length), np.empty(length))
        return found
