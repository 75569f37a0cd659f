"""The weighted mean of federated averaging.

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017, algorithm 1:
``w <- sum_k (n_k / n) w_k``. Here Σ(w·x)/Σw, accumulated in float64 in the order in which the terms are given and cast
back to the parameter's dtype, so that the same terms give the same bits whatever the size of a block. The sum begins
with the first term, not with 0, so that -0.0 stays -0.0; a term that weighs nothing leaves no trace.

No terms that were accepted overflow. With M the largest finite number of the dtype, or 1e280 for float64, with weights
up to 2**53 times a job's factor of up to 10**6, and n terms, every x, and base + x for a difference, is at most M. So
no partial sum exceeds n * 2**53 * 1e286, below the largest float64 for n up to 10**6. The exact mean of such terms lies
between the least and the greatest of them. Computed, it is off by a relative n * 2**-53, far less than the half unit in
the last place of a smaller dtype by which it would have to exceed M; where integers of 64 bits meet it, `cast` allows
for it.
"""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from fltui.aggregation import blocks
from fltui.aggregation.elements import read
from fltui.aggregation.terms import Row, Term, are_differences


class Mean:
    """Σ(w·x)/Σw of one parameter, as a `Combine`.

    Differences alone are averaged and added to the base once; where whole arrays and differences meet, every difference
    is made whole by adding the base, so that the two kinds are never mixed.

    Args:
        terms: all of one size; their order is the order of summation.

    Raises:
        ValueError: no terms, or weights that add up to nothing.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self.length = blocks.BLOCK
        self.terms = [term for term in terms if term.weight]
        self._total = math.fsum(term.weight for term in terms)
        if self._total <= 0:
            raise ValueError(f"the weights of the {len(terms)} results add up to {self._total:g}, so there is no mean")
        self._only_differences = are_differences(self.terms)
        self._threads = threading.local()

    def block(self, start: int, old: Row, out: Row) -> None:
        """See `Combine.block`."""
        product, scratch = (buffer[: out.size] for buffer in self._buffers())
        for number, term in enumerate(self.terms):
            weighted = product if number else out
            read(term.source, start, weighted, scratch)
            if term.weight != 1:
                np.multiply(weighted, term.weight, out=weighted)
            if term.is_difference and not self._only_differences:
                np.add(weighted, old * term.weight, out=weighted)
            if number:
                np.add(out, product, out=out)
        np.divide(out, self._total, out=out)
        if self._only_differences:
            np.add(out, old, out=out)

    def _buffers(self) -> tuple[Row, Row]:
        """Of this thread: one to compute in, one for bytes that are read."""
        found: tuple[Row, Row] | None = getattr(self._threads, "buffers", None)
        if found is None:
            length = min(self.length, self.terms[0].source.size)
            found = self._threads.buffers = (np.empty(length), np.empty(length))
        return found


def median_metrics(reports: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """The median of every metric over the sites that report it and weigh something: a bad one cannot move it far.

    Args:
        reports: weight and metrics of each site.

    Returns:
        Metric name to median, by name.
    """
    counting = [metrics for weight, metrics in reports if weight > 0]
    names = sorted({name for metrics in counting for name in metrics})
    return {name: statistics.median(metrics[name] for metrics in counting if name in metrics) for name in names}


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
