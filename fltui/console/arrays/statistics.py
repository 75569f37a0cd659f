"""What the elements of an array amount to, counted stretch by stretch in bounded memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fltui.console.arrays.files import Array

if TYPE_CHECKING:  # NumPy is loaded when an array is first read, not with the console
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 1 << 17
"""Elements that are in memory at a time: 1 MiB of float64."""

BINS = 64
_SAMPLE = 1 << 13


@dataclass(frozen=True)
class Statistics:
    """Of all elements of an array. Infinities and NaN are counted and belong to nothing else.

    Attributes:
        count: finite elements.
        minimum, mean, maximum: of the finite elements; NaN if there are none.
        norm: Euclidean norm of the finite elements.
        nan, above, below: how many NaN, +Inf and -Inf there are.
    """

    count: int = 0
    minimum: float = math.nan
    mean: float = math.nan
    maximum: float = math.nan
    norm: float = 0.0
    nan: int = 0
    above: int = 0
    below: int = 0


@dataclass(frozen=True)
class Histogram:
    """How the finite elements are spread.

    Attributes:
        low, high: the ends of the range, in bins of equal width.
        counts: elements of each bin.
        whole: each bin is one whole number, the first `low`, the last `high`.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    whole: bool = False


@dataclass
class Watch:
    """What the counting asks and tells on its way.

    Attributes:
        is_cancelled: asked at every stretch.
        tell: told at every stretch how much is done, from 0 to 1.
    """

    is_cancelled: Callable[[], bool] = lambda: False
    tell: Callable[[float], None] = lambda _: None


def statistics_of(array: Array, watch: Watch | None = None) -> Statistics | None:
    """Read the whole array once.

    Returns:
        None if it was cancelled.

    Raises:
        NotYetError: it cannot be read.
    """
    watch = watch or Watch()
    total = Statistics()
    for values in _stretches(array, watch):
        total = _add(total, _statistics_of(values))
    return None if watch.is_cancelled() else total


def histogram_of(array: Array, known: Statistics, watch: Watch | None = None) -> Histogram | None:
    """Read the whole array once more.

    Args:
        array: the array.
        known: its statistics.
        watch: see `Watch`.

    Returns:
        None if it was cancelled.

    Raises:
        NotYetError: it cannot be read.
    """
    import numpy as np  # see above

    watch = watch or Watch()
    if not known.count:
        return Histogram(math.nan, math.nan, ())
    low, high = known.minimum, known.maximum
    whole = array.dtype[1] in "biu" and high - low < BINS
    half = high / 2 - low / 2  # in halves: the largest floats do not overflow
    bins = int(high - low) + 1 if whole else BINS if half > 0 else 1
    counts = np.zeros(bins, np.int64)
    for values in _stretches(array, watch):
        finite = values[np.isfinite(values)]
        if whole:
            places = finite - low
        elif bins > 1:
            places = (finite / 2 - low / 2) / half * bins
        else:
            places = np.zeros(len(finite))
        # A file that has changed since may hold values outside.
        counts += np.bincount(np.clip(places, 0, bins - 1).astype(np.intp), minlength=bins)
    return None if watch.is_cancelled() else Histogram(low, high, tuple(counts.tolist()), whole)


