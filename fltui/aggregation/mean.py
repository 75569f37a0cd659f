"""The weighted mean of federated averaging.

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017, algorithm 1:
``w <- sum_k (n_k / n) w_k``. Here Σ(w·x)/Σw, accumulated in float64 in the order in which the terms are given and cast
back to the parameter's dtype, so that the same terms give the same bits whatever the size of a block. The sum begins
with the first term, not with 0, so that -0.0 stays -0.0; a term that weighs nothing leaves no trace.

No terms that were accepted overflow. With M the largest finite number of the dtype, or 1e280 for float64, with weights
up to 2**53 and n terms, every x, and base + x for a difference, is at most M. So no partial sum exceeds
n * 2**53 * 1e280, below the largest float64 for n up to 10**12. The exact mean of such terms lies between the least and
the greatest of them. Computed, it is off by a relative n * 2**-53, far less than the half unit in the last place of a
smaller dtype by which it would have to exceed M; where integers of 64 bits meet it, `_cast` allows for it.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import BLOCK, Sink, Source, in_order, spans

_SLACK = 1 + 2.0**-40
"""How far, relatively, the mean of large integers may be beyond its dtype by rounding alone."""


_ONE_CORE = 1 << 13
"""Elements that BLAS multiplies without other cores: it would wait for them when others are at work there, and the bits
would depend on how many there are."""


@dataclass(frozen=True)
class Term:
    """One array with its weight in the mean.

    Attributes:
        source: the elements.
        weight: finite and not negative.
        is_difference: the elements are to be added to the base's.
    """

    source: Source
    weight: float
    is_difference: bool = False


def weighted_mean(terms: Sequence[Term], base: Source | None, sink: Sink) -> float:
    """Write Σ(w·x)/Σw of one parameter into `sink`.

    Differences alone are averaged and added to the base once; where whole arrays and differences meet, every difference
    is made whole by adding the base, so that the two kinds are never mixed.

    Args:
        terms: all of one size; their order is the order of summation.
        base: the array before the round; None if there was none, and then no term may be a difference.
        sink: takes elements of the base's dtype, or of the first term's without a base. Integers and truth values are
            rounded to the nearest; beyond 2**53 they are as exact as float64 is.

    Returns:
        Euclidean norm of the change against the base (against zero without one).

    Raises:
        ValueError: no terms, weights that add up to nothing, a difference without a base, or a mean that overflows.
    """
    total = math.fsum(term.weight for term in terms)
    if not terms or total <= 0:
        raise ValueError(f"the weights of the {len(terms)} results add up to {total:g}, so there is no mean")
    if base is None and any(term.is_difference for term in terms):
        raise ValueError("a difference came, but there is no model to add it to")
    mean = _Mean([term for term in terms if term.weight], total, base)
    norm = 0.0
    for new, change in in_order(mean.block, spans(terms[0].source.size)):
        sink.write(new)
        mean.give_back(new)
        norm = math.hypot(norm, change)
        if not math.isfinite(norm):
            raise ValueError(f"the mean does not fit into {mean.dtype}")
    return norm


class _Mean:
    """The mean of one parameter, block by block; blocks may be made in several threads at once."""

    def __init__(self, terms: Sequence[Term], total: float, base: Source | None) -> None:
        self._terms = terms
        self._total = total
        self._base = base
        self._only_differences = all(term.is_difference for term in terms)
        self.dtype = terms[0].source.dtype if base is None else base.dtype
        self._threads = threading.local()
        self._written: deque[NDArray[Any]] = deque()
        """New elements that nobody needs any more. Their memory is used again: to get and clear it takes as long as the
        maths."""

    def give_back(self, new: NDArray[Any]) -> None:
        """Take back what `block` has given."""
        self._written.append(new)

    def block(self, start: int, count: int) -> tuple[NDArray[Any], float]:
        """New elements, and the Euclidean norm of their change against the base."""
        *buffers, scratch = self._buffers()
        mean, product, old = (buffer[:count] for buffer in buffers)
        if self._base is not None:
            _read(self._base, start, old, scratch)
        else:
            old.fill(0)
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow is found in the result
            for number, term in enumerate(self._terms):
                weighted = product if number else mean
                _read(term.source, start, weighted, scratch)
                if term.weight != 1:
                    np.multiply(weighted, term.weight, out=weighted)
                if term.is_difference and not self._only_differences:
                    np.add(weighted, old * term.weight, out=weighted)
                if number:
                    np.add(mean, product, out=mean)
            np.divide(mean, self._total, out=mean)
            if self._only_differences:
                np.add(mean, old, out=mean)
            new = _cast(mean, self._new(count))
            np.copyto(product, new)
            return new, _norm(np.subtract(product, old, out=product))

    def _new(self, count: int) -> NDArray[Any]:
        """Room for the new elements of a block."""
        with contextlib.suppress(IndexError):
            if (found := self._written.popleft()).size == count:
                return found
        return np.empty(count, self.dtype)

    def _buffers(self) -> tuple[NDArray[np.float64], ...]:
        """Four buffers of a block for this thread: three to compute in, one for bytes that are read."""
        found: tuple[NDArray[np.float64], ...] | None = getattr(self._threads, "buffers", None)
        if found is None:
            length = min(BLOCK, self._terms[0].source.size)
            found = self._threads.buffers = tuple(np.empty(length, np.float64) for _ in range(4))
        return found


def _read(source: Source, start: int, out: NDArray[np.float64], scratch: NDArray[np.float64]) -> None:
    """Elements as float64; those of other dtypes, none of which is larger, are read into `scratch` first."""
    if source.dtype == out.dtype:
        source.read(start, out)
    else:
        raw = scratch.view(source.dtype)[: out.size]
        source.read(start, raw)
        np.copyto(out, raw)


def weighted_metrics(reports: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """Average every metric with the sites' weights, over the sites that report it.

    Args:
        reports: weight and metrics of each site, in a fixed order.

    Returns:
        Metric name to mean, by name; a metric whose reporters weigh nothing is left out.
    """
    means: dict[str, float] = {}
    for name in sorted({name for _, metrics in reports for name in metrics}):
        pairs = [(weight, metrics[name]) for weight, metrics in reports if name in metrics]
        total = math.fsum(weight for weight, _ in pairs)
        if total > 0:
            means[name] = math.fsum(weight * value for weight, value in pairs) / total
    return means


def _cast(values: NDArray[np.float64], out: NDArray[Any]) -> NDArray[Any]:
    """The values in the dtype of `out`, which takes them."""
    dtype = out.dtype
    if dtype.kind == "f":
        np.copyto(out, values, casting="unsafe")
        return out
    rounded = np.rint(values)
    if dtype.kind == "b":
        np.copyto(out, rounded, casting="unsafe")
        return out
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    if not ((rounded >= least * _SLACK) & (rounded <= most * _SLACK)).all():
        raise ValueError(f"the mean does not fit into {dtype}")
    np.copyto(out, np.where(rounded < float(most), rounded, 0), casting="unsafe")  # 2**63 - 1 is no float64
    out[rounded >= float(most)] = most
    return out


def _norm(values: NDArray[np.float64]) -> float:
    pieces = (values[start : start + _ONE_CORE] for start in range(0, values.size, _ONE_CORE))
    square = sum(float(np.dot(piece, piece)) for piece in pieces)
    if math.isfinite(square):
        return math.sqrt(square)
    scale = float(np.abs(values).max())
    return scale * math.sqrt(float(np.dot(values / scale, values / scale))) if math.isfinite(scale) else math.inf
