"""How far the sites' models are from each other, and what follows from that: whom to trust.

- Krum and Multi-Krum: Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", 2017.
- Bulyan: El Mhamdi et al., "The Hidden Vulnerability of Distributed Learning in Byzantium", 2018.
- Geometric median by Weiszfeld's algorithm, smoothed: Pillutla et al., "Robust Aggregation for Federated Learning",
  2022, algorithm 2.

A distance is the sum of squared differences, in float64. The expansion ``x*x + y*y - 2*x*y`` is quicker and loses all
digits where models are close, as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import Source, in_order, spans
from fltui.aggregation.coordinates import Columns, Rows
from fltui.aggregation.elements import read
from fltui.aggregation.terms import Term

Distances = NDArray[np.float64]
"""Squared Euclidean distances between sites, shape (sites, sites); symmetric, the diagonal is 0."""

_MOST_STEPS = 1000
_SETTLED = 1e-12
"""Change of the weights, each at most 1, below which the geometric median is found."""

_BITS = 33
"""Left of each of those weights: the last bits of a distance differ between processors, and models must not."""

_SMOOTHING = 1e-9
"""Of the distance at which most sites are: one that is closer to the median than that counts as that far, so that none
gets all the weight for good."""

_FARTHEST = 1e6
"""Times the distance at which most sites are: beyond it too few digits are left to say how far, and a site does not
count."""


def squared_distances(parameters: Iterable[tuple[Sequence[Term], Source | None]]) -> Distances:
    """The distances between the sites' models.

    Args:
        parameters: the terms of every parameter, the sites in the same order in each, and the array before the round.
    """
    total: Distances | None = None
    for terms, base in parameters:
        total = np.zeros((len(terms), len(terms))) if total is None else total
        total += _distances(terms, base)
    if total is None:
        raise ValueError("there are no parameters to measure")
    return total


def _distances(terms: Sequence[Term], base: Source | None) -> Distances:
    """Of one parameter."""
    columns = Columns(terms)
    length = min(columns.length, terms[0].source.size)
    threads = threading.local()

    def block(start: int, count: int) -> Distances:
        if not hasattr(threads, "room"):
            threads.room, threads.old, threads.scratch = (
                np.empty((len(terms), length)),
                np.zeros(length),
                np.empty(length),
            )
        old = threads.old[:count]
        if base is not None and not columns.are_differences:
            read(base, start, old, threads.scratch)
        return _of_rows(columns.read(start, old), threads.room)

    total: Distances = np.zeros((len(terms), len(terms)))
    for found in in_order(block, spans(terms[0].source.size, columns.length)):
        total += found
    return total


def _of_rows(rows: Rows, room: NDArray[np.float64]) -> Distances:
    """Of one block; `room` is for the differences of all rows to one."""
    found = np.zeros((len(rows), len(rows)))
    with np.errstate(over="ignore"):  # what is too far to be measured is at infinity
        for place in range(len(rows) - 1):
            away = np.subtract(rows[place + 1 :], rows[place], out=room[place + 1 :, : rows.shape[1]])
            np.multiply(away, away, out=away)
            away.sum(axis=1, out=found[place, place + 1 :])  # unlike a product of matrices in the same order everywhere
    return found + found.T


def krum_scores(distances: Distances, bad: int) -> NDArray[np.float64]:
    """The sum of each site's squared distances to the ``n - bad - 2`` others that are closest to it, at least one."""
    closest = max(1, len(distances) - bad - 2)
    ordered = np.sort(distances, axis=1)  # each has itself as the first
    found: NDArray[np.float64] = ordered[:, 1 : closest + 1].sum(axis=1)
    return found


def multi_krum(distances: Distances, bad: int, keep: int) -> list[int]:
    """The `keep` sites with the least scores, in their own order; of equal ones the first."""
    return sorted(np.argsort(krum_scores(distances, bad), kind="stable")[:keep].tolist())


def bulyan_selection(distances: Distances, bad: int) -> list[int]:
    """The ``n - 2 * bad`` sites that Krum chooses one after the other, each time among those that are left."""
    left = list(range(len(distances)))
    chosen: list[int] = []
    while len(chosen) < len(distances) - 2 * bad:
        scores = krum_scores(distances[np.ix_(left, left)], bad) if len(left) > 1 else np.zeros(1)
        chosen.append(left.pop(int(np.argmin(scores))))
    return sorted(chosen)


def geometric_median_weights(distances: Distances) -> NDArray[np.float64]:
    """The weights, adding up to 1 but for the last digits, with which the sites' mean is their geometric median: the
    model whose distances to all of theirs, not squared, have the least sum.

    With ``z = sum_j a_j x_j``, ``|x_i - z|^2 = sum_j a_j D_ij - sum_jk a_j a_k D_jk / 2``, so no model is read again.

    Raises:
        ValueError: most models are too far from each other to be measured.
    """
    spread = np.median(np.sqrt(distances), axis=1)
    middle = int(np.argmin(spread))
    if not np.isfinite(spread[middle]):
        raise ValueError("most models are too far from each other to be measured")
    near = np.sqrt(distances[middle]) <= _FARTHEST * spread[middle]
    within = distances[np.ix_(near, near)]
    weights = np.full(len(within), 1 / len(within))
    least = _SMOOTHING * spread[middle]
    for _ in range(_MOST_STEPS if least else 0):  # else most are equal, and they are the median
        to_all = within @ weights
        away = np.sqrt(np.maximum(to_all - weights @ to_all / 2, 0))
        found = 1 / np.maximum(away, least)
        found /= found.sum()
        settled = np.abs(found - weights).max() < _SETTLED
        weights = found
        if settled:
            break
    every = np.zeros(len(distances))
    part, power = np.frexp(weights)
    every[near] = np.ldexp(np.round(np.ldexp(part, _BITS)), power - _BITS)
    return every