def sample_of(array: Array) -> Statistics:
    """Of a few thousand elements from the beginning, the middle and the end: at once, whatever the size.

    Raises:
        NotYetError: they cannot be read.
    """
    total = Statistics()
    count = min(_SAMPLE, array.size)
    for start in sorted({0, (array.size - count) // 2, array.size - count}):
        total = _add(total, _statistics_of(_as_floats(array.read(start, count))))
    return total


def _stretches(array: Array, watch: Watch) -> Iterator[NDArray[np.float64]]:
    for start in range(0, array.size, CHUNK):
        if watch.is_cancelled():
            return
        yield _as_floats(array.read(start, min(CHUNK, array.size - start)))
        watch.tell(min(1.0, (start + CHUNK) / array.size))


def _as_floats(values: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np  # see above

    return values.astype(np.float64, copy=False)


def _statistics_of(values: NDArray[np.float64]) -> Statistics:
    import numpy as np  # see above

    nan = above = below = 0
    with np.errstate(over="ignore", invalid="ignore"):
        squares = float(np.dot(values, values))
    if not math.isfinite(squares):  # NaN and Inf are rare: they are looked for only if they show in the sum
        nan = int(np.count_nonzero(np.isnan(values)))
        above = int(np.count_nonzero(values == np.inf))
        below = int(np.count_nonzero(values == -np.inf))
        values = values[np.isfinite(values)]
    if not values.size:
        return Statistics(nan=nan, above=above, below=below)
    low, high = float(values.min()), float(values.max())
    peak = max(abs(low), abs(high))
    scale = 1.0 if peak == 0 or 1e-140 < peak < 1e140 else peak  # squares of others leave the range of floats
    part = values if scale == 1.0 else values / scale
    norm = math.sqrt(float(np.dot(part, part))) * scale
    return Statistics(len(values), low, float(part.mean()) * scale, high, norm, nan, above, below)


def _add(one: Statistics, other: Statistics) -> Statistics:
    count = one.count + other.count
    if not one.count or not other.count:
        known = one if one.count else other
        low, mean, high = known.minimum, known.mean, known.maximum
    else:
        low, high = min(one.minimum, other.minimum), max(one.maximum, other.maximum)
        mean = one.mean * (one.count / count) + other.mean * (other.count / count)
    return Statistics(
        count,
        low,
        mean,
        high,
        math.hypot(one.norm, other.norm),
        one.nan + other.nan,
        one.above + other.above,
        one.below + other.below,
    )


@dataclass(frozen=True)
class Findings:
    """What is known of an array so far.

    Attributes:
        statistics: of all elements.
        histogram: of all elements.
        distance: Euclidean norm of the difference to another array.
        done: how much of the current reading is done, from 0 to 1.
        problem: a harmless sentence if the array cannot be read any more.
    """

    statistics: Statistics | None = None
    histogram: Histogram | None = None
    distance: float | None = None
    done: float = 0.0
    problem: str = ""


def find_out(
    array: Array, base: Array | None, known: Findings, *, histogram: bool, watch: Watch | None = None
) -> Findings:
    """Count what is not known yet; less if it is cancelled.

    Args:
        array: the array.
        base: its difference to another, whose norm is the `distance`.
        known: is not counted again.
        histogram: whether it is wanted.
        watch: see `Watch`.

    Raises:
        NotYetError: an array cannot be read.
    """
    found, spread, distance = known.statistics, known.histogram, known.distance
    found = found or statistics_of(array, watch)
    if histogram and spread is None and found is not None:
        spread = histogram_of(array, found, watch)
    if distance is None and base is not None and found is not None:
        away = statistics_of(base, watch)
        distance = away.norm if away is not None else None
    return Findings(found, spread, distance)


@dataclass
class Remembered:
    """What was found out, by the stamps of the arrays; the oldest is forgotten first.

    Attributes:
        most: arrays that are remembered.
    """

    most: int = 256
    _found: OrderedDict[Hashable, Findings] = field(default_factory=OrderedDict)

    def of(self, array: Array, base: Array | None = None) -> Findings:
        """What is known of an array, beside the same `base`; nothing of one that is new or has changed."""
        key = _key(array, base)
        if key not in self._found:
            return Findings()
        self._found.move_to_end(key)
        return self._found[key]

    def keep(self, array: Array, base: Array | None, found: Findings) -> None:
        """Remember, unless a file changed while it was counted."""
        if array.is_unchanged() and (base is None or base.is_unchanged()):
            key = _key(array, base)
            self._found[key] = found
            self._found.move_to_end(key)
            while len(self._found) > self.most:
                self._found.popitem(last=False)

    def __len__(self) -> int:
        return len(self._found)


def _key(array: Array, base: Array | None) -> Hashable:
    return array.stamp, base.stamp if base is not None else None
