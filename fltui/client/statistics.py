"""A site's part of federated statistics, see `fltui.workflows.statistics`.

import fltui.client as flare
from fltui.client import statistics

flare.init()
while flare.is_running():
    flare.send(statistics.answer(flare.receive(), {"age": ages, "weight": weights}))
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fltui.client.api import get_site_name
from fltui.errors import ClientError
from fltui.exchange.collect import LARGEST_NUMBER
from fltui.model import STATISTICS, FLModel, Params

Column = NDArray[np.float64]


class _Asked(msgspec.Struct, frozen=True):
    """What the server asks for; the fields of the workflow, and from the second round on what the first has found."""

    features: list[str]
    bins: int
    min_count: int
    bounds: dict[str, tuple[float, float]] = {}
    noise_multiplier: float | None = None
    noise_seed: int | None = None
    mean: list[float] | None = None
    low: list[float] = []
    high: list[float] = []


def answer(model: FLModel | None, data: Mapping[str, ArrayLike]) -> FLModel:
    """What to send to the task at hand.

    Args:
        model: as received.
        data: feature to its values, one-dimensional; NaN stands for a value that is missing. No row of it is sent.

    Returns:
        Sums over this site's rows, with noise where the job asks for it. Without noise it tells nothing of a feature
        with fewer values than the job's `min_count`, and of a histogram's bin with fewer it tells 0.

    Raises:
        ClientError: the task asks for no statistics, or a feature is not in the data.
    """
    if model is None or STATISTICS not in model.meta:
        raise ClientError(
            "statistics.answer(): the task asks for no statistics; a job with the workflow Statistics does"
        )
    try:
        asked = msgspec.convert(model.meta[STATISTICS], _Asked)
    except msgspec.ValidationError as error:
        raise ClientError(
            f"statistics.answer(): meta {STATISTICS!r} is not what this version knows: {error}"
        ) from error
    columns = [_values(name, data, asked) for name in asked.features]
    told = _first(columns, asked) if asked.mean is None else _second(columns, asked)
    if asked.noise_multiplier is not None:
        told = _with_noise(told, asked, model.current_round or 0)
    return FLModel(params=told)


def _values(name: str, data: Mapping[str, ArrayLike], asked: _Asked) -> Column:
    """A feature's values that are there, within its bounds; none where they are too few."""
    if name not in data:
        there = f": {', '.join(sorted(data))}" if data else " none"
        raise ClientError(f"statistics.answer(): the data has no feature {name!r}; it has{there}")
    try:
        values = np.asarray(data[name], np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ClientError(f"statistics.answer(): feature {name!r} holds what is no number: {error}") from error
    values = values[~np.isnan(values)]
    if not np.isfinite(values).all():
        raise ClientError(f"statistics.answer(): feature {name!r} holds an infinite value")
    if len(values) < asked.min_count and asked.noise_multiplier is None:  # noise hides rows, and the guard would tell
        return values[:0]
    return np.clip(values, *asked.bounds[name]) if name in asked.bounds else values


def _first(columns: list[Column], asked: _Asked) -> Params:
    def each(of: Any) -> Column:
        return np.array([float(of(values)) if len(values) else 0.0 for values in columns])

    found = {"count": each(len), "sum": each(np.sum), "least": each(np.min), "greatest": each(np.max)}
    if asked.bounds:  # the bounds are known, and the extremes of this site's rows are nobody's business
        for place, name in enumerate(asked.features):
            if name in asked.bounds:
                found["least"][place] = found["greatest"][place] = 0.0
    return found


def _second(columns: list[Column], asked: _Asked) -> Params:
    squares, histogram = np.zeros(len(columns)), np.zeros((len(columns), asked.bins))
    noisy = asked.noise_multiplier is not None
    for place, values in enumerate(columns):
        if len(values):
            low, high = asked.low[place], asked.high[place]
            with np.errstate(over="ignore"):  # around a mean that another site has made up
                square = np.square(values - (asked.mean or [])[place]).sum()
            squares[place] = min(square, LARGEST_NUMBER)
            counts = np.histogram(np.clip(values, low, high), bins=asked.bins, range=(low, high))[0]
            histogram[place] = counts if noisy else np.where(counts < asked.min_count, 0, counts)
    # With noise there is one number less that needs some, and bins of few rows are hidden by theirs.
    counted = {} if noisy else {"count": np.array([float(len(values)) for values in columns])}
    return {**counted, "squares": squares, "histogram": histogram}


def _with_noise(told: Params, asked: _Asked, number: int) -> Params:
    """Add the noise: one row more or less changes the answer, each number by its own unit, by sqrt(numbers) units."""
    low, high = (np.array([asked.bounds[name][side] for name in asked.features]) for side in (0, 1))
    middle, half = (low + high) / 2, (high - low) / 2
    seed = asked.noise_seed
    entropy = (
        [secrets.randbits(128)] if seed is None else [seed, number, int.from_bytes(get_site_name().encode(), "big")]
    )
    draw = np.random.default_rng(entropy).normal
    rows, noise = len(asked.features), float(asked.noise_multiplier or 0)
    if asked.mean is None:  # a count and a centred sum for each feature
        deviation = noise * math.sqrt(2 * rows)
        count = told["count"] + draw(0, deviation, rows)
        centred = told["sum"] - told["count"] * middle + draw(0, 1, rows) * deviation * half
        return {**told, "count": count, "sum": centred + count * middle}
    # A square around the mean, which all know from the round before, and one bin for each feature.
    deviation, mean = noise * math.sqrt(2 * rows), np.array(asked.mean)
    reach = np.maximum(np.abs(high - mean), np.abs(mean - low))
    squares = told["squares"] + draw(0, 1, rows) * deviation * reach**2
    return {"squares": squares, "histogram": told["histogram"] + draw(0, deviation, told["histogram"].shape)}
